"""Lists show what may be pulled and nothing else: the catalog, the search, their pages, their links."""

from collections.abc import Sequence

import pytest

from registry.services import repositories
from tests.http.accounts.household import PASSWORD, Household
from tests.http.accounts.signing import SignedIn, basic, bearer, token
from tests.http.client import Client

NAMES = (
    "acme",
    "acme/app",
    "acme/app/sub",
    "acme/base",
    "acme/deep/er/app",
    "acmes/app",
    "beta/app",
    "beta/open",
    "zoo",
)
PUBLIC = "beta/open"


@pytest.fixture
async def names(house: Household) -> Sequence[str]:
    """Repositories of these names, one of them public."""
    for name in NAMES:
        await house.configure(name, public=name == PUBLIC)
    return NAMES


async def catalog(client: Client, size: int | None = None) -> list[str]:
    """All pages of the catalog, each by the Link of the one before. No page and no Link tells more."""
    found: list[str] = []
    path = "/v2/_catalog" if size is None else f"/v2/_catalog?n={size}"
    while True:
        answer = await client.get(path)
        assert answer.status == 200, answer
        page = answer.json["repositories"]
        found += page
        if "Link" not in answer.headers:
            return found
        assert len(page) == size
        path = answer.headers["Link"].removeprefix("<").partition(">")[0]
        assert path == f"/v2/_catalog?last={page[-1].replace('/', '%2F')}&n={size}"


async def search(client: Client, size: int, text: str = "") -> list[str]:
    """The same of the management API, with its `next`."""
    found: list[str] = []
    last = ""
    while True:
        query = f"n={size}" + (f"&search={text}" if text else "") + (f"&last={last}" if last else "")
        answer = await client.get(f"/api/v1/repositories?{query}")
        assert answer.status == 200, answer
        found += [row["name"] for row in answer.json["repositories"]]
        last = answer.json["next"]
        if last is None:
            return found
        assert last == found[-1]


SEEN: dict[str, Sequence[str]] = {
    "acme/*": ("acme/app", "acme/base"),
    "acme/**": ("acme/app", "acme/app/sub", "acme/base", "acme/deep/er/app"),
    "acme/app": ("acme/app",),
    "acme": ("acme",),
    "*/app": ("acme/app", "acmes/app", "beta/app"),
    "*": ("acme", "zoo"),
    "**": NAMES,
    "none/**": (),
}


@pytest.mark.parametrize("pattern", SEEN)
async def test_who_may_pull_sees(house: Household, names: Sequence[str], pattern: str) -> None:
    await house.user("alice", ("reader", pattern))
    alice = SignedIn(house.client, basic("alice", PASSWORD))
    by_token = SignedIn(
        house.client, bearer(await token(house.client, "registry:catalog:*", fields=alice.fields))
    )
    expected = sorted({*SEEN[pattern], PUBLIC}, key=str.encode)

    for client in (alice, by_token):
        assert await catalog(client) == expected
        for size in (1, 2, 5):
            assert await catalog(client, size) == expected
    assert await search(alice, 2) == expected
    assert await search(alice, 100, "app") == [name for name in expected if "app" in name]


async def test_nobody_sees_what_is_public(house: Household, names: Sequence[str]) -> None:
    nobody = SignedIn(house.client, bearer(await token(house.client, "registry:catalog:*")))

    assert await catalog(nobody, 1) == [PUBLIC]
    assert await search(house.client, 1) == [PUBLIC]


async def test_a_limited_token_sees_its_own(house: Household, names: Sequence[str]) -> None:
    await house.user("alice", ("reader", "**"))
    limited = await house.personal_token("alice", repositories=["acme/*"])

    seen = await catalog(SignedIn(house.client, basic("alice", limited.text)), 1)

    assert seen == ["acme/app", "acme/base"]


async def test_a_limited_token_of_an_administrator_sees_its_own(
    house: Household, names: Sequence[str]
) -> None:
    limited = await house.personal_token("admin", repositories=["beta/*"])
    reading = await house.personal_token("admin", read_only=True)

    assert await catalog(SignedIn(house.client, basic("admin", limited.text)), 1) == ["beta/app", PUBLIC]
    assert await catalog(SignedIn(house.client, basic("admin", reading.text)), 4) == list(NAMES)


async def test_grants_of_all_groups_count_together(house: Household, names: Sequence[str]) -> None:
    await house.user("alice", ("writer", "zoo"))
    await house.group("dev", "user:alice")
    await house.grant("group:dev", "reader", "acme/base")

    seen = await catalog(SignedIn(house.client, basic("alice", PASSWORD)), 1)

    assert seen == ["acme/base", PUBLIC, "zoo"]


async def test_a_strange_last_shows_nothing(house: Household, names: Sequence[str]) -> None:
    """`last` is any text; it is no way to ask whether a name exists."""
    await house.user("alice", ("reader", "zoo"))
    alice = SignedIn(house.client, basic("alice", PASSWORD))

    for last in ("acme", "acme/app", "acme%2Fapp", "acme/none", "%00", "%F0%9F%90%B3", "ACME"):
        first = await alice.get(f"/v2/_catalog?n=1&last={last}")
        assert first.status == 200
        assert first.json["repositories"] in ([PUBLIC], ["zoo"], [])
        for name in set(NAMES) - {PUBLIC, "zoo"}:
            assert name not in first.headers.get("Link", "")


async def test_a_page_is_filled_over_many_hidden_names(
    house: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than are read at once, and the last one is the one that may be seen."""
    monkeypatch.setattr(repositories, "BATCH", 7)
    for number in range(30):
        await house.configure(f"acme/{number:03}")
    await house.configure("acme/zoo/seen")
    await house.user("alice", ("reader", "acme/*/seen"))
    alice = SignedIn(house.client, basic("alice", PASSWORD))

    answer = await alice.get("/v2/_catalog?n=1")

    assert answer.json["repositories"] == ["acme/zoo/seen"]
    assert "Link" not in answer.headers


async def test_tags_and_referrers_are_for_who_may_pull(house: Household, names: Sequence[str]) -> None:
    await house.user("alice", ("reader", "acme/app"))
    alice = SignedIn(house.client, basic("alice", PASSWORD))

    for name in NAMES:
        may = name in ("acme/app", PUBLIC)
        assert (await alice.get(f"/v2/{name}/tags/list")).status == (200 if may else 403)
        assert (await alice.get(f"/v2/{name}/referrers/sha256:{64 * '0'}")).status == (200 if may else 403)
