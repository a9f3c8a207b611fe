"""The management API does what its OpenAPI document says, whatever is sent to it: shown by schemathesis."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.support.server import RunningRegistry, start_registry

PASSWORD = "correct horse battery"

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
EXAMPLES = 5
"""For each operation, beside those that cover each constraint of its schema."""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    environment = {"ENTREPOT_AUTH__MODE": "accounts", "ENTREPOT_AUTH__ADMIN_PASSWORD": PASSWORD}
    running = start_registry(tmp_path / "data", environment=environment)
    yield running
    running.kill()


@pytest.mark.timeout(400)
def test_every_operation_keeps_to_the_document(registry: RunningRegistry, tmp_path: Path) -> None:
    document = f"{registry.url}/api/v1/openapi.json"
    with urlopen(document) as answer:
        paths = json.load(answer)["paths"]
    del paths["/openapi.json"]  # schemathesis takes it for the document and not for a subject of it
    operations = sum(map(len, paths.values()))

    done = subprocess.run(
        [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run", document,
         "--url", f"{registry.url}/api/v1", "--auth", f"admin:{PASSWORD}", "--checks", ",".join(CHECKS),
         "--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing", "--seed", "1",
         "--suppress-health-check", "all", "--no-color"],
        cwd=tmp_path, capture_output=True, text=True, timeout=380,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    tested = re.search(r"Tested: ([0-9]+)", done.stdout)
    assert tested, done.stdout
    assert int(tested[1]) == operations
    assert registry.stop() == 0
    assert "Traceback" not in registry.log
    assert PASSWORD not in registry.log
