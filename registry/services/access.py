"""Access: whether whoever sends a request may do what it needs.

A registry token never allows more than its owner may do at the moment when it is used.
"""

from functools import partial

from auth.decisions import Decision, decide
from auth.identity import Identity
from auth.roles import Action
from auth.scopes import Scope
from registry.index import Index, access
from registry.index.access import RepositoryFacts
from registry.oci.errors import Denied, RegistryError, Unauthenticated
from registry.services.access_cache import AccessCache, Epoch
from registry.services.audit import REFUSED, Audit
from registry.services.authentication import Authentication, actor_of
from registry.services.callers import ANONYMOUS_CALLER, ANYBODY, Caller, TokenRights, Visit

SCOPES = {Action.PULL: "pull", Action.PUSH: "pull,push", Action.DELETE: "delete"}
"""What a client is told to ask a token for."""

UNSET = RepositoryFacts(0, "", False, ())
"""What holds for a repository that does not exist."""


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

    def __init__(self, index: Index, epoch: Epoch, authentication: Authentication, audit: Audit) -> None:
        self._index = index
        self._epoch = epoch
        self._authentication = authentication
        self._audit = audit
        self._facts: AccessCache[str, RepositoryFacts] = AccessCache(epoch, limit=50_000)

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
        caller = await self._authentication.caller(authorization, visit)
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
        caller = await self._authentication.caller(authorization, visit)
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
        self._authentication.forget_keys()

    async def _read_epoch(self) -> bool:
        """Whether something was changed since the last look."""
        await self._epoch.read()
        return self._authentication.forget_keys()

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
                caller = await self._authentication.caller(authorization, visit)
                await self._check(caller, action, repository)
        except (Unauthenticated, Denied) as error:
            await self._note_refusal(caller, visit, action, repository, error)
            raise
        return caller

    def _remembered(self, authorization: str, action: Action, repository: str) -> Caller | None:
        """The short way of nearly all requests: a token that was found to be good for the same before."""
        caller = self._authentication.remembered(authorization)
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

    async def _note_refusal(
        self, caller: Caller, visit: Visit, action: Action, repository: str, error: RegistryError
    ) -> None:
        actor = actor_of(visit, caller.name)
        await self._audit.note(actor, action.value, repository, REFUSED, {"reason": error.message})


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
