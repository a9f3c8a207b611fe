"""Collections and retention in a tight loop beside pushes, on both databases: nothing acknowledged is lost.

`ENTREPOT_STORM_SECONDS` is how long each storm takes; `make torture` has them rage for longer.
"""

import json
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from conformance.content import digest_of
from tests.faults.collection_storm import ENVIRONMENT, FADING, storm
from tests.faults.conftest import Serve
from tests.support.server import ROOT

SECONDS = float(os.environ.get("ENTREPOT_STORM_SECONDS", "120"))
THOROUGH = os.environ.get("ENTREPOT_TEST_THOROUGH") == "1"

TABLES = {
    "blobs": "SELECT location, digest FROM blobs",
    "copies": "SELECT location, size FROM index_copies",
    "discarded": "SELECT location, size FROM discarded",
    "jobs": "SELECT report, fence FROM jobs WHERE name = 'gc'",
    "fading": "SELECT name, digest FROM tag_history WHERE digest IS NULL AND \"by\" = 'retention:fading'",
}


def read(data: Path, url: str | None) -> dict[str, dict[str, object]]:
    """What the tables say, by their first columns."""
    found: dict[str, dict[str, object]] = {}
    with closing(sqlite3.connect(data / "index.sqlite") if url is None else psycopg.connect(url)) as index:
        for name, query in TABLES.items():
            cursor = index.cursor()
            cursor.execute(query)
            found[name] = dict(cursor.fetchall())
    return found


def settings_of(request: pytest.FixtureRequest, variant: str) -> tuple[dict[str, str], str | None]:
    """The environment of a variant, and the URL of its PostgreSQL."""
    if variant == "sqlite":
        return dict(ENVIRONMENT), None
    url: str = request.getfixturevalue("postgres_url")
    environment = {**ENVIRONMENT, "ENTREPOT_INDEX__URL": url}
    if variant == "s3":
        table: Mapping[str, object] = request.getfixturevalue("s3_settings")
        environment |= {f"ENTREPOT_STORAGE__S3__{key.upper()}": str(value) for key, value in table.items()}
        environment |= {"ENTREPOT_STORAGE__DRIVER": "s3", "ENTREPOT_STORAGE__S3__REDIRECT": "off"}
    return environment, url


@pytest.mark.timeout(2 * SECONDS + 180)  # all is pulled at the end
@pytest.mark.parametrize("variant", ["sqlite", "postgresql", *(["s3"] if THOROUGH else [])])
def test_nothing_that_was_acknowledged_is_lost(
    request: pytest.FixtureRequest, serve: Serve, tmp_path: Path, variant: str
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)  # shown when the test fails
    environment, url = settings_of(request, variant)
    running = serve(workers=2, environment=environment)
    rule = [sys.executable, "-m", "registry", *FADING, "--data", str(running.data)]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ENTREPOT_")}
    subprocess.run(rule, cwd=ROOT, env={**clean, **environment}, check=True, capture_output=True)

    sailors = storm(running.url, SECONDS, seed)

    assert running.stop() == 0, running.log
    assert "Traceback" not in running.log
    tables = read(running.data, url)
    ((told, fence),) = tables["jobs"].items()
    ever = json.loads(told)["ever"]
    steps = sum(sailor.steps for sailor in sailors)
    again = sum(sailor.pushed_again for sailor in sailors)
    print(f"{steps} steps, {fence} collections took {ever['blobs']} blobs, {again} manifests came too late")
    assert min(fence, 2 * ever["blobs"]) > SECONDS, "a storm without wind shows nothing"
    assert tables["fading"], "retention took no tag"
    if variant == "s3":
        return
    storage = running.data / "storage"
    found = {str(path.relative_to(storage)) for path in (storage / "blobs").rglob("*") if path.is_file()}
    assert tables["blobs"].keys() | tables["copies"].keys() <= found
    known = tables["blobs"].keys() | tables["copies"].keys() | tables["discarded"].keys()
    assert len(found - known) <= 1, "the journal may have been ended before it entered its object"
    for location, digest in tables["blobs"].items():
        assert digest_of((storage / location).read_bytes()) == digest
