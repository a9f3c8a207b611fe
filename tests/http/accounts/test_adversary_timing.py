"""A refusal takes the same work whether the repository exists: its time tells nothing either."""

from typing import Any

import pytest

from registry.index import access
from tests.http.accounts.household import Household
from tests.http.accounts.signing import ask_token, basic, bearer


async def test_private_and_missing_cost_the_same_reads(
    house: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.configure("private/app", description="nobody's business")
    await house.configure("open/app", public=True)
    await house.user("alice", ("reader", "private/*"))
    await house.user("bob")
    alice = basic("alice", (await house.personal_token("alice")).text)
    bob = basic("bob", (await house.personal_token("bob")).text)
    nobody = bearer((await ask_token(house.client)).json["token"])
    read: list[str] = []
    facts = access.facts

    def counted(connection: Any, name: str) -> Any:
        read.append(name)
        return facts(connection, name)

    monkeypatch.setattr(access, "facts", counted)

    async def reads(name: str, fields: dict[str, str] | None) -> int:
        read.clear()
        for _ in range(3):
            await house.client.request("GET", f"/v2/{name}/tags/list", None, fields or {})
            await house.client.request("POST", f"/v2/{name}/blobs/uploads/", b"", fields or {})
        return len(read)

    for fields in (None, bob, nobody):
        await reads("private/app", alice)  # those who may use it have it remembered
        assert await reads("private/app", fields) == await reads("private/none", fields)
        await reads("open/app", fields)
        assert await reads("open/app", fields) == 0, "what is public is remembered"
