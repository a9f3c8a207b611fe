"""How failed sign-ins are slowed: by account and by address. Arithmetic alone; times in seconds."""

import ipaddress
from dataclasses import dataclass
from typing import NamedTuple

from auth import addresses

FORGET_SECONDS = 900
"""So long without a failure, and all is forgotten."""


@dataclass(frozen=True, slots=True)
class Failures:
    """`count` of them one after the other, the last one at `last_at`, in seconds since the epoch."""

    count: int
    last_at: float


class Patience(NamedTuple):
    """`free` failures cost nothing; the wait after each further one doubles, up to `longest` seconds."""

    free: int
    longest: float


ACCOUNT = Patience(free=5, longest=30)
# Many people may share one address.
ADDRESS = Patience(free=20, longest=30)


def source(address: str) -> str:
    """What the failures of an address are counted for: of IPv6 its network of 64 bits, all of which one
    subscriber has. What is no address stays as it is."""
    parsed = addresses.parse(address)
    if parsed is None:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.IPv6Network((int(parsed), 64), strict=False))


def wait(failures: Failures | None, now: float, free: int, longest: float) -> float:
    """Seconds until the next try is looked at: `wait(failures, now, *ACCOUNT)`. 0 means now.

    The first `free` failures are followed by no wait, the next by 1 second, then 2, 4 and so on.
    """
    if failures is None or failures.count <= free or _forgotten(failures, now):
        return 0.0
    delay = min(longest, 2.0 ** min(failures.count - free - 1, 32))
    # A clock that was set back makes nobody wait longer.
    return min(delay, max(0.0, failures.last_at + delay - now))


def after_failure(failures: Failures | None, now: float) -> Failures:
    """The record with one more failure."""
    if failures is None or _forgotten(failures, now):
        return Failures(1, now)
    return Failures(failures.count + 1, now)


def _forgotten(failures: Failures, now: float) -> bool:
    return now - failures.last_at >= FORGET_SECONDS
