"""`entrepot repository` and `entrepot tag`: what there is, and what is set for it."""

import argparse
from typing import Any

from registry.cli import undo
from registry.cli.client.arguments import (
    IMMUTABLE_TAGS,
    REPOSITORY,
    SEARCH,
    option,
    positional,
    size,
    switch,
)
from registry.cli.client.connection import Api
from registry.cli.client.rows import Row, add_rows
from registry.cli.client.tables import Facts, Listing, plain, sentence, when
from registry.cli.client.tables import size as sized
from registry.cli.commands import Commands, UsageError
from registry.oci.sizes import said_size


def _visibility(repository: Any) -> str:
    return "public" if repository["public"] else "private"


def _quotas(repository: Any) -> list[str]:
    return [
        f"{said_size(quota['used'])} of {said_size(quota['bytes'])} in {quota['prefix']}"
        for quota in repository["quotas"]
    ]


TAG_COLUMNS = (("TAG", "name"), ("DIGEST", "digest"), ("SINCE", when("updated_at")))
COLUMNS = (("NAME", "name"), ("VISIBILITY", _visibility), ("DESCRIPTION", "description"))
ALL = (
    *COLUMNS,
    ("IMMUTABLE TAGS", "immutable_tags"),
    ("QUOTA", _quotas),
    ("TAGS", "tags"),
    ("MANIFESTS", "manifests"),
    ("SIZE", sized("bytes")),
    ("CREATED", when("created_at")),
    ("CHANGED", when("updated_at")),
)


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `repository`, `tag` and `manifest`."""
    rows = (*ROWS, *undo.REPOSITORY_ROWS)
    add_rows(commands, "repository", "repositories, and what is set for them", rows, "repositories")
    add_rows(commands, "tag", "tags of repositories", (*TAG_ROWS, *undo.TAG_ROWS), "tags")
    add_rows(commands, "manifest", "manifests of repositories", undo.MANIFEST_ROWS, "manifests")


def _wanted(_api: Api, values: dict[str, Any], _parsed: argparse.Namespace) -> dict[str, Any]:
    if len(values) < 2:
        raise UsageError("say what to set: `entrepot repository set --help` tells what there is")
    return values


def _sure(_api: Api, values: dict[str, Any], parsed: argparse.Namespace) -> dict[str, Any]:
    """Most of what is deleted by mistake is deleted whole."""
    if not parsed.yes:
        raise UsageError(
            f"this deletes {plain(values['repository'])} with all its tags and manifests: say --yes if that "
            "is what you want"
        )
    return values


def _yes_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="you are sure")


PATH = "/repositories/{repository}"
SETTINGS = (
    switch("--public", "public", "everybody may pull, also who is not signed in"),
    switch("--private", "public", "only who is granted a role may pull", False),
    option("--description", "description", "TEXT", "what it is, for people"),
    IMMUTABLE_TAGS,
    option("--quota", "quota", "SIZE", "what it and all below it may hold, like 10GiB", type=size),
    switch("--no-quota", "quota", "no quota of its own", None),
)

ROWS = (
    Row("list", "list repositories", "GET", "/repositories", (SEARCH,),
        Listing("repositories", "there are no repositories", COLUMNS)),
    Row("show", "show a repository", "GET", PATH, (REPOSITORY,), Facts(ALL)),
    Row("set", "set something for a repository, before its first push as well", "PATCH", PATH,
        (REPOSITORY, *SETTINGS), Facts(ALL), prepare=_wanted),
    Row("remove", "delete a repository with all that it holds", "DELETE", PATH, (REPOSITORY,),
        sentence("the repository {repository} was deleted"), prepare=_sure, flags=_yes_flag),
)  # fmt: skip

TAG_ROWS = (
    Row("list", "list the tags of a repository", "GET", f"{PATH}/-/tags", (REPOSITORY,),
        Listing("tags", "there are no tags", TAG_COLUMNS)),
    Row("remove", "delete a tag; the manifest stays", "DELETE", f"{PATH}/-/tags/{{tag}}",
        (REPOSITORY, positional("tag", "TAG")), sentence("the tag {tag} of {repository} was deleted")),
)  # fmt: skip
