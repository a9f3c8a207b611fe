"""What a token may be limited to, beside the rights of its owner."""

import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

from auth.addresses import parse as parse_address
from auth.patterns import RepositoryPattern
from auth.roles import Action

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Limits(NamedTuple):
    """Pulling only, some repositories only, some addresses only; empty: not limited in that. `ends`: only for
    a time, which is somebody's decision and not how long a client stays signed in."""

    read_only: bool = False
    repositories: tuple[RepositoryPattern, ...] = ()
    addresses: tuple[Network, ...] = ()
    ends: bool = False

    @classmethod
    def parse(cls, read_only: bool, repositories: Sequence[str], addresses: Sequence[str]) -> "Limits":
        """Raises ValueError."""
        return cls(
            read_only,
            tuple(map(RepositoryPattern.parse, repositories)),
            tuple(ipaddress.ip_network(address) for address in addresses),
        )

    @property
    def take_rights(self) -> bool:
        """Whether less may be done than the owner may do. Addresses only say from where."""
        return self.read_only or bool(self.repositories)

    def refusal(self, action: Action, repository: str) -> str | None:
        """Why these limits forbid an action, or None."""
        if self.read_only and action is not Action.PULL:
            return "the token that was used is read-only"
        if self.repositories and not any(pattern.matches(repository) for pattern in self.repositories):
            return f"the token that was used is limited to {', '.join(map(str, self.repositories))}"
        return None

    def admit(self, address: str) -> bool:
        """Whether a client at this address may use the token. An address that is none is not admitted."""
        if not self.addresses:
            return True
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self.addresses)


UNLIMITED = Limits()
