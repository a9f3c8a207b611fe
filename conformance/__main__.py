"""`python -m conformance --url http://host:port`: judge a registry and print the table."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from conformance.results import LEVELS, Result, read_results, text_table

HERE = Path(__file__).parent


def run_suite(url: str | None, *arguments: str) -> list[Result]:
    """The results of the whole suite against `url`, or against an Entrepot of its own.

    Raises RuntimeError, with what pytest said, when there are none.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results.json"
        command = [sys.executable, "-m", "pytest", str(HERE / "requirements"), f"--results-file={file}"]
        command += ["-q", "-p", "no:cacheprovider", *arguments]
        if url:
            command.append(f"--registry-url={url}")
        done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1) or not file.exists():
            raise RuntimeError(f"the suite did not run:\n{done.stdout}{done.stderr}")
        return read_results(file)


def main() -> int:
    """Exit code 1 when a requirement of the chosen levels is not met."""
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__)
    parser.add_argument("--url", help="http://host:port; by default an Entrepot of its own is started")
    parser.add_argument("--username")
    parser.add_argument("--password")
    parser.add_argument("--namespace", help="what repository names begin with (default: conformance)")
    parser.add_argument("--level", choices=LEVELS, action="append", help="only these; may be repeated")
    options = parser.parse_args()
    arguments = [
        f"--registry-{name}={getattr(options, name)}"
        for name in ("username", "password", "namespace")
        if getattr(options, name)
    ]
    if options.level:
        arguments += ["-m", " or ".join(options.level)]
    results = run_suite(options.url, *arguments)
    print(text_table(results))
    return int(any(result.outcome == "FAIL" for result in results))


if __name__ == "__main__":
    sys.exit(main())
