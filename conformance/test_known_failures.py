"""A suite that nothing fails shows nothing: docker-registry 2.8 fails exactly what it is known to fail.

After a deliberate change, write the list anew:
python -m conformance --peer docker-registry --write-failures conformance/known_failures.txt
"""

import subprocess
from pathlib import Path

import pytest

from conformance.__main__ import run_suite
from conformance.peers import running
from tests.support.tools import missing, tool

KNOWN = Path(__file__).with_name("known_failures.txt")
INSTALL = "apt-get install docker-registry"


@pytest.mark.timeout(400)
def test_docker_registry_fails_what_it_is_known_to_fail() -> None:
    program = tool("docker-registry", INSTALL)
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if " 2.8" not in version:
        missing(f"docker-registry is {version.split()[-1]} and not 2.8", INSTALL)
    with running("docker-registry") as url:
        results = run_suite(url)
    failed = {result.test for result in results if result.outcome == "FAIL"}
    known = set(KNOWN.read_text().splitlines())
    assert known, "the list of known failures is empty"
    assert sorted(failed - known) == [], "fails beyond the known list"
    assert sorted(known - failed) == [], "no longer fails, or is no longer tested"
