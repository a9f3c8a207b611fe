"""`python -m tests.faults.torture [MINUTES]`: kill -9 for long. First every failpoint as often as it is met,
then storms with a new seed each until the time (10 minutes, unless given) is over. With `--collections`
nobody is killed: collections run in a tight loop beside pushes, for so long on each database and on S3.

Ends with 1, and keeps the data, when anything that was acknowledged got lost.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.storm import Storm

STORM_SECONDS = 120

FAILPOINTS = ("tests/faults/test_failpoints.py", "tests/faults/test_collection_deaths.py")


def main() -> int:
    parser = argparse.ArgumentParser(prog="torture", description="Kill the registry again and again.")
    parser.add_argument("minutes", nargs="?", type=float, default=10)
    parser.add_argument("--collections", action="store_true", help="only storms with collections")
    parser.add_argument("--seed", type=int, help="one storm, to see again what another one saw")
    given = parser.parse_args()
    if given.collections:
        return 0 if collections(60 * given.minutes) else 1
    ends = time.monotonic() + 60 * given.minutes
    if given.seed is None and not every_failpoint():
        return 1
    while time.monotonic() < ends:
        seed = given.seed if given.seed is not None else random.SystemRandom().randrange(2**32)
        folder = Path(tempfile.mkdtemp(prefix="entrepot-torture-"))
        print(f"a storm with --seed {seed} on {folder}", flush=True)
        left = ends - time.monotonic()
        Storm(folder / "data", seed, clients=8).rage(
            left if given.seed is not None else min(STORM_SECONDS, left)
        )
        shutil.rmtree(folder)
    print("nothing that was acknowledged got lost")
    return 0


def every_failpoint() -> bool:
    """The tests of the failpoints, with a death at each time that a failpoint is met."""
    return pytest(*FAILPOINTS, ENTREPOT_TEST_DEATHS="1000")


def collections(seconds: float) -> bool:
    """Collections in a tight loop beside pushes, on each database and on S3, for so long each."""
    settings = {"ENTREPOT_STORM_SECONDS": str(seconds), "ENTREPOT_TEST_THOROUGH": "1"}
    return pytest("-s", "tests/faults/test_collection_storm.py", **settings)


def pytest(*arguments: str, **settings: str) -> bool:
    """Run tests with these variables of the environment; whether they hold."""
    command = [sys.executable, "-m", "pytest", "--no-header", "-q", *arguments]
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(command, cwd=root, env={**os.environ, **settings}, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
