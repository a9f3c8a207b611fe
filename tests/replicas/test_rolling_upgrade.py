"""The version before and this one run side by side on one database and one storage, while clients push.

The version before is taken from the history: the last commit without the newest migration.
"""

import compileall
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import registry.index.migrations.versions as versions
from tests.replicas.fleet import Fleet, fleet
from tests.replicas.storages import Storage, on
from tests.replicas.storm import ReplicaStorm
from tests.support.postgres import PostgresServer
from tests.support.server import ROOT
from tests.support.tools import tool

pytestmark = [pytest.mark.xdist_group("replicas"), pytest.mark.timeout(300)]

STEPS = 4
"""Of each client between two changes."""

PACKAGES = ("registry", "storage_drivers", "auth")


def git(*arguments: str) -> bytes:
    """What git prints. Without a repository, or without its history, the test is skipped."""
    ran = subprocess.run([tool("git"), *arguments], cwd=ROOT, capture_output=True)
    if ran.returncode:
        pytest.skip(f"needs a clone with its history: {ran.stderr.decode().strip()}")
    return ran.stdout


@pytest.fixture
def version_before(tmp_path: Path) -> Path:
    """A folder with the code of the version before."""
    newest = max(Path(versions.__path__[0]).glob("r[0-9]*.py")).relative_to(ROOT)
    added = git("log", "--diff-filter=A", "--format=%H", "--", str(newest)).decode().split()
    if not added:
        pytest.skip(f"needs a commit with {newest}")
    archive = git("archive", f"{added[-1]}^", *PACKAGES)
    folder = tmp_path / "before"
    folder.mkdir()
    subprocess.run([tool("tar"), "-x", "-C", str(folder)], input=archive, check=True)
    compileall.compile_dir(folder, quiet=1)  # once, and not in each replica
    return folder


@pytest.fixture
def old_fleet(
    own_postgres: PostgresServer, storage: Storage, version_before: Path, tmp_path: Path
) -> Iterator[Fleet]:
    with fleet(tmp_path / "replicas", own_postgres, storage(), code=version_before) as running:
        yield running


def revision(running: Fleet) -> object:
    return running.rows("SELECT version_num FROM alembic_version")[0][0]


@on("s3")
def test_replicas_are_replaced_by_the_next_version_one_by_one(old_fleet: Fleet) -> None:
    before = revision(old_fleet)
    storm = ReplicaStorm(old_fleet, seed=random.SystemRandom().randrange(2**32), clients=4)

    def disturb(storm: ReplicaStorm) -> None:
        storm.work(STEPS)
        old_fleet.code = ROOT
        for number in range(3):
            storm.drain(number)  # the first one of the new version migrates the index under the others
            assert revision(old_fleet) > str(before)
            storm.work(STEPS)

    storm.rage(disturb)
    assert storm.outages == 0
