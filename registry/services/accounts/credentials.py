"""Credentials that are shown once and kept hashed: personal tokens of users, secrets of robots."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from auth.actor import Actor
from auth.limits import UNLIMITED, Limits
from auth.principals import Kind
from auth.secrets import Secret, SecretKind, new_secret
from registry.index import Connection, Index, credentials
from registry.index.credentials import CredentialRow
from registry.oci.errors import Conflict, Unknown
from registry.services.accounts.changes import Changes, Event
from registry.services.accounts.lookup import find_principal
from registry.services.audit import Audit

__all__ = ["CredentialRow", "Credentials", "Wanted"]


class Wanted(NamedTuple):
    """A credential to be made. `lives` is in seconds, None without end."""

    description: str = ""
    lives: float | None = None
    limits: Limits = UNLIMITED


class Credentials:
    """Personal tokens, and the refresh tokens of clients that are signed in."""

    def __init__(self, index: Index, audit: Audit) -> None:
        self._index = index
        self._changes = Changes(index, audit)

    async def of_user(self, name: str) -> Sequence[CredentialRow]:
        """All that a user can sign in with beside the password, the oldest first. Raises Unknown."""

        def query(connection: Connection) -> Sequence[CredentialRow]:
            return credentials.of_principal(connection, find_principal(connection, Kind.USER, name).id)

        return await self._index.read(query)

    async def create(self, name: str, wanted: Wanted, actor: Actor) -> tuple[CredentialRow, Secret]:
        """A personal token for a user. Raises Unknown, and Conflict for a user who is disabled."""
        secret = new_secret(SecretKind.PERSONAL)

        def change(connection: Connection) -> CredentialRow:
            owner = find_principal(connection, Kind.USER, name)
            if owner.disabled:
                raise Conflict(f"{name} is disabled: enable the user first")
            return add_credential(connection, owner.id, secret, SecretKind.PERSONAL, wanted)

        detail = {"owner": f"user:{name}", "description": wanted.description} | limits_detail(wanted.limits)
        return await self._changes.make(change, actor, Event("token.create", f"user:{name}", detail)), secret

    async def remove(self, name: str, credential_id: int, actor: Actor) -> None:
        """Revoke a token, with the refresh tokens that were got with it. Raises Unknown, also for a token of
        somebody else."""

        def change(connection: Connection) -> None:
            owner = find_principal(connection, Kind.USER, name)
            row = credentials.get(connection, credential_id)
            if row is None or row.principal_id != owner.id:
                raise Unknown("token", str(credential_id))
            credentials.remove(connection, credential_id)

        event = Event("token.revoke", f"user:{name}", {"token": credential_id})
        await self._changes.make(change, actor, event)


def add_credential(
    connection: Connection, principal_id: int, secret: Secret, kind: SecretKind, wanted: Wanted
) -> CredentialRow:
    """Enter a credential; its row."""
    now = time.time()
    credential_id = credentials.create(
        connection,
        principal_id=principal_id,
        kind=kind,
        hash=secret.hash,
        description=wanted.description,
        read_only=wanted.limits.read_only,
        repositories=tuple(map(str, wanted.limits.repositories)),
        addresses=tuple(map(str, wanted.limits.addresses)),
        created_at=now,
        expires_at=None if wanted.lives is None else now + wanted.lives,
        parent_id=None,
    )
    row = credentials.get(connection, credential_id)
    assert row is not None
    return row


def limits_detail(limits: Limits) -> dict[str, object]:
    """Limits for the audit."""
    facts: dict[str, object] = {
        "read_only": limits.read_only,
        "repositories": [str(pattern) for pattern in limits.repositories],
        "addresses": [str(network) for network in limits.addresses],
    }
    return {name: value for name, value in facts.items() if value}
