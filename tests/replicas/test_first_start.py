"""Three replicas start for the first time, at the same moment, on a database with nothing in it."""

import re
from pathlib import Path

import pytest

from conformance.authorization import Authorization
from conformance.client import Client
from tests.replicas.fleet import ADMINISTRATOR, fleet
from tests.replicas.storages import Storage, on
from tests.support.postgres import PostgresServer

pytestmark = [pytest.mark.xdist_group("replicas"), on("folder")]

SHOWN = re.compile(f"sign in as {ADMINISTRATOR} with the password (\\S+)")


def test_all_at_once(tmp_path: Path, own_postgres: PostgresServer, storage: Storage) -> None:
    """One schema, one administrator whose password is shown once, and one key."""
    with fleet(tmp_path, own_postgres, storage(), given_password=False) as running:
        (password,) = SHOWN.findall(running.logs())
        for url in running.urls:
            client = Client(url, Authorization(ADMINISTRATOR, password))
            assert client.request("GET", "/api/v1/users").status == 200
        assert running.rows("SELECT count(*) FROM alembic_version") == [(1,)]
        assert running.rows("SELECT name FROM principals") == [(ADMINISTRATOR,)]
        assert running.rows("SELECT role, pattern FROM grants") == [("administrator", "**")]
        assert running.rows("SELECT count(*) FROM signing_keys") == [(1,)]
        assert running.rows("SELECT count(*) FROM audit WHERE action = 'user.create'") == [(1,)]
