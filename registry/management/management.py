"""The management API's core: finds the operation of a call, checks what came and who calls, and runs it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from pydantic import BaseModel, ValidationError

from auth.actor import Actor
from auth.identity import Identity
from registry.management.operation import Call, Needs, Operation
from registry.management.paths import expression
from registry.management.rights import check_needs
from registry.oci.errors import Denied, InputInvalid, MethodNotAllowed, NoSuchPath
from registry.oci.strict_json import StrictJSONError, parse_object
from registry.services.audit import REFUSED, Audit

_LONGEST_SHOWN = 10


class Result(NamedTuple):
    """`document` is a JSON value, None for no content."""

    status: int
    document: Any = None


class Route(NamedTuple):
    """A path, and its operations by method."""

    expression: re.Pattern[str]
    methods: dict[str, Operation]


class Management:
    """All operations, ready to be called."""

    def __init__(self, operations: Iterable[Operation], audit: Audit) -> None:
        """Raises ValueError for operations that can't stand beside each other or don't say what they need."""
        self._audit = audit
        self.operations = tuple(operations)
        self._routes: dict[str, Route] = {}
        ids: set[str] = set()
        for operation in self.operations:
            if not isinstance(operation.needs, Needs):
                raise ValueError(f"the operation {operation.id} does not say who may call it")  # noqa: TRY004
            route = self._routes.setdefault(operation.path, Route(expression(operation.path), {}))
            if operation.method in route.methods or operation.id in ids:
                raise ValueError(f"the operation {operation.id} is there twice")
            route.methods[operation.method] = operation
            ids.add(operation.id)

    async def call(
        self,
        caller: Identity,
        actor: Actor,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Result:
        """Do what a request asks for. `path` is below /api/v1, percent-encoded as it came.

        Raises NoSuchPath, MethodNotAllowed, InputInvalid, Unauthenticated, Denied, Unknown, AlreadyExists,
        Conflict, and what the operation's service raises.
        """
        operation, values = self._find(method, path)
        call = Call(caller, actor, values)
        try:
            check_needs(operation, call)
            call = call._replace(query=_query(operation, query), body=_body(operation, body))
            answer = await operation.run(call)
        except Denied as error:
            target = "/".join(values.values())
            await self._audit.note(actor, operation.id, target, REFUSED, {"reason": error.message})
            raise
        return Result(operation.status, None if answer is None else answer.model_dump(mode="json"))

    def _find(self, method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
        for route in self._routes.values():
            found = route.expression.fullmatch(path)
            if found is None:
                continue
            operation = route.methods.get(method)
            if operation is None:
                raise MethodNotAllowed(method[:20], tuple(route.methods))
            return operation, {
                name: unquote(value, errors="replace") for name, value in found.groupdict().items()
            }
        raise NoSuchPath(
            "the management API has nothing at this path; /api/v1/openapi.json tells what it has"
        )


def _query(operation: Operation, pairs: Sequence[tuple[str, str]]) -> BaseModel | None:
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given:
            raise InputInvalid([(name[:100], "may be given once only")])
        given[name] = value
    if operation.query is None:
        if given:
            raise InputInvalid([(name[:100], "is no parameter here") for name in given][:_LONGEST_SHOWN])
        return None
    try:
        return operation.query.model_validate(given)
    except ValidationError as error:
        raise invalid(error) from error


def _body(operation: Operation, body: bytes) -> BaseModel | None:
    if operation.body is None:
        if body.strip():
            raise InputInvalid([("", "this operation takes no body")])
        return None
    try:
        parse_object(body)
    except StrictJSONError as error:
        raise InputInvalid([("", f"the body should be a JSON object: {error}")]) from error
    try:
        return operation.body.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from error


def invalid(error: ValidationError) -> InputInvalid:
    """What pydantic found, without the values that were given: one may be a password."""
    problems = []
    for entry in error.errors(include_url=False, include_input=False, include_context=False)[:_LONGEST_SHOWN]:
        field = ".".join(str(part)[:100] for part in entry["loc"] if not str(part).startswith("function-"))
        message = entry["msg"].removeprefix("Value error, ")
        known = {"extra_forbidden": "is not known here", "missing": "is missing"}
        problems.append((field, known.get(entry["type"], message[:1].lower() + message[1:])))
    return InputInvalid(problems)
