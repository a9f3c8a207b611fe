"""Fixtures that every test may ask for."""

from tests.support.indexes import postgres_database, postgres_index, sqlite_index, sqlite_template
from tests.support.postgres import postgres_server, postgres_url
from tests.support.s3_server import s3_server, s3_settings

__all__ = [
    "postgres_database",
    "postgres_index",
    "postgres_server",
    "postgres_url",
    "s3_server",
    "s3_settings",
    "sqlite_index",
    "sqlite_template",
]
