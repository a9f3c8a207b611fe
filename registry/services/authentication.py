"""Authentication: who sends a request, by its header field Authorization.

Two ways lead in, with equal rights: Basic with a name and a password, and Bearer with a registry token.
"""

import asyncio
import base64
import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from functools import partial
from weakref import WeakValueDictionary

from auth.actor import Actor
from auth.identity import NOBODY, Identity
from auth.jws import read
from auth.principals import Kind, Principal
from auth.tokens import Access, Claims, OutsideIssuer, TokenInvalid, Verifier
from registry.index import Index
from registry.oci.errors import Unauthenticated
from registry.services.access_cache import AccessCache, Epoch
from registry.services.audit import REFUSED, Audit
from registry.services.callers import Caller, TokenRights, Visit
from registry.services.identities import of_rules, of_token
from registry.services.other_issuers import OtherIssuer
from registry.services.sign_in import SignIn, check_address
from registry.services.signing_keys import SigningKeys

LONGEST_KEY = 2048
"""Characters of a header field that is remembered as it is."""


class Authentication:
    """Finds out who somebody is. All that it remembers is bounded, in number and in time."""

    def __init__(
        self,
        index: Index,
        epoch: Epoch,
        sign_in: SignIn,
        keys: SigningKeys,
        audit: Audit,
        *,
        issuer: str,
        service: str,
        others: Mapping[str, OtherIssuer],
    ) -> None:
        """`issuer` and `service` are `iss` and `aud` of our tokens; `others` are token servers that are
        believed as well, by their `iss`."""
        self._index = index
        self._epoch = epoch
        self._sign_in = sign_in
        self._keys = keys
        self._keys_epoch = epoch.value
        self._others = others
        outside = [OutsideIssuer(name, other.audience, other.verifying) for name, other in others.items()]
        self._verifier = Verifier(issuer, service, keys.verifying, outside)
        self._audit = audit
        self._callers: AccessCache[str | bytes, Caller] = AccessCache(epoch, limit=5_000)
        self._entering: WeakValueDictionary[str | bytes, asyncio.Lock] = WeakValueDictionary()
        self._salt = os.urandom(16)

    def remembered(self, authorization: str) -> Caller | None:
        """Who this is, if that is known already and by a token. Ask only while the epoch is current."""
        return self._callers.get(authorization)

    async def caller(self, authorization: str, visit: Visit) -> Caller:
        """Who this is, remembered for a while.

        Raises Unauthenticated, and what SignIn raises.
        """
        key: str | bytes = authorization
        if len(authorization) > LONGEST_KEY or not authorization.startswith("Bearer "):
            # Passwords are not kept in memory, and of what is long only so much.
            encoded = authorization.encode("utf-8", "surrogateescape")
            key = hashlib.blake2b(encoded, key=self._salt).digest()
        caller = self._callers.get(key)
        if caller is None:
            lock = self._entering.setdefault(key, asyncio.Lock())
            async with lock:  # a password is checked once, however many requests bring it
                caller = self._callers.get(key)
                if caller is None:
                    caller = await self._authenticated(key, authorization, visit)
        if caller.identity.limits.addresses:
            check_address(caller.identity, visit.address)
        return caller

    async def _authenticated(self, key: str | bytes, authorization: str, visit: Visit) -> Caller:
        epoch = self._epoch.value
        scheme, _, parameters = authorization.partition(" ")
        lives = None
        if scheme.lower() == "bearer":
            caller, lives = await self._by_token(parameters.strip(), visit)
        elif scheme.lower() == "basic":
            caller = await self._by_password(parameters.strip(), visit)
        else:
            raise Unauthenticated("the header field Authorization should begin with Bearer or Basic")
        self._callers.put(key, caller, epoch, lives)
        return caller

    async def _by_password(self, parameters: str, visit: Visit) -> Caller:
        name, password = parse_basic(parameters)
        if not name and not password:  # how clients without credentials answer a challenge
            return Caller(NOBODY)
        return Caller(await self._sign_in.sign_in(name, password, actor_of(visit)))

    async def _by_token(self, token: str, visit: Visit) -> tuple[Caller, float]:
        """The owner of a registry token, and for how many seconds it is good."""
        try:
            await self._look_for_key(token)
            claims = self._verifier.verify(token)
            identity = await self._owner(claims)
        except (TokenInvalid, Unauthenticated) as error:
            reason = error.message if isinstance(error, Unauthenticated) else error.reason
            await self._audit.note(actor_of(visit), "sign-in", None, REFUSED, {"token": reason})
            raise Unauthenticated(reason, problem="invalid_token") from error
        rights = TokenRights(merged(claims.access), decides=identity.principal.kind is Kind.EXTERNAL)
        return Caller(identity, rights), claims.expires_at - time.time()

    async def _look_for_key(self, token: str) -> None:
        """Get what the verifier will ask for: it does not wait. Raises TokenInvalid."""
        unverified = read(token)
        if unverified.kid is None:
            return
        other = self._others.get(unverified.issuer or "")
        if other is not None:
            await other.look_for(unverified.kid)
        else:
            await self._keys.look_for(unverified.kid)

    async def _owner(self, claims: Claims) -> Identity:
        if claims.issuer in self._others:
            return Identity(Principal(Kind.EXTERNAL, claims.subject or "anonymous"))
        if claims.rules:
            subject = Principal.parse(claims.subject).name
            return await self._index.read(partial(of_rules, subject=subject, rule_ids=claims.rules))
        if claims.principal_id is None:
            return NOBODY
        query = partial(
            of_token,
            principal_id=claims.principal_id,
            credential_id=claims.credential_id,
            issued_at=claims.issued_at,
        )
        return await self._index.read(query)

    def forget_keys(self) -> bool:
        """Forget keys that were read under another epoch, whoever has read that; whether there were any."""
        if self._epoch.value == self._keys_epoch:
            return False
        self._keys_epoch = self._epoch.value
        self._keys.forget()
        return True


def merged(entries: Iterable[Access]) -> dict[tuple[str, str], Access]:
    """What a token carries, by type and name. Another server may name one thing twice."""
    found: dict[tuple[str, str], Access] = {}
    for entry in entries:
        key = (entry.type, entry.name)
        before = found.get(key)
        found[key] = entry if before is None else entry._replace(actions=before.actions + entry.actions)
    return found


def actor_of(visit: Visit, principal: str = "anonymous") -> Actor:
    """Who does something, as audit and history write it down."""
    return Actor(principal, visit.address, visit.request_id)


def parse_basic(parameters: str) -> tuple[str, str]:
    """User name and password (RFC 7617). Raises Unauthenticated."""
    try:
        decoded = base64.b64decode(parameters, validate=True).decode()
    except ValueError:  # not Base64, not ASCII, or not UTF-8
        raise Unauthenticated(
            "the credentials of Basic should be user:password, in UTF-8 and Base64"
        ) from None
    name, colon, password = decoded.partition(":")
    if not colon or "\0" in decoded:
        raise Unauthenticated("the credentials of Basic should be user:password, in UTF-8 and Base64")
    return name, password
