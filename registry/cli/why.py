"""`entrepot why` and `entrepot usage`: what holds something, and how many bytes lie where."""

import argparse
from typing import Any

from registry.cli.client.arguments import REPOSITORY, option, positional
from registry.cli.client.connection import connection_parent
from registry.cli.client.rows import Row, add_row, run
from registry.cli.client.tables import Listing, Says, Values, facts, size, table, when
from registry.cli.commands import Commands, add_command

TELLING = {
    "manifest": "manifest",
    "itself": "is a manifest",
    "index": "index",
    "subject": "subject",
    "awaited": "manifest, pushed before it",
    "link": "may read it, needs it not",
    "deleted": "deleted, can be restored",
    "in use": "in use",
}


def _verdicts(holder: Any) -> list[str]:
    said = []
    for verdict in holder["verdicts"]:
        rule = f"rule {verdict['rule']}: " if verdict["rule"] else ""
        drops = "" if verdict["kept"] else "would go, "
        said.append(f"{verdict['tag']}: {drops}{rule}{verdict['reason']}")
    return said


HOLDERS = (
    ("REPOSITORY", "repository"),
    ("HELD BY", lambda holder: TELLING[holder["kind"]]),
    ("DIGEST", "digest"),
    ("TAGS", "tags"),
    ("UNTIL", when("until")),
    ("BY", "by"),
    ("KEPT OR NOT", _verdicts),
)

BLOB = (
    ("SIZE", size("size")),
    ("STORED", when("stored_at")),
    ("LEASED UNTIL", when("leased_until")),
    ("EXAMINED", when("examined_at", never="not now: something needs it")),
    ("QUARANTINED", when("quarantined_at")),
    ("LOCATION", "location"),
)


def _known(document: Any) -> bool:
    return document["blob"] is not None or bool(document["holders"])


def _why(document: Any, values: Values) -> str:
    if not _known(document):
        return f"nothing that you may see knows {document['digest']}"
    parts = [] if document["blob"] is None else [facts(BLOB, document["blob"])]
    if document["holders"]:
        parts.append(table(HOLDERS, document["holders"]))
    else:
        parts.append("nothing holds it: the collector takes it when its lease is over")
    if document["more"]:
        parts.append("and more: say --limit for a longer list")
    return "\n\n".join(parts)


def _registry(document: Any, _values: Values) -> str:
    parts = [facts(ALL, document)]
    if document["largest"]:
        parts.append(table(USAGE, document["largest"]))
    return "\n\n".join(parts)


ALL = (("REPOSITORIES", "repositories"), ("BLOBS", "blobs"), ("BYTES", size("bytes")))
USAGE = (
    ("NAME", "name"),
    ("BYTES", size("bytes")),
    ("EXCLUSIVE", size("exclusive")),
    ("SHARED", size("shared")),
)
LIMIT = option("--limit", "n", "N", "how many lines, at most and by default 100")

WHY = Row(
    "why",
    "tell what holds a blob or a manifest: why it is still here",
    "GET",
    "/why/{digest}",
    (positional("digest", "DIGEST", help="like sha256:..."), LIMIT),
    _why,
    code=lambda document: 0 if _known(document) else 1,
)

OF_TAGS: Says = Listing("tags", "there are no tags", USAGE, cursor="")
OF_REPOSITORY = Row("usage", "", "GET", "/repositories/{repository}/-/usage", (REPOSITORY, LIMIT), OF_TAGS)
OF_REGISTRY = Row("usage", "", "GET", "/usage", (LIMIT,), _registry)


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `why` and `usage`."""
    add_row(commands, WHY)
    help = "tell how many bytes lie in repositories, or behind the tags of one"
    parser = add_command(commands, "usage", _usage, help, connection_parent())
    parser.add_argument(
        "repository", metavar="REPOSITORY", nargs="?", default=argparse.SUPPRESS, help="like acme/app"
    )
    LIMIT.add_to(parser)


def _usage(parsed: argparse.Namespace) -> int:
    return run(OF_REPOSITORY if hasattr(parsed, "repository") else OF_REGISTRY, parsed)
