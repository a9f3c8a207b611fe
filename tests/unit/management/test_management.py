"""Finding operations, what they declare, and the OpenAPI document."""

from dataclasses import replace

import jsonschema
import pytest

from auth.identity import NOBODY
from registry.management.management import Management
from registry.management.operation import Needs
from registry.management.paths import expression
from registry.management.units import parse_duration, parse_moment, parse_size
from registry.oci.errors import InputInvalid, MethodNotAllowed, NoSuchPath, Unauthenticated
from tests.unit.management.conftest import Desk


@pytest.mark.parametrize(
    "path", ["", "/", "/ghosts", "/users/", "/users/a/b", "/users//tokens", "//users", "/Users", "/users\n"]
)
async def test_paths_that_are_none(desk: Desk, path: str) -> None:
    with pytest.raises(NoSuchPath):
        await desk.get(path)


async def test_wrong_methods_are_told_the_right_ones(desk: Desk) -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        await desk.call("PUT", "/users")
    assert caught.value.allowed == ("GET", "POST")


async def test_a_body_where_there_is_none_to_take(desk: Desk) -> None:
    with pytest.raises(InputInvalid, match="takes no body"):
        await desk.call("GET", "/users", {"a": 1})


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/repositories/a", {"repository": "a"}),
        ("/repositories/a/b/c", {"repository": "a/b/c"}),
        ("/repositories/a%2Fb", {"repository": "a%2Fb"}),
        ("/repositories/-a/b-/c-d", {"repository": "-a/b-/c-d"}),
        ("/repositories/a/-", None),
        ("/repositories/-", None),
        ("/repositories/a/-/tags", None),
        ("/repositories/a//b", None),
        ("/repositories/", None),
    ],
)
def test_names_with_slashes_end_before_a_lone_dash(path: str, found: dict[str, str] | None) -> None:
    matched = expression("/repositories/{repository}").fullmatch(path)
    assert (None if matched is None else matched.groupdict()) == found


async def test_every_operation_says_who_may_call_it(desk: Desk) -> None:
    operations = desk.management.operations
    assert {operation.id for operation in operations if operation.needs is Needs.NOTHING} == {"openapi"}
    for broken in (
        [replace(operations[0], needs=None)],  # type: ignore[arg-type]
        [operations[0], operations[0]],
        [operations[0], replace(operations[1], id=operations[0].id)],
    ):
        with pytest.raises(ValueError, match=operations[0].id):
            Management(broken, desk.management._audit)


async def test_nobody_gets_anywhere_without_signing_in(desk: Desk) -> None:
    """All operations that ask for more than a repository; those that do are tested one by one."""
    asked = 0
    for operation in desk.management.operations:
        if operation.needs in (Needs.NOTHING, Needs.REPOSITORY):
            continue
        path = operation.path.format(name="x", id="1", principal="user:x")
        with pytest.raises(Unauthenticated):
            await desk.call(operation.method, path, by=NOBODY)
        asked += 1
    assert asked > 25


async def test_the_document_describes_every_operation(desk: Desk) -> None:
    document = await desk.get("/openapi.json", by=NOBODY)

    assert document["openapi"] == "3.1.0"
    described = {
        (path, method.upper()): entry
        for path, methods in document["paths"].items()
        for method, entry in methods.items()
    }
    assert set(described) == {(operation.path, operation.method) for operation in desk.management.operations}
    for operation in desk.management.operations:
        entry = described[operation.path, operation.method]
        assert ("requestBody" in entry) == (operation.body is not None)
        assert str(operation.status) in entry["responses"]
        assert ("content" in entry["responses"][str(operation.status)]) == (operation.answer is not None)
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


async def test_every_reference_of_the_document_leads_somewhere(desk: Desk) -> None:
    document = await desk.get("/openapi.json")
    schemas = document["components"]["schemas"]
    used: set[str] = set()

    def walk(value: object) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                used.add(value["$ref"])
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(document)
    assert used == {f"#/components/schemas/{name}" for name in schemas}


async def test_answers_are_as_described(desk: Desk) -> None:
    document = await desk.get("/openapi.json")
    await desk.call("POST", "/users", {"name": "alice"})
    created = (await desk.call("POST", "/robots", {"name": "ci", "expires": "1d"})).document

    for path, answer in (
        ("/users", await desk.get("/users")),
        ("/robots/{name}", created["robot"]),
        ("/audit", await desk.get("/audit")),
    ):
        described = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"][
            "schema"
        ]
        schema = described | {"components": document["components"]}
        jsonschema.validate(answer, schema)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45s", 45), ("30m", 1800), ("12h", 43200), ("30d", 2592000), ("2w", 1209600), ("1.5h", 5400), (7, 7)],
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "d", "-1d", "1y", "0", "1e5", "1 d", "١d", True, None, 10**400, float("nan"), "999999999999w"],
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="should be a duration like"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10GiB", 10 * 2**30),
        ("10GB", 10**10),
        ("1.5MiB", 3 * 2**19),
        ("500", 500),
        ("0", 0),
        ("2kib", 2048),
        ("1 TiB", 2**40),
        ("7B", 7),
        (12, 12),
    ],
)
def test_sizes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "GiB", "-1", "1XB", "1iB", "8EiB", "9" * 19 + "TiB", True, 1.5, None, "1GiBs"]
)
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(ValueError, match="should be a size like"):
        parse_size(text)


def test_moments() -> None:
    now = 1_800_000_000.0
    assert parse_moment("1h", now) == now - 3600
    assert parse_moment("1700000000", now) == 1_700_000_000
    assert parse_moment("2026-11-21T12:00:00Z", now) == parse_moment("2026-11-21T13:00:00+01:00", now)
    assert parse_moment("2026-11-21", now) == parse_moment("2026-11-21T00:00:00Z", now)
    for text in ("", "yesterday", "0h", "25:00", "2026-13-01"):
        with pytest.raises(ValueError, match=r"should be a time like .*, a date like "):
            parse_moment(text, now)
