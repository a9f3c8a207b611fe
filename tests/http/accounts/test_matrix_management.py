"""Every operation of the management API, for everybody, in every way to sign in. The operations are those
that the registry really has: one without a row fails."""

import json

import pytest

from auth.roles import Action
from registry.management import assembly
from registry.management.assembly import management
from registry.management.management import Management
from registry.management.operation import Needs
from tests.http.accounts.cast import MISSING, PRIVATE, PUBLIC, REPOSITORIES, Person, cast
from tests.http.accounts.conftest import Guarded
from tests.http.accounts.household import Household
from tests.http.accounts.management_rows import ROWS, Row
from tests.http.accounts.signing import challenge_of
from tests.http.accounts.test_matrix import comparable, outcome_of
from tests.http.answers import Answer
from tests.support.issuer import Issuer

OWN_NAMES = ("reader", "maintainer", "administrator")
"""Users who look after themselves: one with all rights that he has, two with limited tokens, too."""


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Management]:
    """The operations of each registry that is started."""
    found = []

    def spy(*parts: object) -> Management:
        found.append(management(*parts))  # type: ignore[arg-type]
        return found[-1]

    monkeypatch.setattr(assembly, "management", spy)
    return found


def is_admitted(row: Row, person: Person, way: str, repository: str, name: str) -> bool:
    if person.is_out or (person.is_nobody and way == "Bearer"):  # its token can't be for the API
        return False
    if isinstance(row.needs, Action):
        return person.may(row.needs, repository)
    if row.needs is Needs.NOTHING:
        return True
    if row.needs is Needs.SIGNED_IN:
        return not person.is_nobody
    if row.needs is Needs.SELF_OR_ADMINISTRATOR and person.user == name:
        return row.method == "GET" or person.has_all_his_rights
    return person.is_administrator


def check_refusal(person: Person, way: str, answer: Answer) -> None:
    if not person.is_out and not person.is_nobody:
        assert answer.refusal == (403, "DENIED")
        assert answer.errors[0]["detail"]["principal"]
        return
    _, parameters = challenge_of(answer)
    if person.is_out:
        assert parameters["error"] == "invalid_token"
    else:
        assert parameters["scope"] == "registry:api:*"
        assert parameters.get("error") == (None if way == "Basic" else "insufficient_scope")


async def test_everybody_may_manage_what_his_role_allows_and_nothing_else(
    guarded: Guarded, gitlab: Issuer, built: list[Management]
) -> None:
    house = await Household.of(await guarded.start(deletion={"manifests": False}))
    people = await cast(house, gitlab)
    operations = {operation.id: operation for operation in built[0].operations}
    assert operations.keys() == ROWS.keys(), "each operation has a row, and each row an operation"

    for id, row in ROWS.items():
        operation = operations[id]
        assert operation.method == row.method
        assert operation.makes_credentials == row.credentials, id
        if not isinstance(row.needs, Action) and operation.needs is not Needs.REPOSITORY:
            assert operation.needs == row.needs, id
        text = f"{row.path} {json.dumps(row.document)}"
        repositories = REPOSITORIES if "{repository}" in text else (PRIVATE,)
        for person in people:
            for way in person.ways:
                refused = {}
                for repository in repositories:
                    for name in OWN_NAMES if "{name}" in row.path else ("",):
                        what = f"{id} of {name or repository} by {person.name} with {way}"
                        admitted = is_admitted(row, person, way, repository, name)
                        if admitted and row.makes and repository == MISSING:
                            continue
                        answer = await send(house, row, person, way, repository, name)
                        if admitted:
                            absent = row.absent if repository == MISSING else None
                            assert outcome_of(answer) == (absent or row.outcome), what
                        else:
                            check_refusal(person, way, answer)
                            refused[repository] = comparable(answer, repository)
                if PRIVATE in refused and len(repositories) > 1:
                    assert refused[PRIVATE] == refused[MISSING], f"{what}: it tells what exists"
                    if row.needs is not Action.PULL:
                        assert refused[PRIVATE] == refused[PUBLIC], what


async def send(house: Household, row: Row, person: Person, way: str, repository: str, name: str) -> Answer:
    path = row.path.replace("{repository}", repository).replace("{name}", name)
    body = None
    if row.document is not None:
        body = json.dumps(row.document).replace("{repository}", repository).encode()
    return await house.client.request(row.method, f"/api/v1{path}", body, person.ways[way])


async def test_head_answers_as_get_without_a_body(guarded: Guarded, gitlab: Issuer) -> None:
    house = await Household.of(await guarded.start())
    people = await cast(house, gitlab)

    for id, row in ROWS.items():
        if row.method != "GET":
            continue
        for person in people[:3]:
            for way, fields in person.ways.items():
                path = row.path.replace("{repository}", PUBLIC).replace("{name}", "reader")
                got = await house.client.get(f"/api/v1{path}", fields)
                headed = await house.client.head(f"/api/v1{path}", fields)
                assert headed.status == got.status, f"{id} by {person.name} with {way}"
                if got.status == 401:
                    assert challenge_of(headed) == challenge_of(got)


async def test_lists_show_each_caller_what_is_his(guarded: Guarded, gitlab: Issuer) -> None:
    house = await Household.of(await guarded.start())
    people = await cast(house, gitlab)
    await house.call("PUT", f"/quotas/{PRIVATE}", {"bytes": 10**9})
    foreign = await house.grant("user:reader", "reader", "other/app")

    for person in people:
        if person.is_out:
            continue
        for way, fields in person.ways.items():
            if person.is_nobody and way == "Bearer":
                continue
            what = f"{person.name} with {way}"
            seen = (await house.client.get("/api/v1/repositories", fields)).json["repositories"]
            visible = [name for name in (PUBLIC, PRIVATE) if person.may(Action.PULL, name)]
            assert [row["name"] for row in seen] == visible, what
            if person.is_nobody:
                continue
            grants = (await house.client.get("/api/v1/grants", fields)).json["grants"]
            on_acme = [grant for grant in grants if grant["pattern"].startswith("acme/")]
            assert bool(on_acme) == person.may(Action.ADMINISTER, PRIVATE), what
            assert len(grants) > len(on_acme) if person.is_administrator else grants == on_acme, what
            quotas = (await house.client.get("/api/v1/quotas", fields)).json["quotas"]
            assert bool(quotas) == person.may(Action.CONFIGURE, PRIVATE), what
            if not person.is_administrator:
                taken = await house.client.delete(f"/api/v1/grants/{foreign}", fields)
                never = await house.client.delete("/api/v1/grants/999999", fields)
                assert taken.body.replace(str(foreign).encode(), b"999999") == never.body, what
                assert taken.refusal == (404, "NOT_FOUND"), what
