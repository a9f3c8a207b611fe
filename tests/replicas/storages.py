"""Which storages the tests with replicas run on, and how much of them."""

import os
from collections.abc import Callable, Mapping

import pytest

Storage = Callable[[], Mapping[str, str]]
"""Makes an empty storage; returns the settings that lead to it, as variables of the environment."""

STORAGES = ("folder", "s3")

THOROUGH = os.environ.get("ENTREPOT_TEST_THOROUGH") == "1"
"""Every test on each storage, and the whole of our conformance suite; it takes some minutes."""


def on(*storages: str) -> pytest.MarkDecorator:
    """Run a test on these storages: one that takes long chooses."""
    return pytest.mark.parametrize(
        "storage", STORAGES if THOROUGH else storages, indirect=True, scope="session"
    )
