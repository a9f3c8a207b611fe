"""Registry tokens: what the token endpoint hands out, and what comes back with requests.

A token is an upper bound. It says what was allowed when it was made; what its owner may do now is asked
again when it is used (registry.services.access).
"""

import time
import uuid
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from auth.decisions import may
from auth.identity import Identity
from auth.limits import UNLIMITED
from auth.principals import Kind
from auth.roles import Action
from auth.scopes import API, CATALOG, Scope
from auth.secrets import SecretKind, new_secret
from auth.tokens import Access, Claims, sign
from registry.index import Connection, Index, access, credentials
from registry.index.access import RepositoryFacts
from registry.oci.errors import NameInvalid, RequestInvalid
from registry.oci.name import RepositoryName
from registry.services.signing_keys import SigningKeys

MOST_REFRESH_TOKENS = 100
"""Of one principal. Each login of a client leaves one; the oldest make room."""

TOKEN_ACTIONS = (Action.PULL, Action.PUSH, Action.DELETE)
"""What a token can carry for a repository, in the order in which it is written."""


class Issued(NamedTuple):
    """A token, how long it lives in seconds, and what of the scopes it carries."""

    token: str
    expires_in: int
    access: Sequence[Access]


class RegistryTokens:
    """Makes tokens. `issuer` and `service` are its `iss` and `aud`."""

    def __init__(
        self,
        index: Index,
        keys: SigningKeys,
        *,
        issuer: str,
        service: str,
        seconds: int,
        refresh_seconds: int,
    ) -> None:
        self._index = index
        self._keys = keys
        self._issuer = issuer
        self._service = service
        self._seconds = seconds
        self._refresh_seconds = refresh_seconds

    async def issue(self, identity: Identity, scopes: Sequence[Scope]) -> Issued:
        """A token with as much of the scopes as the identity may do; with none of them it still says who
        this is. Raises RequestInvalid for more than one token can hold."""
        names = [name for scope in scopes if (name := repository_of(scope)) is not None]
        facts = await self._index.read(partial(facts_of, names=names)) if names else {}
        entries = (granted_of(identity, scope, facts) for scope in scopes)
        granted = tuple(entry for entry in entries if entry is not None)
        now = int(time.time())
        claims = Claims(
            subject="" if identity.is_anonymous else str(identity.principal),
            access=granted,
            issued_at=now,
            expires_at=now + self._seconds,
            token_id=uuid.uuid4().hex,
            principal_id=identity.principal_id,
            credential_id=identity.credential_id,
            rules=identity.rules,
        )
        try:
            token = sign(claims, await self._keys.signing(), self._issuer, self._service)
        except ValueError as error:
            raise RequestInvalid(str(error)) from error
        return Issued(token, self._seconds, granted)

    async def refresh_token(self, identity: Identity, client: str) -> str | None:
        """A token that gets tokens, limited as the credential it was got with, and gone with it.

        None for a job: its own token is short-lived, and so is all that it leads to.
        """
        owner = identity.principal_id
        if owner is None or identity.principal.kind is Kind.JOB:
            return None
        secret = new_secret(SecretKind.REFRESH)
        now = time.time()
        limits = identity.limits if identity.credential_id is not None else UNLIMITED
        printable = "".join(filter(str.isprintable, client))  # no text of PostgreSQL can hold a NUL
        create = partial(
            credentials.create,
            principal_id=owner,
            kind=SecretKind.REFRESH,
            hash=secret.hash,
            description=printable[:100],
            read_only=limits.read_only,
            repositories=tuple(map(str, limits.repositories)),
            addresses=tuple(map(str, limits.addresses)),
            created_at=now,
            expires_at=now + self._refresh_seconds,
            parent_id=identity.credential_id,
        )

        def change(connection: Connection) -> None:
            credentials.remove_oldest(connection, owner, SecretKind.REFRESH, keep=MOST_REFRESH_TOKENS - 1)
            create(connection)

        await self._index.write(change)
        return secret.text


def repository_of(scope: Scope) -> str | None:
    """The repository that a scope names, if it can exist."""
    if scope.type != "repository":
        return None
    try:
        return RepositoryName.parse(scope.name)
    except NameInvalid:
        return None


def facts_of(connection: Connection, names: Sequence[str]) -> dict[str, RepositoryFacts]:
    """What is set for each of these repositories that exist."""
    found = {name: access.facts(connection, name) for name in dict.fromkeys(names)}
    return {name: facts for name, facts in found.items() if facts is not None}


def granted_of(identity: Identity, scope: Scope, facts: dict[str, RepositoryFacts]) -> Access | None:
    """What a token says of one scope; None when nothing of it is allowed."""
    if scope.type == "registry":
        known = scope.name == CATALOG.name or (scope.name == API.name and not identity.is_anonymous)
        return Access("registry", scope.name, ("*",), None) if known and "*" in scope.actions else None
    name = repository_of(scope)
    if name is None:
        return None
    fact = facts.get(name)
    public = fact is not None and fact.public
    wanted = [action for action in TOKEN_ACTIONS if action in scope.actions or "*" in scope.actions]
    actions = tuple(action.value for action in wanted if may(identity, action, name, public=public))
    return Access("repository", name, actions, None if fact is None else fact.uid) if actions else None
