"""`entrepot upload`: uploads that are under way."""

import argparse

from registry.cli.client.arguments import positional
from registry.cli.client.rows import Row, add_rows
from registry.cli.client.tables import Listing, sentence, size, when
from registry.cli.commands import Commands

COLUMNS = (
    ("ID", "id"),
    ("REPOSITORY", "repository"),
    ("RECEIVED", size("bytes")),
    ("BEGAN", when("created_at")),
    ("BY", "created_by"),
    ("EXPIRES", when("expires_at")),
)


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `upload`."""
    add_rows(commands, "upload", "uploads that are under way", ROWS)


ROWS = (
    Row("list", "list uploads that are under way", "GET", "/uploads", (),
        Listing("uploads", "no upload is under way", COLUMNS)),
    Row("cancel", "cancel an upload and drop its bytes", "DELETE", "/uploads/{id}", (positional("id", "ID"),),
        sentence("the upload {id} was cancelled")),
)  # fmt: skip
