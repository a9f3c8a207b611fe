"""The two ways to the management API: `Local`, on the index that the settings name, and `Remote`."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from registry.cli.commands import UsageError
from registry.cli.settings_flags import load_settings, settings_parent

LARGEST_PAGE = 1000


class Api(Protocol):
    """Who answers calls. `user` is the name of the user who is signed in, None for the operator."""

    user: str | None

    def call(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, object] | None = None,
    ) -> Any:
        """The document of the answer, None without one. `path` is below /api/v1, percent-encoded.

        Raises CommandError.
        """
        ...


def connection_parent() -> argparse.ArgumentParser:
    """The parser to hand to `add_command` as a parent, for a command that speaks the API."""
    parent = settings_parent("--data")
    parent.add_argument(
        "--server",
        metavar="URL",
        help="a running registry, after `entrepot login`; by default the index on this machine",
    )
    parent.add_argument("--json", action="store_true", help="what the API answers, for programs")
    return parent


@contextmanager
def connect(parsed: argparse.Namespace) -> Iterator[Api]:
    """The way that the command line asks for. Raises CommandError and ConfigError."""
    if parsed.server is not None:
        if parsed.config is not None or parsed.data is not None:
            raise UsageError("--server asks a running registry, so --config and --data have no meaning")
        from registry.cli.client.remote import Remote

        yield Remote(parsed.server)
        return
    from registry.cli.client.local import local  # here, since the index takes a while to import

    with local(load_settings(parsed).settings) as api:
        yield api


def read_all(
    api: Api, path: str, query: Sequence[tuple[str, str]], entries: str, cursor: str, limit: int | None = None
) -> Any:
    """The pages of a list as one document, all of them or as many entries as `limit` says."""
    found: list[Any] = []
    position: list[tuple[str, str]] = []
    while True:
        wanted = LARGEST_PAGE if limit is None else min(LARGEST_PAGE, limit - len(found))
        page = api.call("GET", path, [*query, *position, ("n", str(wanted))])
        found += page[entries]
        following = page["next"]
        if following is None or len(found) == limit:
            return {**page, entries: found, "next": following}
        position = [(cursor, str(following))]
