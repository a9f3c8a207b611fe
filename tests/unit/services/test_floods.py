"""Of what one address causes without end, so much is told and the rest is counted."""

from types import SimpleNamespace

import pytest

from registry.services import floods
from registry.services.floods import MOST_ADDRESSES, ROOM, TELL_EVERY, Floods


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    now = SimpleNamespace(value=1000.0)
    monkeypatch.setattr(floods, "time", SimpleNamespace(monotonic=lambda: now.value))
    return now


def test_a_hundred_are_told_and_then_one_a_second(clock: SimpleNamespace) -> None:
    seen = Floods()

    assert sum(seen.has_room("192.0.2.1") for _ in range(500)) == ROOM
    clock.value += 3
    assert sum(seen.has_room("192.0.2.1") for _ in range(500)) == 3
    assert seen.has_room("192.0.2.2"), "another address has room of its own"


def test_the_others_are_counted_and_told_once_a_minute(clock: SimpleNamespace) -> None:
    seen = Floods()
    for _ in range(ROOM + 7):
        seen.has_room("192.0.2.1")

    assert list(seen.left_out()) == [("192.0.2.1", 7)]
    assert not seen.has_room("192.0.2.1")
    assert list(seen.left_out()) == [], "not again so soon"
    clock.value += TELL_EVERY
    assert list(seen.left_out()) == [("192.0.2.1", 1)]


def test_an_ipv6_network_is_one(clock: SimpleNamespace) -> None:
    seen = Floods()

    told = sum(seen.has_room(f"2001:db8::{number:x}") for number in range(500))

    assert told == ROOM


def test_memory_is_bounded(clock: SimpleNamespace) -> None:
    seen = Floods()
    for number in range(MOST_ADDRESSES + 50):
        seen.has_room(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")

    assert len(seen._buckets) == MOST_ADDRESSES
