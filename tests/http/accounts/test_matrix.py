"""Every route, by every method, for everybody, in every way to sign in. The routes are those that the
registry really has: one without a row here fails."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

import registry.app
from auth.roles import Action
from registry.api.routes import Needs, Routes, route_table
from tests.http.accounts.cast import MANIFEST, MISSING, PRIVATE, PUBLIC, REPOSITORIES, TAG, Person, cast
from tests.http.accounts.conftest import Guarded
from tests.http.accounts.household import Household
from tests.http.accounts.signing import challenge_of
from tests.http.answers import Answer
from tests.http.content import EMPTY_CONFIG, digest_of
from tests.http.content import MISSING as NO_DIGEST
from tests.support.issuer import Issuer

PULL, PUSH, DELETE = Action.PULL, Action.PUSH, Action.DELETE
SESSION = "00000000-0000-4000-8000-000000000000"
JSON = {"Content-Type": "application/json"}

Outcome = tuple[int, str]
"""Status and error code; the code is empty for a success and for HEAD."""

UNKNOWN_SESSION = (404, "BLOB_UPLOAD_UNKNOWN")


@dataclass(frozen=True)
class Row:
    """What a route needs, a request to it, and the answer to who may: for a repository that exists, and for
    one that does not."""

    needs: Action | Needs
    path: str
    there: Outcome
    absent: Outcome
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def of_all(path: str, needs: Needs) -> Row:
    """A row of a route that is about no repository."""
    return Row(needs, path, (200, ""), (200, ""))


MANIFEST_PATH = f"/v2/{{repository}}/manifests/{TAG}"
BLOB_PATH = f"/v2/{{repository}}/blobs/{digest_of(EMPTY_CONFIG)}"
SESSION_PATH = f"/v2/{{repository}}/blobs/uploads/{SESSION}.0"

ROWS = {
    ("base", "GET"): of_all("/v2/", Needs.CREDENTIALS),
    ("base", "HEAD"): of_all("/v2/", Needs.CREDENTIALS),
    ("catalog", "GET"): of_all("/v2/_catalog", Needs.CATALOG),
    ("tags", "GET"): Row(PULL, "/v2/{repository}/tags/list", (200, ""), (404, "NAME_UNKNOWN")),
    ("referrers", "GET"): Row(PULL, f"/v2/{{repository}}/referrers/{MANIFEST}", (200, ""), (200, "")),
    ("manifests", "GET"): Row(PULL, MANIFEST_PATH, (200, ""), (404, "NAME_UNKNOWN")),
    ("manifests", "HEAD"): Row(PULL, MANIFEST_PATH, (200, ""), (404, "")),
    ("manifests", "PUT"): Row(
        PUSH, MANIFEST_PATH, (400, "MANIFEST_INVALID"), (400, "MANIFEST_INVALID"), b"{}", JSON
    ),
    ("manifests", "DELETE"): Row(
        DELETE,
        f"/v2/{{repository}}/manifests/{NO_DIGEST}",
        (404, "MANIFEST_UNKNOWN"),
        (404, "NAME_UNKNOWN"),
    ),
    ("blobs", "GET"): Row(PULL, BLOB_PATH, (200, ""), (404, "BLOB_UNKNOWN")),
    ("blobs", "HEAD"): Row(PULL, BLOB_PATH, (200, ""), (404, "")),
    ("blobs", "DELETE"): Row(
        DELETE, f"/v2/{{repository}}/blobs/{NO_DIGEST}", (404, "BLOB_UNKNOWN"), (404, "BLOB_UNKNOWN")
    ),
    ("uploads", "POST"): Row(PUSH, "/v2/{repository}/blobs/uploads/", (202, ""), (202, "")),
    ("upload", "GET"): Row(PUSH, SESSION_PATH, UNKNOWN_SESSION, UNKNOWN_SESSION),
    ("upload", "HEAD"): Row(PUSH, SESSION_PATH, (404, ""), (404, "")),
    ("upload", "PATCH"): Row(PUSH, SESSION_PATH, UNKNOWN_SESSION, UNKNOWN_SESSION, b"x"),
    ("upload", "PUT"): Row(
        PUSH, f"{SESSION_PATH}?digest={digest_of(b'x')}", UNKNOWN_SESSION, UNKNOWN_SESSION, b"x"
    ),
    ("upload", "DELETE"): Row(PUSH, SESSION_PATH, UNKNOWN_SESSION, UNKNOWN_SESSION),
}

ELSEWHERE = {
    ("token", "GET"): "test_token_endpoint",
    ("token", "POST"): "test_token_endpoint",
    ("keys", "GET"): "test_token_endpoint",
    **{
        ("api", method): "test_matrix_management"
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    },
    **{(kind, method): "test_health" for kind in ("alive", "ready") for method in ("GET", "HEAD")},
}
"""Routes that look at credentials themselves, with the module that tells what they do with them."""


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> list[Routes]:
    """The table of each registry that is started."""
    built = []

    def spy(*parts: object) -> Routes:
        built.append(route_table(*parts))  # type: ignore[arg-type]
        return built[-1]

    monkeypatch.setattr(registry.app, "route_table", spy)
    return built


def is_admitted(row: Row, person: Person, way: str, repository: str) -> bool:
    if isinstance(row.needs, Action):
        return person.may(row.needs, repository)
    return not person.is_out and not (person.is_nobody and way == "Basic")


def outcome_of(answer: Answer) -> Outcome:
    return answer.status, answer.code if answer.status >= 400 and answer.body else ""


def check_refusal(row: Row, person: Person, way: str, repository: str, answer: Answer) -> None:
    """Who could do with a better token gets 401 and is told which; who could not, 403."""
    if way == "Basic" and not person.is_nobody and not person.is_out:
        assert answer.status == 403
        if answer.body:
            assert answer.code == "DENIED"
            assert answer.errors[0]["detail"]["repository"] == repository
        assert "WWW-Authenticate" not in answer.headers
        return
    scheme, parameters = challenge_of(answer)
    assert scheme == "Bearer"
    if person.is_out:
        assert parameters["error"] == "invalid_token"
    elif person.is_nobody and way == "Basic":
        assert "error" not in parameters
    else:
        assert parameters["error"] == "insufficient_scope"
    if isinstance(row.needs, Action) and not person.is_out:
        actions = {PULL: "pull", PUSH: "pull,push", DELETE: "delete"}[row.needs]
        assert parameters["scope"] == f"repository:{repository}:{actions}"


def comparable(answer: Answer, repository: str) -> tuple[object, ...]:
    """The whole answer, but for the repository's name and the moment."""
    name = repository.encode()
    fields = sorted(
        (key, value.replace(repository, "acme/......"))
        for key, value in answer.headers.items()
        if key not in ("Date", "X-Request-ID")
    )
    return answer.status, fields, answer.body.replace(name, b"acme/......")


async def test_everybody_may_do_what_his_role_allows_and_nothing_else(
    guarded: Guarded, gitlab: Issuer, routes: list[Routes]
) -> None:
    house = await Household.of(await guarded.start())
    people = await cast(house, gitlab)
    (table,) = routes
    served = {(kind, method): route for kind, methods in table.items() for method, route in methods.items()}
    assert served.keys() - ELSEWHERE.keys() == ROWS.keys(), "each route has a row, and each row a route"

    for (kind, method), row in ROWS.items():
        assert served[kind, method].needs == row.needs, f"{method} {kind}"
        repositories = REPOSITORIES if "{repository}" in row.path else (PRIVATE,)
        for person in people:
            for way, fields in person.ways.items():
                refused = {}
                for repository in repositories:
                    what = f"{method} {kind} of {repository} by {person.name} with {way}"
                    path = row.path.format(repository=repository)
                    answer = await house.client.request(method, path, row.body, {**row.headers, **fields})
                    if is_admitted(row, person, way, repository):
                        expected = row.absent if repository == MISSING else row.there
                        assert outcome_of(answer) == expected, what
                    else:
                        check_refusal(row, person, way, repository, answer)
                        refused[repository] = comparable(answer, repository)
                if PRIVATE in refused and len(repositories) > 1:
                    assert refused[PRIVATE] == refused[MISSING], f"{what}: it tells what exists"
                    if row.needs is not PULL:  # all may know of a public one
                        assert refused[PRIVATE] == refused[PUBLIC], what


async def test_routes_that_look_at_credentials_themselves_are_these(
    guarded: Guarded, routes: list[Routes]
) -> None:
    await guarded.start()

    own = {
        (kind, method)
        for kind, methods in routes[0].items()
        for method, route in methods.items()
        if route.needs is Needs.NOTHING
    }

    assert own == ELSEWHERE.keys()
