"""A short storm: kill -9 at random moments while clients work. `make torture` is a long one."""

import random
from pathlib import Path

from tests.faults.storm import Storm


def test_kills_at_random_moments(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)  # shown when the test fails
    assert Storm(tmp_path / "data", seed).rage(10) > 2
