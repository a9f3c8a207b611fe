"""A process imports what it is about to use: imports are most of what a start costs."""

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from registry.cli.main import GROUPS
from registry.cli.settings_flags import settings_parent
from tests.support.forking import ROOT

OF_OTHER_STORES = {"boto3", "botocore", "psycopg", "sqlalchemy.dialects.postgresql", "ldap3", "alembic"}
"""For S3, PostgreSQL, a directory, and an index that has not this version's form."""

OF_SERVERS = {"aiohttp", "gunicorn", "uvloop"}
OF_THE_INDEX = {"sqlalchemy", "pydantic", "jwt", "cryptography", "argon2"}
OF_ACCOUNTS = {"registry.accounts", "jwt", "cryptography"}

COMMAND = "from registry.cli import main; assert main(sys.argv[1:]) == 0"

SERVER = """
import asyncio
from pathlib import Path
from registry.app import Registry
from registry.cli.serving import prepare_accounts, prepare_index
from registry.config import Settings
from registry.server import RegistryWorker

async def ask(settings):
    registry = Registry(settings)
    server = await asyncio.get_running_loop().create_server(registry.server, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"GET /v2/ HTTP/1.1\\r\\nHost: registry\\r\\nConnection: close\\r\\n\\r\\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
    writer.close()
    server.close()
    await registry.close()

settings = Settings(data=Path(sys.argv[1]))
prepare_index(settings)
asyncio.run(prepare_accounts(settings))
asyncio.run(ask(settings))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index in it."""
    folder = tmp_path_factory.mktemp("data")
    subprocess.run([sys.executable, "-m", "registry", "migrate", "--data", folder], cwd=ROOT, check=True)
    return folder


def imported(code: str, *arguments: str | Path) -> set[str]:
    """The modules that a new process has imported after it ran `code`."""
    tell = "\nprint('imported', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}{tell}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    mark, *names = done.stdout.splitlines()[-1].split()
    assert mark == "imported"
    assert "registry" in names
    return set(names)


@pytest.mark.parametrize("arguments", [("version",), ("gc", "run", "--help"), ("user", "list", "--help")])
def test_a_command_that_needs_no_index_imports_nothing_of_it(arguments: tuple[str, ...]) -> None:
    assert not imported(COMMAND, *arguments) & (OF_OTHER_STORES | OF_SERVERS | OF_THE_INDEX)


def test_a_command_on_the_index_imports_no_server_and_no_other_store(data: Path) -> None:
    found = imported(COMMAND, "user", "list", "--data", data)

    assert "sqlalchemy" in found
    assert not found & (OF_OTHER_STORES | OF_SERVERS | {"jwt"})


def test_a_collection_imports_nothing_of_accounts_and_no_other_operations(data: Path) -> None:
    found = imported(COMMAND, "gc", "run", "--data", data)

    assert "registry.management.collection" in found
    assert not found & (OF_ACCOUNTS | {"registry.management.assembly"})


def test_a_server_on_a_folder_imports_no_other_store(data: Path) -> None:
    found = imported(SERVER, data)

    assert found >= {"sqlalchemy", "aiohttp", "gunicorn", "jwt"}
    assert not found & OF_OTHER_STORES


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_adds_the_commands_that_it_is_imported_for(group: str) -> None:
    commands = argparse.ArgumentParser().add_subparsers()
    importlib.import_module(f"registry.cli.{group}").add(commands, settings_parent())
    assert tuple(commands.choices) == GROUPS[group]


def test_every_module_that_adds_commands_is_a_group() -> None:
    folder = ROOT / "registry" / "cli"
    assert {path.stem for path in folder.glob("*.py") if "\ndef add(" in path.read_text()} == set(GROUPS)
