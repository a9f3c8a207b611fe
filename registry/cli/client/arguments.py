"""Arguments of the commands that speak the management API, and what is checked before anything is sent."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from auth.patterns import RepositoryPattern, TagPattern
from auth.principals import Principal, check_name
from auth.roles import Action, Role
from registry.management.units import parse_duration, parse_size


class Argument(NamedTuple):
    """An argument whose value goes to the field `field` of the API's path, query or body."""

    field: str
    flags: tuple[str, ...]
    options: dict[str, Any]

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """What is not given is not among the values, so that it may be told from what is given as null."""
        if self.flags:
            parser.add_argument(*self.flags, dest=self.field, default=argparse.SUPPRESS, **self.options)
        else:
            parser.add_argument(self.field, default=argparse.SUPPRESS, **self.options)


def positional(
    field: str, metavar: str, type: Callable[[str], Any] | None = None, **options: Any
) -> Argument:
    """What has no flag; it may not be empty."""
    return Argument(field, (), {"metavar": metavar, "type": type or checked(_not_empty), **options})


def option(flag: str, field: str, metavar: str, help: str, **options: Any) -> Argument:
    """A flag with a value."""
    return Argument(field, (flag,), {"metavar": metavar, "help": help, **options})


def switch(flag: str, field: str, help: str, value: object = True) -> Argument:
    """A flag that sets a field to `value`."""
    return Argument(field, (flag,), {"action": "store_const", "const": value, "help": help})


def checked(check: Callable[[str], object]) -> Callable[[str], str]:
    """Keeps a text as it is if `check` does not raise ValueError; its message is shown otherwise."""

    def read(text: str) -> str:
        try:
            check(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return text

    return read


class Collect(argparse.Action):
    """For a flag that may be repeated: a list of its values. An empty value gives none."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _flag: Any = None
    ) -> None:
        setattr(namespace, self.dest, [*getattr(namespace, self.dest, []), *([values] if values else [])])


class CollectClaims(argparse.Action):
    """For `--claim NAME=VALUE`, which may be repeated: an object."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _flag: Any = None
    ) -> None:
        name, equals, value = values.partition("=")
        if not equals or not name:
            parser.error(f"--claim should be NAME=VALUE, like repository=acme/app, and is {values!r}")
        claims = getattr(namespace, self.dest, {})
        if name in claims:
            parser.error(f"--claim {name} is given twice: a claim has one value, in which * matches anything")
        setattr(namespace, self.dest, {**claims, name: value})


def _not_empty(text: str) -> None:
    if not text:
        raise ValueError("should not be empty")


def _maybe(check: Callable[[str], object]) -> Callable[[str], object]:
    return lambda text: check(text) if text else None


def json_file(text: str) -> dict[str, Any]:
    """The object in a file."""
    try:
        document = json.loads(Path(text).read_text("utf-8"))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"can't read {text}: {error.strerror}") from error
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise argparse.ArgumentTypeError(f"{text} should hold a JSON object")
    return document


def text_file(text: str) -> str:
    """What is in a file."""
    try:
        return Path(text).read_text("utf-8")
    except OSError as error:
        raise argparse.ArgumentTypeError(f"can't read {text}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise argparse.ArgumentTypeError(f"{text} is not UTF-8") from error


name = checked(check_name)
principal = checked(Principal.parse)
pattern = checked(RepositoryPattern.parse)
role = checked(Role.parse)
duration = checked(parse_duration)
size = checked(parse_size)

NAME = positional("name", "NAME", name)
PRINCIPAL = positional("principal", "PRINCIPAL", principal, help="user:NAME, robot:NAME or group:NAME")
ACTION = positional("action", "ACTION", help=", ".join(Action))
REPOSITORY = positional("repository", "REPOSITORY", help="like acme/app")
DESCRIPTION = option("--description", "description", "TEXT", "a line for people")
SEARCH = option("--search", "search", "TEXT", "only names that hold this text")

LIMITS = (
    switch("--read-only", "read_only", "it pulls and does nothing else"),
    option(
        "--repositories",
        "repositories",
        "PATTERN",
        "only these, may be repeated",
        type=pattern,
        action=Collect,
    ),
    option("--addresses", "addresses", "NETWORK", "from there only, may be repeated", action=Collect),
    option(
        "--expires", "expires", "TIME", "how long it lives, like 30d; by default until revoked", type=duration
    ),
)
"""What a secret may be limited to."""

IMMUTABLE_TAGS = option(
    "--immutable-tags",
    "immutable_tags",
    "PATTERN",
    "tags that can't be moved or deleted, may be repeated; '' for none",
    type=checked(_maybe(TagPattern.parse)),
    action=Collect,
)
