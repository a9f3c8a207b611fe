"""`python -m tests.faults.torture [MINUTES]`: kill -9 for long. First every failpoint as often as it is met,
then storms with a new seed each until the time (10 minutes, unless given) is over.

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


def main() -> int:
    parser = argparse.ArgumentParser(prog="torture", description="Kill the registry again and again.")
    parser.add_argument("minutes", nargs="?", type=float, default=10)
    parser.add_argument("--seed", type=int, help="one storm, to see again what another one saw")
    given = parser.parse_args()
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
    command = [sys.executable, "-m", "pytest", "--no-header", "-q", "tests/faults/test_failpoints.py"]
    environment = {**os.environ, "ENTREPOT_TEST_DEATHS": "1000"}
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(command, cwd=root, env=environment, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
