"""`entrepot group`: groups of users and robots."""

import argparse

from registry.cli.client.arguments import DESCRIPTION, NAME, PRINCIPAL, SEARCH, name, positional
from registry.cli.client.rows import Row, add_row, add_rows, state_rows
from registry.cli.client.tables import Facts, Listing, sentence, state, when
from registry.cli.commands import Commands, add_group

COLUMNS = (
    ("NAME", "name"),
    ("STATE", state),
    ("CREATED", when("created_at")),
    ("DESCRIPTION", "description"),
)


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `group` and `group member`."""
    group = add_group(commands, "group", "groups of users and robots")
    for row in ROWS:
        add_row(group, row)
    add_rows(group, "member", "who is in a group", MEMBER_ROWS)


GROUP = positional("name", "GROUP", name)
PATH = "/groups/{name}"
MEMBER = "/groups/{name}/members/{principal}"

ROWS = (
    Row("add", "make a group", "POST", "/groups", (NAME, DESCRIPTION), sentence("the group {name} was made")),
    Row("list", "list groups", "GET", "/groups", (SEARCH,),
        Listing("groups", "there are no groups", COLUMNS)),
    Row("show", "show a group and who is in it", "GET", PATH, (NAME,),
        Facts((*COLUMNS, ("MEMBERS", "members")))),
    *state_rows("group", PATH),
    Row("remove", "remove a group with its grants", "DELETE", PATH, (NAME,),
        sentence("the group {name} was removed")),
)  # fmt: skip

MEMBER_ROWS = (
    Row("add", "put a user or robot into a group", "PUT", MEMBER, (GROUP, PRINCIPAL),
        sentence("{principal} is in the group {name}")),
    Row("remove", "take a user or robot out of a group", "DELETE", MEMBER, (GROUP, PRINCIPAL),
        sentence("{principal} is not in the group {name} any more")),
)  # fmt: skip
