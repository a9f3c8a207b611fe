"""Checks that the operations share: who may call one, and who may do what with a repository or a pattern."""

from auth.decisions import decide
from auth.identity import Identity
from auth.limits import UNLIMITED
from auth.patterns import RepositoryPattern
from auth.principals import Kind, Principal
from auth.roles import Action
from auth.scopes import API
from registry.management.operation import Call, Needs, Operation
from registry.oci.errors import Denied, Unauthenticated


def check_needs(operation: Operation, call: Call) -> None:
    """Raises Unauthenticated for nobody where somebody is needed, and Denied."""
    caller = call.caller
    if operation.needs is Needs.NOTHING:
        return
    # A repository that is read may be public, and without accounts even the anonymous have a grant.
    if operation.needs is not Needs.REPOSITORY or (operation.changes and not caller.grants):
        check_signed_in(caller)
    if operation.makes_credentials and caller.limits != UNLIMITED:
        raise denied(
            call,
            "the token that was used is limited, if only in time, and this could be a way around it: sign in "
            "with the password",
        )
    if operation.needs is Needs.SELF_OR_ADMINISTRATOR:
        if is_self(call):
            if operation.changes:
                check_whole(call)
            return
        check_administrator(call)
    if operation.needs is Needs.ADMINISTRATOR:
        check_administrator(call)


def check_signed_in(caller: Identity) -> None:
    if caller.is_anonymous:
        raise Unauthenticated("sign in to do this", (str(API),))


def check_somebody(caller: Identity) -> None:
    """Raise Unauthenticated for nobody. Without accounts even the anonymous have a grant."""
    if not caller.grants:
        check_signed_in(caller)


def check_administrator(call: Call) -> None:
    check_signed_in(call.caller)
    if not call.caller.is_administrator:
        raise denied(call, "this needs the role administrator on **, by a token that is not limited")


def check_whole(call: Call) -> None:
    """Raise Denied for a token that does not stand for all that its owner may do."""
    if call.caller.limits.take_rights:
        raise denied(call, "the token that was used is read-only or limited to some repositories")


def is_self(call: Call) -> bool:
    """Whether the caller is the user whom the path names."""
    return call.caller.principal == Principal(Kind.USER, call.path["name"])


def check_repository(call: Call, action: Action, repository: str, *, public: bool = False) -> None:
    """Raise Unauthenticated or Denied, alike for repositories that exist and those that don't."""
    decision = decide(call.caller, action, repository, public=public)
    if decision.allowed:
        return
    check_signed_in(call.caller)
    raise denied(call, decision.reason, action, repository)


def administers(caller: Identity, pattern: RepositoryPattern) -> bool:
    """Whether the caller may give and take roles on this pattern: administrator of one that covers it."""
    return _covers(caller, pattern, Action.ADMINISTER)


def maintains(caller: Identity, pattern: RepositoryPattern) -> bool:
    """Whether the caller may say what is kept in all repositories of a pattern."""
    return _covers(caller, pattern, Action.CONFIGURE) and _covers(caller, pattern, Action.DELETE)


def configures(caller: Identity, prefix: str) -> bool:
    """Whether the caller may set what counts for a repository and all below it."""
    here = decide(caller, Action.CONFIGURE, prefix, public=False).allowed
    return here and _covers(caller, RepositoryPattern(f"{prefix}/**"), Action.CONFIGURE)


def denied(call: Call, reason: str, action: Action | None = None, repository: str | None = None) -> Denied:
    """The refusal, with what a program needs to say it in its own words."""
    detail = {"principal": str(call.caller.principal), "reason": reason}
    if action is not None and repository is not None:
        detail |= {"action": action.value, "repository": repository}
    return Denied(reason, detail)


def _covers(caller: Identity, pattern: RepositoryPattern, action: Action) -> bool:
    return not caller.limits.take_rights and any(
        action in grant.role.actions and grant.pattern.covers(pattern) for grant in caller.grants
    )
