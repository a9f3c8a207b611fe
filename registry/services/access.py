"""Access: who sends a request, and whether he may do what it needs.

Two ways lead in, with equal rights: Basic with a name and a password, and Bearer with a registry token. A
token never allows more than its owner may do at the moment when it is used.
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
from auth.decisions import Decision, decide
from auth.identity import NOBODY, Identity
from auth.jws import read
from auth.principals import Kind, Principal
from auth.roles import Action
from auth.scopes import Scope
from auth.tokens import Access as TokenAccess
from auth.tokens import Claims, OutsideIssuer, TokenInvalid, Verifier
from registry.index import Index, access
from registry.index.access import RepositoryFacts
from registry.oci.errors import Denied, RegistryError, Unauthenticated
from registry.services.access_cache import AccessCache, Epoch
from registry.services.audit import REFUSED, Audit
from registry.services.callers import ANONYMOUS_CALLER, ANYBODY, Caller, TokenRights, Visit
from registry.services.identities import of_rules, of_token
from registry.services.other_issuers import OtherIssuer
from registry.services.sign_in import SignIn, check_address
from registry.services.signing_keys import SigningKeys

SCOPES = {Action.PULL: "pull", Action.PUSH: "pull,push", Action.DELETE: "delete"}
"""What a client is told to ask a token for."""

UNSET = RepositoryFacts(0, "", False, ())
"""What holds for a repository that does not exist."""

LONGEST_KEY = 2048
"""Characters of a header field that is remembered as it is."""


class OpenAccess:
    """No accounts: whoever can connect may do everything but manage accounts."""

    async def admit(self, authorization: str | None, visit: Visit, action: Action, repository: str) -> Caller:
        """See Access.admit."""
        return ANYBODY

    async def enter(self, authorization: str | None, visit: Visit, scope: Scope | None = None) -> Caller:
        """See Access.enter."""
        return ANYBODY

    async def may_mount(self, caller: Caller, source: str, target: str) -> bool:
        """See Access.may_mount."""
        return True


class Access:
    """The door. All that it remembers is bounded, in number and in time."""

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
        self._facts: AccessCache[str, RepositoryFacts] = AccessCache(epoch, limit=50_000)
        self._entering: WeakValueDictionary[str | bytes, asyncio.Lock] = WeakValueDictionary()
        self._salt = os.urandom(16)

    async def admit(self, authorization: str | None, visit: Visit, action: Action, repository: str) -> Caller:
        """Whoever sends this header field, if he may do `action` with a repository, existing or not.

        Raises Unauthenticated where a (better) token could help, Denied where nothing could, and as SignIn
        does. The answer does not depend on whether the repository exists, unless it is public.
        """
        await self._look_for_news()
        if authorization is None:
            await self._check(ANONYMOUS_CALLER, action, repository)
            return ANONYMOUS_CALLER
        caller = self._remembered(authorization, action, repository)
        if caller is not None:
            return caller
        caller = await self._caller(authorization, visit)
        if (action, repository) not in caller.decided:
            caller = await self._admitted(caller, authorization, visit, action, repository)
            caller.remember(action, repository)
        return caller

    async def enter(self, authorization: str | None, visit: Visit, scope: Scope | None = None) -> Caller:
        """Whoever sends this header field. A registry token must carry `scope`.

        Raises Unauthenticated without any header field, and as `admit` does.
        """
        await self._look_for_news()
        scopes = () if scope is None else (str(scope),)
        if authorization is None:
            raise Unauthenticated("authentication is required", scopes)
        caller = await self._caller(authorization, visit)
        if scope is not None and caller.token is not None and not caller.token.carries(scope):
            raise Unauthenticated(f"the token does not carry {scope}", scopes, "insufficient_scope")
        return caller

    async def may_mount(self, caller: Caller, source: str, target: str) -> bool:
        """Whether a caller may take a blob from `source`. Raises Unauthenticated when he may, but his token
        does not say so."""
        decision = await self._decision(caller.identity, Action.PULL, source)
        token = caller.token
        if token is None or token.allows("repository", source, Action.PULL):
            return decision.allowed or (token is not None and token.decides)
        if not decision.allowed:
            return False
        raise Unauthenticated(
            f"the token does not carry pull for {source}, from where the blob is to be mounted",
            (scope_of(Action.PUSH, target), scope_of(Action.PULL, source)),
            "insufficient_scope",
        )

    async def facts(self, repository: str) -> RepositoryFacts:
        """What is set for a repository, as of a second ago."""
        return self._facts.get(repository) or await self._read_facts(repository)

    async def _read_facts(self, repository: str) -> RepositoryFacts:
        epoch = self._epoch.value
        found = await self._index.read(partial(access.facts, name=repository)) or UNSET
        if found is not UNSET:  # its first push makes it without telling anybody
            self._facts.put(repository, found, epoch)
        return found

    async def _look_for_news(self) -> None:
        if not self._epoch.is_current():
            await self._epoch.read()
        self._forget_keys()

    async def _read_epoch(self) -> bool:
        """Whether something was changed since the last look."""
        await self._epoch.read()
        return self._forget_keys()

    def _forget_keys(self) -> bool:
        """Forget keys that were read under another epoch, whoever has read that; whether there were any."""
        if self._epoch.value == self._keys_epoch:
            return False
        self._keys_epoch = self._epoch.value
        self._keys.forget()
        return True

    async def _admitted(
        self, caller: Caller, authorization: str, visit: Visit, action: Action, repository: str
    ) -> Caller:
        """A caller who may. Before he is refused it is looked whether what is remembered has changed."""
        try:
            try:
                await self._check(caller, action, repository)
            except (Unauthenticated, Denied):
                if not await self._read_epoch():
                    raise
                caller = await self._caller(authorization, visit)
                await self._check(caller, action, repository)
        except (Unauthenticated, Denied) as error:
            await self._note_refusal(caller, visit, action, repository, error)
            raise
        return caller

    def _remembered(self, authorization: str, action: Action, repository: str) -> Caller | None:
        """The short way of nearly all requests: a token that was found to be good for the same before."""
        caller = self._callers.get(authorization)
        if caller is None or (action, repository) not in caller.decided or caller.identity.limits.addresses:
            return None
        return caller

    async def _check(self, caller: Caller, action: Action, repository: str) -> None:
        """Raise Unauthenticated where signing in or another token could help, else Denied, unless he may.

        So whoever has a token is never Denied: his client is to ask for one that carries more.
        """
        token, identity = caller.token, caller.identity
        scopes = (scope_of(action, repository),)
        if token is None:
            decision = await self._decision(identity, action, repository)
            if decision.allowed:
                return
            if identity.is_anonymous:
                raise Unauthenticated("authentication is required", scopes)
            raise Denied(decision.reason, detail_of(identity, action, repository, decision))
        if not token.allows("repository", repository, action):
            decision = await self._decision(identity, action, repository)
            lacking = "the token does not carry this right" if decision.allowed else decision.reason
            detail = None if identity.is_anonymous else detail_of(identity, action, repository, decision)
            raise Unauthenticated(lacking, scopes, "insufficient_scope", detail)
        await self._check_same_repository(token, repository, scopes)
        if token.decides:
            return
        decision = await self._decision(identity, action, repository)
        if not decision.allowed:
            detail = None if identity.is_anonymous else detail_of(identity, action, repository, decision)
            raise Unauthenticated(decision.reason, scopes, "insufficient_scope", detail)

    async def _check_same_repository(
        self, token: TokenRights, repository: str, scopes: tuple[str, ...]
    ) -> None:
        """A token is for the repository of its time, and not for another one that took its name."""
        uid = token.access["repository", repository].uid
        if uid is not None and (await self.facts(repository)).uid != uid:
            raise Unauthenticated(
                f"this token is older than the repository {repository}", scopes, "invalid_token"
            )

    async def _decision(self, identity: Identity, action: Action, repository: str) -> Decision:
        decision = decide(identity, action, repository, public=False)
        if decision.allowed or action is not Action.PULL or not await self._is_public(repository):
            return decision
        return decide(identity, action, repository, public=True)

    async def _is_public(self, repository: str) -> bool:
        """What is not public is read each time, like what does not exist: the time that a refusal takes must
        not tell the one from the other."""
        found = self._facts.get(repository)
        if found is None or not found.public:
            found = await self._read_facts(repository)
        return found.public

    async def _caller(self, authorization: str, visit: Visit) -> Caller:
        """Who this is, remembered for a while."""
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

    async def _note_refusal(
        self, caller: Caller, visit: Visit, action: Action, repository: str, error: RegistryError
    ) -> None:
        actor = actor_of(visit, caller.name)
        await self._audit.note(actor, action.value, repository, REFUSED, {"reason": error.message})


def merged(entries: Iterable[TokenAccess]) -> dict[tuple[str, str], TokenAccess]:
    """What a token carries, by type and name. Another server may name one thing twice."""
    found: dict[tuple[str, str], TokenAccess] = {}
    for entry in entries:
        key = (entry.type, entry.name)
        before = found.get(key)
        found[key] = entry if before is None else entry._replace(actions=before.actions + entry.actions)
    return found


def scope_of(action: Action, repository: str) -> str:
    """What a token needs for an action, in Docker's grammar of scopes."""
    return f"repository:{repository}:{SCOPES[action]}"


def detail_of(identity: Identity, action: Action, repository: str, decision: Decision) -> dict[str, object]:
    """A refusal for programs. Only for somebody who is known."""
    return {
        "principal": str(identity.principal),
        "action": str(action),
        "repository": repository,
        "reason": decision.reason,
    }


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
