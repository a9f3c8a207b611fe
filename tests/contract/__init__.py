"""One suite that every storage driver joins: see suite.py and docs/storage-drivers.md."""

import pytest

pytest.register_assert_rewrite(
    "tests.contract.model", "tests.contract.objects", "tests.contract.sources", "tests.contract.uploads"
)
