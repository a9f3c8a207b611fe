"""With accounts on, and every client signed in, Entrepot passes the same: accounts take nothing away."""

import pytest

from conformance.__main__ import WITH_ACCOUNTS, run_suite
from conformance.sections import SECTIONS


@pytest.mark.timeout(400)
def test_entrepot_with_accounts_meets_every_requirement() -> None:
    results = run_suite(None, environment=WITH_ACCOUNTS)
    assert [result for result in results if result.outcome != "pass"] == []
    assert {result.section for result in results} == set(SECTIONS)
