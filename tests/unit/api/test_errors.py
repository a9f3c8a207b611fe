"""The fields that go with an error."""

import pytest

from registry.api.errors import RETRY_AFTER_SECONDS, fields_for
from registry.oci.errors import Unavailable


@pytest.mark.parametrize(("asked", "told"), [(None, 5), (0.0, 5), (4.2, 5), (5.1, 6), (120.0, 120)])
def test_the_longer_time_counts(asked: float | None, told: int) -> None:
    """Ours, or the one that the storage asks for."""
    assert RETRY_AFTER_SECONDS == 5
    assert fields_for(Unavailable("not now", asked)) == {"Retry-After": str(told)}
