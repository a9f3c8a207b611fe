"""Bytes as people read them, and where a refusal says them."""

import pytest

from registry.oci.errors import QuotaExceeded
from registry.oci.sizes import said_size


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (10 * 2**30, "10 GiB"),
        (1536 * 1024, "1.5 MiB"),
        (10**10, "9.3 GiB"),
        (2**63 - 1, "8 EiB"),
    ],
)
def test_sizes(count: int, said: str) -> None:
    assert said_size(count) == said


def test_a_quota_is_said_as_it_is_set_and_told_to_programs_in_bytes() -> None:
    refused = QuotaExceeded("acme", 350 * 1024, 1_258_291)
    assert refused.message.startswith("the quota of acme is 350 KiB, and there is no room for 1.2 MiB more: ")
    assert refused.detail == {"prefix": "acme", "quota": 358_400, "coming": 1_258_291}
    assert "there is no room left" in QuotaExceeded("acme", 0, 0).message
