"""A request as the handlers of this API see it."""

import uuid
from collections.abc import Sequence
from functools import cached_property
from urllib.parse import parse_qsl

from aiohttp import web

from auth.actor import Actor
from registry.api.access_log import PRINCIPAL, REQUEST_ID
from registry.api.origin import Origin, Origins
from registry.oci.digest import Digest
from registry.oci.errors import RequestInvalid
from registry.oci.name import RepositoryName, Tag
from registry.services.callers import ANONYMOUS_CALLER, Caller
from registry.services.manifests import Reference


class Request:
    """`http` is aiohttp's; `name` and `argument` come from the path (see registry.api.paths)."""

    def __init__(self, http: web.BaseRequest, origins: Origins, name: str, argument: str, query: str) -> None:
        self.http = http
        self.method = http.method
        self.headers = http.headers
        self._origins = origins
        self._name = name
        self.argument = argument
        self._query = query
        self._caller: Caller = ANONYMOUS_CALLER

    @property
    def caller(self) -> Caller:
        """Who sends it, as far as that is known."""
        return self._caller

    @caller.setter
    def caller(self, caller: Caller) -> None:
        self._caller = caller
        self.http[PRINCIPAL] = caller.name

    @property
    def address(self) -> str:
        """Of the client, behind the proxies that are trusted."""
        return self.origin.client

    @property
    def request_id(self) -> str:
        """Made when something is written down about this request."""
        if REQUEST_ID not in self.http:
            self.http[REQUEST_ID] = uuid.uuid4().hex
        return self.http[REQUEST_ID]

    @property
    def actor(self) -> Actor:
        """The caller, as audit and history write him down."""
        return Actor(self.caller.name, self.address, self.request_id)

    @property
    def origin(self) -> Origin:
        """How the client reaches this server."""
        return self._origins.of(self.http)

    @cached_property
    def repository(self) -> RepositoryName:
        """Raises NameInvalid."""
        return RepositoryName.parse(self._name)

    @property
    def digest(self) -> Digest:
        """The last part of the path as a digest. Raises DigestInvalid."""
        return Digest.parse(self.argument)

    @property
    def reference(self) -> Reference:
        """The last part of the path as a tag or, with a colon, a digest. Raises TagInvalid, DigestInvalid."""
        return Digest.parse(self.argument) if ":" in self.argument else Tag.parse(self.argument)

    @cached_property
    def query(self) -> list[tuple[str, str]]:
        """The parameters, decoded, in order. Raises RequestInvalid for a query that is not UTF-8."""
        if not self._query:
            return []
        try:
            return parse_qsl(self._query, keep_blank_values=True, errors="strict", max_num_fields=1000)
        except ValueError as error:
            raise RequestInvalid(
                "the query is not valid: at most 1000 parameters, percent-encoded UTF-8"
            ) from error

    def parameter(self, key: str) -> str | None:
        """The only value of a parameter. Raises RequestInvalid when it is given twice."""
        values = self.parameters(key)
        if len(values) > 1:
            raise RequestInvalid(f"the parameter {key} may be given once only")
        return values[0] if values else None

    def parameters(self, key: str) -> Sequence[str]:
        return [value for given, value in self.query if given == key]
