"""Clocks that tests set forward instead of waiting."""

import time
from types import SimpleNamespace

import pytest

MODULES = (
    "registry.services.access_cache",
    "registry.services.authentication",
    "registry.services.signing_keys",
    "registry.services.sign_in",
    "registry.services.identities",
    "registry.services.registry_tokens",
    "registry.services.directory_users",
    "registry.services.accounts.users",
    "auth.jws",
)
"""Those that look at a clock to tell whether something still counts."""


class Clock:
    """Ahead of the real clocks by as many seconds as were passed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead = 0.0
        mine = SimpleNamespace(
            time=lambda: time.time() + self._ahead,
            monotonic=lambda: time.monotonic() + self._ahead,
            gmtime=time.gmtime,
            strftime=time.strftime,
        )
        for module in MODULES:
            monkeypatch.setattr(f"{module}.time", mine)

    def pass_by(self, seconds: float) -> None:
        self._ahead += seconds
