"""Run the official conformance program of the distribution-spec, and hold its results to a strict reading.

The program is `conformance`, built from the folder of that name in opencontainers/distribution-spec. It exits
with 0 when its configuration is wrong and when an API was skipped; so its files of results decide here.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

from conformance import accounts
from conformance.peers import PEERS, running
from tests.support.server import start_registry

STATUSES = {"Pass", "Skip", "Disabled", "FAIL", "Error", "Unknown"}
ROW = re.compile(r"  (?P<quote>['\"]?)(?P<name>[^:'\"]+)(?P=quote): (?P<status>[A-Za-z]+)")
INSTALL = "build the folder conformance/ of github.com/opencontainers/distribution-spec with `go build`"


class OfficialSuiteError(Exception):
    """The program is missing, or did not leave results that can be read."""


@dataclass(frozen=True)
class OfficialResults:
    """What the program found. `rows` are APIs and kinds of data with their status, as results.yaml has them.

    A row is as bad as its worst test, except that a pass hides a skip; so `problems` has every single test
    that did not pass, with what the program said about it. `commit` is the program's own.
    """

    rows: dict[str, str]
    problems: dict[str, str] = field(default_factory=dict)
    tests: int = 0
    commit: str = "unknown"

    @property
    def failed_rows(self) -> list[str]:
        return [name for name, status in self.rows.items() if status != "Pass"]

    @property
    def passed(self) -> bool:
        return not self.failed_rows and not self.problems


def run_official(url: str, username: str = "", password: str = "") -> OfficialResults:
    """Run the program against the registry at `url`, signed in if there is a user name. Raises
    OfficialSuiteError."""
    program = shutil.which("conformance")
    if program is None:
        raise OfficialSuiteError(f"there is no program `conformance` on the PATH: {INSTALL}")
    parts = urlsplit(url)
    with tempfile.TemporaryDirectory(prefix="official-") as folder:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("OCI_")}
        done = subprocess.run(
            [program],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=300,
            env={
                **clean,
                "OCI_REGISTRY": parts.netloc,
                "OCI_TLS": "enabled" if parts.scheme == "https" else "disabled",
                "OCI_VERSION": "dev",
                "OCI_DATA_SPARSE": "true",
                "OCI_RESULTS_DIR": folder,
                **({"OCI_USERNAME": username, "OCI_PASSWORD": password} if username else {}),
            },
        )
        try:
            return read_official(Path(folder))
        except OfficialSuiteError as error:
            raise OfficialSuiteError(f"{error}\n{done.stdout[-2000:]}{done.stderr[-2000:]}") from error


def read_official(folder: Path) -> OfficialResults:
    """Read results.yaml and junit.xml. Raises OfficialSuiteError when either is missing or strange."""
    try:
        text = (folder / "results.yaml").read_text()
        tree = ElementTree.parse(folder / "junit.xml")
    except (OSError, ElementTree.ParseError) as error:
        raise OfficialSuiteError(f"the program left no results: {error}") from error
    rows = {**_section(text, "apis"), **_section(text, "data")}
    tests = list(tree.iter("testcase"))
    if not tests:
        raise OfficialSuiteError("junit.xml has no tests")
    problems = {
        f"{number}: {test.get('name')}": f"{test.get('status')}: {test.findtext('system-out') or ''}".strip()
        for number, test in enumerate(tests, 1)
        if test.get("status") != "passed"
    }
    commit = re.search(r"^  commit: ([0-9a-f]+)$", text, re.MULTILINE)
    return OfficialResults(rows, problems, len(tests), commit[1] if commit else "unknown")


def _section(text: str, name: str) -> dict[str, str]:
    """The rows of one mapping at the top of results.yaml, which is plain `  name: status` lines."""
    found = re.search(rf"^{name}:\n((?:  .*\n?)+)", text, re.MULTILINE)
    if found is None:
        raise OfficialSuiteError(f"results.yaml has no section {name}")
    rows = {}
    for line in found[1].splitlines():
        row = ROW.fullmatch(line)
        if row is None or row["status"] not in STATUSES:
            raise OfficialSuiteError(f"results.yaml has a line that is no row: {line!r}")
        rows[row["name"]] = row["status"]
    return rows


@contextmanager
def sparse_entrepot(**settings: str) -> Iterator[str]:
    """The URL of an Entrepot that accepts sparse indexes, as the suite's own continuous runs demand, with
    these settings in its environment."""
    with tempfile.TemporaryDirectory(prefix="official-") as folder:
        environment = {"ENTREPOT_MANIFESTS__SPARSE": "true", **settings}
        own = start_registry(Path(folder) / "data", environment=environment)
        try:
            yield own.url
        finally:
            own.stop()


def text_report(results: OfficialResults) -> str:
    """The rows as a table, then every test that did not pass."""
    width = max(map(len, results.rows))
    lines = [f"{name:{width}}  {status}" for name, status in results.rows.items()]
    lines.append("")
    lines += [f"{name}\n    {said}" for name, said in results.problems.items()]
    failed, total = len(results.failed_rows), len(results.rows)
    lines.append(f"{total - failed} of {total} rows pass")
    lines.append(f"{results.tests - len(results.problems)} of {results.tests} single tests pass")
    return "\n".join(lines)


def main() -> int:
    """Exit code 1 for any Fail, Error or Skip, and when there are no results."""
    parser = argparse.ArgumentParser(prog="python -m conformance.official", description=__doc__)
    judged = parser.add_mutually_exclusive_group()
    judged.add_argument("--url", help="judge this registry; by default an Entrepot of its own is started")
    judged.add_argument("--peer", choices=PEERS, help="start this program and judge it")
    judged.add_argument("--accounts", action="store_true", help="an Entrepot of its own that has accounts")
    parser.add_argument("--username", default="", help="sign in to --url as")
    parser.add_argument(
        "--password",
        default=os.environ.get("CONFORMANCE_REGISTRY_PASSWORD", ""),
        help="with this password [CONFORMANCE_REGISTRY_PASSWORD]",
    )
    options = parser.parse_args()
    try:
        if options.url:
            results = run_official(options.url, options.username, options.password)
        elif options.accounts:
            with sparse_entrepot(**accounts.ENVIRONMENT) as url:
                results = run_official(url, accounts.USERNAME, accounts.personal_token(url))
        elif options.peer:
            with running(options.peer) as url:
                results = run_official(url)
        else:
            with sparse_entrepot() as url:
                results = run_official(url)
    except OfficialSuiteError as error:
        print(error, file=sys.stderr)
        return 1
    print(text_report(results))
    return int(not results.passed)


if __name__ == "__main__":
    sys.exit(main())
