"""What `repository`, `tag` and `manifest` have to look back, and to restore what was deleted."""

import argparse
import time
from collections.abc import Callable
from typing import Any

from registry.cli.client.arguments import REPOSITORY, SEARCH, checked, option, positional, switch
from registry.cli.client.connection import Api
from registry.cli.client.rows import Row
from registry.cli.client.tables import Listing, Values, plain, when
from registry.cli.commands import UsageError
from registry.management.units import parse_moment

Prepare = Callable[[Api, dict[str, Any], argparse.Namespace], dict[str, Any]]


def _split(separator: str, field: str, example: str) -> Prepare:
    """Takes `reference`, which is a repository and something in it, apart."""

    def prepare(_api: Api, values: dict[str, Any], _parsed: argparse.Namespace) -> dict[str, Any]:
        repository, found, part = values["reference"].rpartition(separator)
        if not found or not repository or not part or "/" in part:
            raise UsageError(f"should be like {example}, and is {plain(values['reference'])}")
        rest = {name: value for name, value in values.items() if name != "reference"}
        return {**rest, "repository": repository, field: part}

    return prepare


def _named(kind: str, digests: list[str]) -> str:
    return "".join(f"\n{kind} {digest}" for digest in digests)


def _restored(document: Any, values: Values) -> str:
    repository = plain(values["repository"])
    said = [f"{repository}:{plain(tag)} points to {document['digest']} again" for tag in document["tags"]]
    if "tag" in values and not said:
        said = [f"{repository}:{plain(values['tag'])} points to {document['digest']} already"]
    if not document["manifests"] and "tag" not in values:
        said.append(f"{repository} holds {document['digest']} already")
    return (
        "\n".join(said)
        + _named("restored", document["manifests"])
        + _named("can't be restored, it is not kept any more:", document["missing"])
    ).lstrip("\n")


def _repository(document: Any, _values: Values) -> str:
    named = _named("is damaged, push it again:", document["damaged"])
    return f"the repository {plain(document['name'])} was restored{named}"


def _restorable(entry: Any) -> str:
    if entry["digest"] is None:
        return ""
    if entry["kept_until"] is not None:
        return f"until {until(entry)}"
    return "yes" if entry["restorable"] else "no"


MOMENT = checked(lambda text: parse_moment(text, time.time()))
PATH = "/repositories/{repository}"
until = when("kept_until")

TAGGED = positional("reference", "REPOSITORY:TAG", help="like acme/app:latest")
WITH_DIGEST = positional("reference", "REPOSITORY@DIGEST", help="like acme/app@sha256:...")

# Times as the API tells them, fit for --at: rounded to seconds they would be before the change.
HISTORY = (
    ("AT", "at"),
    ("DIGEST", lambda entry: entry["digest"] or "(deleted)"),
    ("BY", "by"),
    ("CAN BE RESTORED", _restorable),
)
REMOVED = (
    ("NAME", "name"),
    ("UID", "uid"),
    ("DELETED", when("removed_at")),
    ("BY", "removed_by"),
    ("CAN BE RESTORED UNTIL", until),
)

TAG_ROWS = (
    Row("history", "list where a tag pointed, the newest first", "GET", f"{PATH}/-/tags/{{tag}}/history",
        (TAGGED,), Listing("entries", "the tag has no history", HISTORY),
        prepare=_split(":", "tag", "acme/app:latest")),
    Row("restore", "point a tag to where it pointed at a time", "POST", f"{PATH}/-/tags/{{tag}}/restore",
        (TAGGED, option("--at", "at", "TIME", "like 2026-11-01, 2026-11-01T12:00:00Z, or 2h (ago); in UTC",
                        type=MOMENT, required=True)),
        _restored, prepare=_split(":", "tag", "acme/app:latest")),
)  # fmt: skip

MANIFEST_ROWS = (
    Row("restore", "restore a manifest that was deleted, with its tags", "POST",
        f"{PATH}/-/manifests/{{digest}}/restore",
        (WITH_DIGEST, switch("--no-tags", "tags", "leave the tags that were deleted with it", False)),
        _restored, prepare=_split("@", "digest", "acme/app@sha256:...")),
)  # fmt: skip

REPOSITORY_ROWS = (
    Row("removed", "list deleted repositories that can be restored", "GET", "/removed-repositories",
        (SEARCH,), Listing("repositories", "no repository that you may restore was deleted", REMOVED)),
    Row("restore", "restore a repository that was deleted", "POST", f"{PATH}/-/restore",
        (REPOSITORY, option("--uid", "uid", "UID", "which one, if several of that name were deleted"),
         option("--as", "name", "NAME", "under another name, if the old one is taken again")), _repository),
)  # fmt: skip
