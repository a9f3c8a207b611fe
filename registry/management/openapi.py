"""The OpenAPI document of the management API, made from its operations (OpenAPI 3.1)."""

import asyncio
import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, RootModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from registry.management.fields import NAME, REPOSITORY, Answer
from registry.management.operation import Call, Needs, Operation

REFERENCE = "#/components/schemas/{model}"

DESCRIPTION = """Manages a registry: accounts, grants, repositories and the rest.

Sign in with Basic, or with a Bearer token whose scope is `registry:api:*`. Names of repositories in paths
may be written with `/` or with `%2F`.
"""

SIGN_IN: list[dict[str, list[str]]] = [{"basic": []}, {"bearer": []}]

NAMES = {
    "name": ("the name", NAME),
    "principal": ("user:NAME or robot:NAME", f"(?:user|robot):{NAME}"),
    "repository": ("the name of a repository; its slashes may be written as they are", REPOSITORY),
    "prefix": ("the name of a repository, which stands for it and all below it", REPOSITORY),
    "tag": ("a tag", r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"),
    "digest": ("a digest", r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+"),
    "id": ("the id", "[0-9a-f-]{1,36}"),
}
"""What stands in paths, with a grammar for whoever makes clients of this; the registry's own is in auth and
registry.oci."""

REFUSALS = {
    400: "What was sent is not what is taken; `detail.fields` names each field",
    401: "Nobody is signed in, or not well enough",
    403: "Who is signed in may not do this; the message says what it would take",
    404: "There is no such thing, or none that the caller may see",
    405: "It is switched off here",
    409: "It can't be done as things are; the message says what to do first",
    413: "The body is too large",
    429: "Too many failed tries to sign in",
    503: "The index does not answer now",
    507: "There is no room left",
}


class Document(RootModel[dict[str, Any]]):
    """An OpenAPI document."""


class ErrorEntry(Answer):
    """Something that is wrong."""

    code: str
    message: str
    detail: Any = None


class Errors(Answer):
    """Why a call failed, as all of the registry says it."""

    errors: list[ErrorEntry]


def with_document(operations: Sequence[Operation]) -> Sequence[Operation]:
    """The operations, and one that answers the document of all of them."""
    made: list[Document] = []

    async def run(_call: Call) -> Document:
        if not made:  # only now: the command line hardly ever asks
            made.append(Document(await asyncio.to_thread(openapi, everything)))  # it reads files
        return made[0]

    own = Operation("openapi", "GET", "/openapi.json", "This document", Needs.NOTHING, run, answer=Document)
    everything = [*operations, own]
    return everything


def openapi(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document."""
    bodies = {operation.body for operation in operations if operation.body is not None}
    queries = {operation.query for operation in operations if operation.query is not None}
    answers = {operation.answer for operation in operations if operation.answer is not None}
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        *((model, "validation") for model in sorted(bodies | queries, key=by_name)),
        *((model, "serialization") for model in sorted(answers | {Errors}, key=by_name)),
    ]
    references, schemas = models_json_schema(wanted, ref_template=REFERENCE)
    definitions: dict[str, Any] = schemas["$defs"]

    def reference(model: type[BaseModel], mode: JsonSchemaMode) -> dict[str, Any]:
        return dict(references[model, mode])

    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        described: dict[str, Any] = {
            "operationId": operation.id,
            "summary": operation.summary,
            "tags": [operation.path.split("/")[1]],
            "responses": responses(operation, reference),
        }
        if parameters := [*path_parameters(operation), *query_parameters(operation, definitions)]:
            described["parameters"] = parameters
        if operation.body is not None:
            content = {"application/json": {"schema": reference(operation.body, "validation")}}
            described["requestBody"] = {"required": True, "content": content}
        if operation.needs is Needs.NOTHING:
            described["security"] = []
        elif operation.needs is Needs.REPOSITORY and not operation.changes:
            described["security"] = [*SIGN_IN, {}]  # what is public is for all
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    for query in queries:  # their fields are parameters; nothing refers to them whole
        definitions.pop(query.__name__, None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Entrepot management API",
            "version": version("entrepot"),
            "description": DESCRIPTION,
        },
        "servers": [{"url": "/api/v1"}],
        "security": SIGN_IN,
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            },
        },
    }


def by_name(model: type[BaseModel]) -> str:
    return model.__name__


def path_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": NAMES[name][0],
            "schema": {"type": "string", "pattern": f"^{NAMES[name][1]}$"},
        }
        for name in re.findall(r"{(\w+)}", operation.path)
    ]


def query_parameters(operation: Operation, definitions: dict[str, Any]) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    schema = definitions[operation.query.__name__]
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": without_null(field),
        }
        | ({"description": field["description"]} if "description" in field else {})
        for name, field in schema["properties"].items()
    ]


def without_null(field: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter that is left out, and never null."""
    kept = {name: value for name, value in field.items() if name not in ("default", "description", "title")}
    if "anyOf" in kept:
        kinds = [kind for kind in kept["anyOf"] if kind != {"type": "null"}]
        kept = kept | {"anyOf": kinds} if len(kinds) > 1 else {**kept, **kinds[0]}
        if len(kinds) == 1:
            kept.pop("anyOf")
    return kept


def responses(operation: Operation, reference: Any) -> dict[str, Any]:
    """The answer, and every refusal that can come."""
    if operation.answer is None:
        good: dict[str, Any] = {"description": "Done"}
    else:
        content = {"application/json": {"schema": reference(operation.answer, "serialization")}}
        good = {"description": "Done", "content": content}
    refusal = {"application/json": {"schema": reference(Errors, "serialization")}}
    return {str(operation.status): good} | {
        str(status): {"description": REFUSALS[status], "content": refusal} for status in statuses(operation)
    }


def statuses(operation: Operation) -> list[int]:
    if operation.needs is Needs.NOTHING:
        return [400]
    found = {400, 401, 403, 429, 503}
    if "{" in operation.path or operation.query is not None or operation.body is not None:
        found.add(404)
    if operation.changes:
        found |= {409, 507}
    if operation.body is not None:
        found.add(413)
    if operation.id in ("repository.delete", "tag.delete"):
        found.add(405)
    return sorted(found)
