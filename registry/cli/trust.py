"""`entrepot trust`: CI jobs that sign in with the token of their own issuer."""

import argparse
from typing import Any

from registry.cli.client.arguments import NAME, CollectClaims, json_file, option, pattern, role
from registry.cli.client.rows import Row, add_rows, state_rows
from registry.cli.client.tables import Facts, Listing, sentence, state, when
from registry.cli.commands import Commands


def _claims(rule: Any) -> list[str]:
    return [f"{name}={value}" for name, value in rule["claims"].items()]


def _keys(rule: Any) -> str:
    return "the issuer is asked for them" if rule["keys"] is None else "given with the rule"


COLUMNS = (
    ("NAME", "name"),
    ("STATE", state),
    ("ROLE", "role"),
    ("REPOSITORIES", "pattern"),
    ("ISSUER", "issuer"),
    ("AUDIENCE", "audience"),
    ("CLAIMS", _claims),
)
ALL = (*COLUMNS, ("KEYS", _keys), ("CREATED", when("created_at")), ("BY", "created_by"))


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `trust`."""
    add_rows(commands, "trust", "CI jobs that sign in with tokens of their own issuer", ROWS)


PATH = "/trust-rules/{name}"
WANTED = (
    NAME,
    option("--issuer", "issuer", "URL", "who makes the tokens: their `iss`", required=True),
    option("--audience", "audience", "TEXT", "for whom they are made: their `aud`", required=True),
    option(
        "--claim", "claims", "NAME=VALUE", "what they must say, may be repeated; * matches anything",
        action=CollectClaims, required=True,
    ),
    option("--role", "role", "ROLE", "what such a job may do", type=role, required=True),
    option("--repositories", "pattern", "PATTERN", "where it may", type=pattern, required=True),
    option(
        "--keys", "keys", "FILE", "the issuer's keys (JWKS), where it can't be asked for them", type=json_file
    ),
)  # fmt: skip

ROWS = (
    Row("add", "trust the tokens of an issuer", "POST", "/trust-rules", WANTED,
        sentence("the rule {name} was made")),
    Row("list", "list rules", "GET", "/trust-rules", (),
        Listing("trust_rules", "there are no trust rules", COLUMNS)),
    Row("show", "show a rule", "GET", PATH, (NAME,), Facts(ALL)),
    *state_rows("rule", PATH),
    Row("remove", "remove a rule", "DELETE", PATH, (NAME,), sentence("the rule {name} was removed")),
)  # fmt: skip
