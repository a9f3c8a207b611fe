"""Secrets, used rightly and wrongly in every place where somebody could put one, are found in no log, no row
of the index, and no answer but the one that hands them out."""

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from urllib.parse import quote, urlencode

import pytest
from sqlalchemy import select

from registry.index import Connection, open_index
from registry.index.tables import signing_keys
from tests.http.accounts.canaries import Search
from tests.http.accounts.conftest import Guarded
from tests.http.accounts.household import ADMIN_PASSWORD, Household
from tests.http.accounts.signing import FORM, ask_token, basic, bearer, token
from tests.http.blocking import blocking_calls_pass
from tests.support.issuer import Issuer
from tests.support.ldap_server import (
    GROUPS,
    PASSWORD,
    PEOPLE,
    REGISTRY,
    REGISTRY_PASSWORD,
    LdapServer,
    ldap_server,
)

CANARY = "canary-Of-Alice, 1984"
JSON = {"Content-Type": "application/json"}
JWT = "urn:ietf:params:oauth:token-type:jwt"


@pytest.fixture
def search(index_url: str) -> Search:
    return Search(index_url)


@pytest.fixture
async def house(guarded: Guarded, search: Search) -> AsyncIterator[Household]:
    """With all that can be logged."""
    with search.listening():
        yield await Household.of(await guarded.start(log={"level": "debug", "access": True}))


@pytest.fixture
async def secrets(house: Household, gitlab: Issuer) -> Mapping[str, tuple[str, str]]:
    """One of each kind, with the name that goes with it."""
    await house.user("alice", ("writer", "acme/**"), password=CANARY)
    await house.trust("gitlab", gitlab.url, "writer", "acme/**", project_path="acme/app")
    robot = await house.robot("ci", ("writer", "acme/**"))
    personal = await house.personal_token("alice")
    kept = await ask_token(house.client, fields=basic("alice", personal.text), offline_token="true")
    return {
        "first password": ("admin", ADMIN_PASSWORD),
        "password": ("alice", CANARY),
        "robot's secret": ("ci", robot),
        "personal token": ("alice", personal.text),
        "administrator's token": ("admin", house.admin_secret),
        "refresh token": ("alice", kept.json["refresh_token"]),
        "registry token": ("alice", await token(house.client, fields=basic("alice", personal.text))),
        "OIDC token": ("job", gitlab.token(project_path="acme/app")),
    }


def wrong_headers(name: str, secret: str) -> list[dict[str, str]]:
    """For the wrong name, cut off, in the wrong field: all but the right way to use it."""
    return [
        basic("somebody-else", secret),
        basic(name, secret[:-1]),
        basic(name, f"{secret}x"),
        basic(secret, secret),
        basic(secret, ""),
        basic("", secret),
        bearer(f"{secret}x"),
        {"Authorization": f"Token {secret}"},
        {"Authorization": secret},
        {"Authorization": f"Basic {secret}"},
        *(
            {field: secret}
            for field in ("X-Api-Key", "Cookie", "Proxy-Authorization", "Range", "If-None-Match", "Accept")
        ),
    ]


def wrong_forms(name: str, secret: str) -> list[dict[str, str]]:
    exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
    return [
        {"grant_type": "password", "username": name, "password": f"{secret}x"},
        {"grant_type": "password", "username": secret, "password": secret},
        {"grant_type": "refresh_token", "refresh_token": f"{secret}x"},
        {"grant_type": exchange, "subject_token": f"{secret}x", "subject_token_type": JWT},
        {"grant_type": "password", "username": name, "password": "x", "scope": secret, "client_id": secret},
        {"grant_type": secret},
        {secret: secret},
    ]


async def use(house: Household, search: Search, name: str, secret: str) -> None:
    """Everywhere, rightly and wrongly."""
    client, encoded = house.client, quote(secret, safe="")
    for path in ("/v2/", "/v2/acme/app/manifests/latest", "/api/v1/account"):
        for fields in (basic(name, secret), bearer(secret), *wrong_headers(name, secret)):
            search.heard(await client.get(path, fields))
    await client.get("/v2/token", basic(name, secret))
    for fields in wrong_headers(name, secret):
        search.heard(await client.get("/v2/token", fields))
    for query in (f"token={encoded}", f"access_token={encoded}", f"password={encoded}"):
        for path in ("/v2/_catalog", "/v2/acme/app/tags/list", "/api/v1/users", "/api/v1/audit"):
            search.heard(await client.get(f"{path}?{query}", house.admin.fields))
            search.heard(await client.get(f"{path}?{query}"))
    for form in wrong_forms(name, secret):
        search.heard(await client.post("/v2/token", urlencode(form).encode(), {"Content-Type": FORM}))
    bodies = (f'"{secret}"', f'{{"password": ["{secret}"]}}', f'{{"password": "{secret}", "x": 1}}', secret)
    for path in ("/v2/token", "/api/v1/users", "/api/v1/grants", "/v2/acme/app/manifests/latest"):
        for body in bodies:
            search.heard(await client.post(path, body.encode(), {**house.admin.fields, **JSON}))


async def use_in_paths(house: Household, name: str, secret: str) -> None:
    """As part of a path, which is logged. The answer may repeat it to whoever sent it."""
    for path in (f"/v2/{secret}/tags/list", f"/v2/a/blobs/{secret}", f"/v2/token/{secret}", f"/{secret}"):
        await house.client.get(path)
    for path in (f"/api/v1/users/{secret}", f"/api/v1/users/{secret}/tokens"):
        for fields in ({}, basic(name, secret), house.admin.fields):
            await house.client.get(path, fields)


async def test_no_secret_is_found_where_it_does_not_belong(
    house: Household, search: Search, secrets: Mapping[str, tuple[str, str]]
) -> None:
    for name, secret in secrets.values():
        await use(house, search, name, secret)
        if secret.count(".") == 2 or secret.startswith("entrepot_"):  # a password in a path is like any path
            await use_in_paths(house, name, secret)
    await house.audit()

    for what, (_, secret) in secrets.items():
        assert not search.finds(secret), what


async def test_a_secret_that_could_be_a_name_is_none(house: Household, search: Search) -> None:
    """In lower case it is written as names are."""
    secret = "entrepot_robot_" + 43 * "A"
    for fields in (basic(secret, "wrong"), basic(secret, secret)):
        assert search.heard(await house.client.get("/v2/", fields)).status == 401
    await house.audit()

    assert not search.finds(secret)


async def test_the_search_finds_what_is_there(house: Household, search: Search) -> None:
    """Or the tests beside it would show nothing."""
    await house.user("canary-bird", password=CANARY)
    search.heard(await house.client.get("/v2/", basic("canary-bird", CANARY)))
    search.heard(await house.admin.get("/api/v1/users/canary-bird"))
    await house.audit()

    found = search.finds("canary-bird")

    assert {
        "answers",
        "the log as text",
        "the log as JSON",
        "the table principals",
        "the table audit",
    } <= found


@pytest.mark.parametrize("form", [quote(CANARY), basic("alice", CANARY)["Authorization"], f'"{CANARY}"'])
async def test_the_search_knows_a_secret_in_other_forms(search: Search, form: str) -> None:
    with search.listening():
        logging.getLogger("registry").info("%s", form)

    assert search.finds(CANARY) == {"the log as text", "the log as JSON"}


async def test_private_keys_stay_in_their_column(house: Household, search: Search, index_url: str) -> None:
    await token(house.client)
    await house.call("POST", "/keys/rotate", {}, status=201)
    search.heard(await house.client.get("/v2/token/keys"))
    search.heard(await house.ask("GET", "/keys"))
    search.heard(await house.ask("GET", "/audit"))

    def query(connection: Connection) -> list[str]:
        return list(connection.scalars(select(signing_keys.c.private_key)))

    with blocking_calls_pass():
        index = open_index(index_url, pool_size=1)
    pems = await index.read(query)
    index.close()

    assert len(pems) == 2
    for pem in pems:
        for line in pem.splitlines()[1:-1]:
            assert not search.finds(line)


@pytest.fixture(scope="module")
def slapd() -> Iterator[LdapServer]:
    with ldap_server() as running:
        yield running


@pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
@pytest.mark.usefixtures("failures_are_logged")
async def test_the_directorys_secrets(guarded: Guarded, search: Search, slapd: LdapServer) -> None:
    """The registry's own password for it, right and wrong, and those of people."""
    mistaken = "not the registry's own"
    given = {"url": slapd.url, "user_base": PEOPLE, "group_base": GROUPS, "bind_dn": REGISTRY}
    with search.listening():
        right = await guarded.start(
            log={"level": "debug"}, ldap={**given, "bind_password": REGISTRY_PASSWORD}
        )
        wrong = await guarded.start(log={"level": "debug"}, ldap={**given, "bind_password": mistaken})
        statuses = [
            search.heard(await client.get("/v2/", fields)).status
            for client in (right, wrong)
            for fields in (basic("alice", PASSWORD), basic("alice", f"{PASSWORD}s"), basic(PASSWORD, "x"))
        ]

    assert statuses == [200, 401, 401, 503, 503, 401]
    for secret in (REGISTRY_PASSWORD, mistaken, PASSWORD):
        assert not search.finds(secret)
    assert search.finds("user:alice") >= {"the log as text", "the log as JSON"}, "it does look"
