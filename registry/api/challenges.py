"""Challenges: what a 401 tells a client to do (RFC 6750 section 3, and Docker's token protocol)."""

from auth.roles import Action
from registry.api.origin import Origins
from registry.api.paths import TOKEN_PATH
from registry.api.requests import Request
from registry.oci.errors import NameInvalid, Unauthenticated
from registry.oci.name import RepositoryName
from registry.services.access import scope_of


class Challenges:
    """`realm` is the address of another token server, None for this one."""

    def __init__(self, origins: Origins, service: str, realm: str | None) -> None:
        self._origins = origins
        self._service = service
        self._realm = realm

    def of(self, request: Request, error: Unauthenticated) -> str:
        """A value of WWW-Authenticate. All is quoted, and nothing is empty: docker stops reading at an empty
        value. Bearer alone: some clients read only the first scheme, others prefer Basic."""
        parameters = [("realm", self.realm(request)), ("service", self._service)]
        if error.scopes:
            parameters.append(("scope", " ".join(dict.fromkeys([*error.scopes, *source_of(request)]))))
        if error.problem:
            parameters.append(("error", error.problem))
        return "Bearer " + ",".join(f'{name}="{escaped(value)}"' for name, value in parameters)

    def realm(self, request: Request) -> str:
        """Where tokens are had, at the address by which the client reached us: some refuse another one."""
        return self._realm or self._origins.url(request.http) + TOKEN_PATH


def source_of(request: Request) -> list[str]:
    """The scope that a mount needs for where it takes the blob from. It is asked for at once, as others do:
    some clients get one token for a request, and no second one."""
    if request.method != "POST" or not request.parameters("mount"):
        return []
    try:
        target, source = request.repository, RepositoryName.parse(request.parameter("from") or "")
    except NameInvalid:
        return []
    return [] if source == target else [scope_of(Action.PULL, source)]


def escaped(value: str) -> str:
    """What stands between the quotes of a quoted-string (RFC 9110 section 5.6.4)."""
    return value.replace("\\", "\\\\").replace('"', '\\"')
