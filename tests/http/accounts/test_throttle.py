"""Guessing passwords is slow, for an account and for an address, and shows nothing of who exists. The clock
is set forward; nobody waits."""

import asyncio

import pytest

from auth import passwords
from auth.throttle import ACCOUNT, ADDRESS
from registry.services import sign_in
from tests.http.accounts.clock import Clock
from tests.http.accounts.conftest import Guarded
from tests.http.accounts.household import PASSWORD, Household
from tests.http.accounts.signing import basic, post_token
from tests.http.answers import Answer
from tests.http.client import Client

BEHIND = {"trusted_proxies": ["127.0.0.0/8"]}


async def fail(client: Client, name: str, times: int, headers: dict[str, str] | None = None) -> list[Answer]:
    return [
        await client.get("/v2/", {**basic(name, f"wrong {number}"), **(headers or {})})
        for number in range(times)
    ]


async def test_an_account_is_slowed(house: Household, clock: Clock) -> None:
    await house.user("alice")
    allowed = await fail(house.client, "alice", ACCOUNT.free + 1)

    slowed = await house.client.get("/v2/", basic("alice", "wrong again"))

    assert {answer.status for answer in allowed} == {401}
    assert slowed.refusal == (429, "TOOMANYREQUESTS")
    assert slowed.headers["Retry-After"] == "1"
    assert "WWW-Authenticate" not in slowed.headers
    held_off = await house.client.get("/v2/", basic("alice", PASSWORD))
    assert held_off.status == 429, "whether the password is right is not looked at"
    clock.pass_by(1)
    assert (await house.client.get("/v2/", basic("alice", PASSWORD))).status == 200


async def test_each_further_failure_doubles_the_wait(house: Household, clock: Clock) -> None:
    await house.user("alice")
    await fail(house.client, "alice", ACCOUNT.free)
    waits = []
    for number in range(8):
        assert (await house.client.get("/v2/", basic("alice", f"wrong {number}"))).status == 401
        slowed = await house.client.get("/v2/", basic("alice", "wrong, too early"))
        assert slowed.status == 429
        waits.append(int(slowed.headers["Retry-After"]))
        clock.pass_by(waits[-1])

    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


async def test_the_right_password_forgives(house: Household, clock: Clock) -> None:
    await house.user("alice")
    for _ in range(3):
        await fail(house.client, "alice", ACCOUNT.free)
        assert (await house.client.get("/v2/", basic("alice", PASSWORD))).status == 200
        await house.call("PATCH", "/users/alice", {"description": "and it is asked for anew"})


async def test_an_address_is_slowed_whatever_the_names(guarded: Guarded, clock: Clock) -> None:
    client = await guarded.start(server=BEHIND)
    house = await Household.of(client)
    await house.user("alice")
    here, there = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.2"}
    for number in range(ADDRESS.free + 1):
        assert (await fail(client, f"guess{number}", 1, here))[0].status == 401

    slowed = await client.get("/v2/", {**basic("alice", PASSWORD), **here})
    elsewhere = await client.get("/v2/", {**basic("alice", PASSWORD), **there})

    assert slowed.status == 429
    assert elsewhere.status == 200


async def test_secrets_that_can_not_be_guessed_still_enter(house: Household, clock: Clock) -> None:
    """A robot and a job go on, whatever somebody at the same address tries."""
    secret = await house.robot("ci")
    await house.user("alice")
    personal = await house.personal_token("alice")
    for _ in range(3):
        await fail(house.client, "ci", ACCOUNT.free + 2)
        await fail(house.client, "alice", ACCOUNT.free + 2)

    assert (await house.client.get("/v2/", basic("alice", PASSWORD))).status == 429
    assert (await house.client.get("/v2/", basic("ci", secret))).status == 200
    assert (await house.client.get("/v2/", basic("alice", personal.text))).status == 200


async def test_all_ways_in_count_together(house: Household, clock: Clock) -> None:
    await house.user("alice")
    await fail(house.client, "alice", 2)
    for number in range(2):
        answer = await post_token(
            house.client, grant_type="password", username="alice", password=f"no {number}"
        )
        assert answer.status == 401
    for number in range(2):
        assert (await house.client.get("/v2/token", basic("alice", f"never {number}"))).status == 401

    for answer in (
        await house.client.get("/v2/", basic("alice", "x")),
        await house.client.get("/v2/token", basic("alice", "x")),
        await house.client.get("/api/v1/account", basic("alice", "x")),
        await post_token(house.client, grant_type="password", username="alice", password="x"),
    ):
        assert answer.refusal == (429, "TOOMANYREQUESTS")
        assert int(answer.headers["Retry-After"]) >= 1


async def test_another_process_knows_of_them(guarded: Guarded, clock: Clock) -> None:
    first, second = await guarded.start(), await guarded.start()
    await fail(first, "alice", ACCOUNT.free + 1)

    assert (await second.get("/v2/", basic("alice", "wrong"))).status == 429


async def test_a_failure_counts_once_even_when_rights_change_meanwhile(
    house: Household, clock: Clock
) -> None:
    """A change has everything that is remembered looked at again; a password was never remembered wrong."""
    await house.user("alice")
    for number in range(ACCOUNT.free):
        await house.user(f"somebody{number}")
        assert (await fail(house.client, "alice", 1))[0].status == 401

    assert (await house.client.get("/v2/", basic("alice", PASSWORD))).status == 200


async def test_who_exists_shows_neither_in_the_answer_nor_in_the_work(
    house: Household, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work is what takes time: one comparison with a hash, for somebody and for nobody."""
    await house.user("alice")
    await house.user("former")
    await house.call("PATCH", "/users/former", {"disabled": True})
    await house.robot("ci")
    compared: list[str] = []
    hasher = passwords._HASHER

    class Counting:
        def verify(self, hashed: str, data: bytes) -> bool:
            compared.append(hashed)
            return hasher.verify(hashed, data)

        def __getattr__(self, name: str) -> object:
            return getattr(hasher, name)

    monkeypatch.setattr(passwords, "_HASHER", Counting())
    seen = set()
    for name in ("alice", "former", "ci", "nobody", "admin", "NOT-A-NAME", "x" * 200):
        compared.clear()
        answer = await house.client.get("/v2/", basic(name, "a wrong password"))
        assert len(compared) == 1, name
        seen.add((answer.status, answer.body, answer.headers["WWW-Authenticate"]))
        for _ in range(ACCOUNT.free):
            await house.client.get("/v2/", basic(name, "a wrong password"))
        compared.clear()
        slowed = await house.client.get("/v2/", basic(name, "a wrong password"))
        assert slowed.status == 429, name
        assert not compared, "nothing is spent on who has to wait"
        clock.pass_by(1000)

    assert len(seen) == 1


async def test_one_password_is_compared_once_for_requests_that_come_together(
    house: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients with Basic send many at once; a comparison takes a core for a while."""
    await house.user("alice", ("reader", "**"))
    calls = []
    verify = sign_in.verify_password

    def counted(hashed: str | None, password: str) -> passwords.Verified:
        calls.append(hashed)
        return verify(hashed, password)

    monkeypatch.setattr(sign_in, "verify_password", counted)

    answers = await asyncio.gather(*(house.client.get("/v2/", basic("alice", PASSWORD)) for _ in range(20)))

    assert {answer.status for answer in answers} == {200}
    assert len(calls) == 1
