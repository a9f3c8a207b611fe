"""The official suite: Entrepot passes it whole, and our runner notices when something does not.

No package or module offers the program `conformance`, so where it is missing these tests are skipped, in
continuous integration as well.
"""

import shutil
from pathlib import Path

import pytest

from conformance import accounts
from conformance.official import INSTALL, OfficialSuiteError, read_official, run_official, sparse_entrepot
from conformance.peers import running
from tests.support.tools import tool

YAML = """config:
  registry: localhost:5000
  commit: 967efdc079b91785ad18c77cc4f8991a47feefbf
apis:
  Blob get: Pass
  Tag delete: {status}
data:
  Image: Pass
"""
JUNIT = '<testsuites><testsuite><testcase name="a" status="{status}"/></testsuite></testsuites>'


@pytest.fixture
def program() -> None:
    if shutil.which("conformance") is None:
        pytest.skip(f"the program `conformance` is not on the PATH; to get it, {INSTALL}")


def left(folder: Path, yaml: str = "Pass", junit: str = "passed") -> Path:
    """A folder as the program leaves it."""
    (folder / "results.yaml").write_text(YAML.format(status=yaml))
    (folder / "junit.xml").write_text(JUNIT.format(status=junit))
    return folder


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("program")
def test_entrepot_passes_the_official_suite() -> None:
    with sparse_entrepot() as url:
        results = run_official(url)
    assert len(results.rows) >= 52
    assert results.failed_rows == []
    assert results.problems == {}


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("program")
def test_entrepot_with_accounts_passes_the_official_suite() -> None:
    with sparse_entrepot(**accounts.ENVIRONMENT) as url:
        results = run_official(url, accounts.USERNAME, accounts.personal_token(url))
    assert len(results.rows) >= 52
    assert results.failed_rows == []
    assert results.problems == {}


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("program")
def test_docker_registry_does_not_pass_the_official_suite() -> None:
    tool("docker-registry", "apt-get install docker-registry")
    with running("docker-registry") as url:
        results = run_official(url)
    assert not results.passed
    assert list(results.rows.values()).count("FAIL") == 30
    assert list(results.rows.values()).count("Skip") == 3


def test_a_clean_run_passes(tmp_path: Path) -> None:
    results = read_official(left(tmp_path))
    assert results.passed
    assert results.rows == {"Blob get": "Pass", "Tag delete": "Pass", "Image": "Pass"}
    assert results.commit.startswith("967efdc")


@pytest.mark.parametrize("status", ["FAIL", "Error", "Skip", "Disabled", "Unknown"])
def test_a_row_that_did_not_pass_is_a_failure(tmp_path: Path, status: str) -> None:
    results = read_official(left(tmp_path, yaml=status))
    assert results.failed_rows == ["Tag delete"]
    assert not results.passed


@pytest.mark.parametrize("status", ["skipped", "failure", "error"])
def test_a_single_test_that_did_not_pass_is_a_failure(tmp_path: Path, status: str) -> None:
    assert not read_official(left(tmp_path, junit=status)).passed


@pytest.mark.parametrize("missing", ["results.yaml", "junit.xml"])
def test_missing_results_are_an_error(tmp_path: Path, missing: str) -> None:
    (left(tmp_path) / missing).unlink()
    with pytest.raises(OfficialSuiteError, match="no results"):
        read_official(tmp_path)


@pytest.mark.parametrize(
    "yaml",
    ["", "apis: {}\n", "apis:\n  A: Pass\n", "apis:\n  A: Odd\ndata:\n  B: Pass\n"],
    ids=["empty", "no rows", "no data", "an unknown status"],
)
def test_strange_results_are_an_error(tmp_path: Path, yaml: str) -> None:
    (left(tmp_path) / "results.yaml").write_text(yaml)
    with pytest.raises(OfficialSuiteError, match=r"results\.yaml"):
        read_official(tmp_path)


def test_a_program_that_exits_well_without_results_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "conformance"
    fake.write_text("#!/bin/sh\necho failed to load config\nexit 0\n")
    fake.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(fake))
    with pytest.raises(OfficialSuiteError, match="failed to load config"):
        run_official("http://127.0.0.1:1")
