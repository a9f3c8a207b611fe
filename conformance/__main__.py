"""Judge a registry by our suite, and print the table: `python -m conformance --url http://host:port`.

Without --url or --peer an Entrepot of its own is judged. The password can also stand in the environment, as
CONFORMANCE_REGISTRY_PASSWORD. What is pushed stays in the registry, in the namespace `conformance`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from conformance.peers import PEERS, running
from conformance.results import LEVELS, Result, read_results, text_table

HERE = Path(__file__).parent


WITH_ACCOUNTS = {"CONFORMANCE_REGISTRY_ACCOUNTS": "yes"}
"""In the environment of a run that starts its own Entrepot: see conftest.py."""


def run_suite(url: str | None, *arguments: str, environment: Mapping[str, str] | None = None) -> list[Result]:
    """The results of the whole suite against `url`, or against an Entrepot of its own.

    Raises RuntimeError, with what pytest said, when there are none.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results.json"
        command = [sys.executable, "-m", "pytest", str(HERE / "requirements"), f"--results-file={file}"]
        command += ["-q", "-p", "no:cacheprovider", *arguments]
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_XDIST")}
        done = subprocess.run(
            command,
            cwd=HERE.parent,
            capture_output=True,
            text=True,
            check=False,
            env={**clean, "CONFORMANCE_REGISTRY_URL": url or "", **(environment or {})},
        )
        if done.returncode not in (0, 1) or not file.exists():
            raise RuntimeError(f"the suite did not run:\n{done.stdout}{done.stderr}")
        return read_results(file)


def main() -> int:
    """Exit code 1 when a requirement of the chosen levels is not met."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__, formatter_class=form)
    judged = parser.add_mutually_exclusive_group()
    judged.add_argument("--url", help="the registry to judge, http://host:port")
    judged.add_argument("--peer", choices=PEERS, help="start this program and judge it")
    judged.add_argument("--accounts", action="store_true", help="an Entrepot of its own that has accounts")
    parser.add_argument("--username", help="sign in to --url as")
    parser.add_argument("--password", help="with this password")
    parser.add_argument("--namespace", help="what repository names begin with")
    parser.add_argument("--level", choices=LEVELS, action="append", help="only these; may be repeated")
    parser.add_argument("--write-failures", type=Path, metavar="FILE", help="keep the tests that fail")
    options = parser.parse_args()
    environment = {
        f"CONFORMANCE_REGISTRY_{name.upper()}": str(value)
        for name in ("username", "password", "namespace")
        if (value := getattr(options, name))
    }
    if options.accounts:
        environment |= WITH_ACCOUNTS
    arguments = ["-m", " or ".join(options.level)] if options.level else []
    if options.peer:
        with running(options.peer) as url:
            results = run_suite(url, *arguments, environment=environment)
    else:
        results = run_suite(options.url, *arguments, environment=environment)
    print(text_table(results))
    failed = sorted(result.test for result in results if result.outcome == "FAIL")
    if options.write_failures:
        options.write_failures.write_text("".join(f"{test}\n" for test in failed))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
