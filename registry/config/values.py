"""What values of settings are made of: addresses, networks, durations, text of the environment."""

import ipaddress
import json
import os
import re
from collections.abc import Iterable
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
WholeSeconds = Annotated[int, Field(gt=0)]

UNLESS_EMPTY = BeforeValidator(lambda value: None if value == "" else value)
"""Before a type that may be None: an empty text is none. Compose passes one for what is unset."""


class ConfigError(Exception):
    """The settings are wrong. `problems` has one line for each thing that is, fit to be shown."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def usable_cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def split_listen(listen: str) -> tuple[str, int]:
    """`host:port` or `[IPv6]:port` in its two parts. Raises ValueError."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\[\]:\s/]+)):([0-9]{1,5})", listen, re.ASCII)
    if not found or not 1 <= int(found[3]) <= 65535:
        raise ValueError(
            "should be host:port, like 127.0.0.1:5000 or [::1]:5000, or 0.0.0.0:5000 for every IPv4 address"
        )
    if found[1]:
        ipaddress.IPv6Address(found[1])
    return found[1] or found[2], int(found[3])


def networks(value: object) -> tuple[Network, ...]:
    """Networks from a list, or from one string with commas or blanks between them."""
    if isinstance(value, str):
        value = value.replace(",", " ").split()
    if not isinstance(value, list | tuple):
        raise ValueError('should be a list of addresses or networks, like ["10.0.0.0/8", "::1"]')  # noqa: TRY004
    return tuple(ipaddress.ip_network(entry if isinstance(entry, Network) else str(entry)) for entry in value)


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def listed(value: object) -> object:
    """A list, or the text of one with commas between its entries."""
    if isinstance(value, str):
        return [entry.strip() for entry in value.split(",") if entry.strip()]
    return value


def from_json(value: object, *, empty: object) -> object:
    """What is too deep for commas: a value, or its JSON text; `empty` for an empty text.

    Raises ValueError, without the text.
    """
    if not isinstance(value, str):
        return value
    if not value.strip():
        return empty
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("should be JSON when it is given as text") from None


def split_url(url: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    """A URL that names a host, and no user or password. Raises ValueError."""
    parts = urlsplit(url)
    _ = parts.port  # raises ValueError for one that is no number
    if parts.scheme not in schemes or not parts.hostname or parts.username is not None:
        expected = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ValueError(f"should be {expected} and a host, like {example}")
    return parts
