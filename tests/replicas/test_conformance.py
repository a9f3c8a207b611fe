"""Replicas behind a round robin are one registry: whichever answers, the specification is kept."""

import shutil
from pathlib import Path

import pytest

from conformance.__main__ import run_suite
from conformance.official import INSTALL, run_official
from tests.replicas.fleet import ADMINISTRATOR, Fleet, fleet
from tests.replicas.storages import THOROUGH, Storage, on
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.xdist_group("replicas")


@on("s3")
@pytest.mark.timeout(400)
def test_our_suite(replicas: Fleet) -> None:
    before = replicas.robin.sent.copy()
    chosen = () if THOROUGH else ("-m", "must")
    results = run_suite(
        replicas.url,
        *chosen,
        environment={
            "CONFORMANCE_REGISTRY_USERNAME": ADMINISTRATOR,
            "CONFORMANCE_REGISTRY_PASSWORD": replicas.administrator_token(),
        },
    )
    assert [result for result in results if result.outcome == "FAIL"] == []
    assert len(results) >= 200
    left_out = {result.reason for result in results if result.outcome == "skip"}
    assert left_out == {"needs a registry of the suite's own, where deletion is switched off"}
    assert len(replicas.robin.sent - before) == 3


@on("folder")
@pytest.mark.timeout(300)
def test_the_official_suite(tmp_path: Path, own_postgres: PostgresServer, storage: Storage) -> None:
    if shutil.which("conformance") is None:
        pytest.skip(f"the program `conformance` is not on the PATH; to get it, {INSTALL}")
    with fleet(tmp_path, own_postgres, storage(), ENTREPOT_MANIFESTS__SPARSE="true") as running:
        results = run_official(running.url, ADMINISTRATOR, running.administrator_token())
    assert len(results.rows) >= 52
    assert results.failed_rows == []
    assert results.problems == {}
