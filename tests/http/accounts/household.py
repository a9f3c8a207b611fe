"""The people, robots and jobs of a test, made through the management API as its first administrator does."""

import json
from typing import Any, NamedTuple

from registry.index import open_index
from registry.services.accounts.first_start import ensure_administrator
from registry.services.audit import Audit
from tests.http.accounts.signing import SignedIn, basic
from tests.http.answers import Answer
from tests.http.client import Client

ADMIN_PASSWORD = "the first password of all"
PASSWORD = "a password of somebody"


class Secret(NamedTuple):
    """A token of somebody: its row and what to sign in with."""

    id: int
    text: str


async def first_administrator(index_url: str) -> None:
    """What the first start does."""
    index = open_index(index_url, pool_size=1)
    try:
        assert await ensure_administrator(index, Audit(index, 3600), ADMIN_PASSWORD) is None
    finally:
        index.close()


class Household:
    """A registry with accounts: `client` is nobody in particular, `admin` is the first administrator."""

    def __init__(self, client: Client, admin_secret: str) -> None:
        self.client = client
        self.admin_secret = admin_secret
        self.admin = SignedIn(client, basic("admin", admin_secret))

    @classmethod
    async def of(cls, client: Client) -> "Household":
        """The administrator has a token, which costs less than a password."""
        by_password = cls(client, ADMIN_PASSWORD)
        return cls(client, (await by_password.personal_token("admin")).text)

    async def ask(self, method: str, path: str, document: object = None) -> Answer:
        """What the management API answers to the administrator."""
        return await ask(self.admin, method, path, document)

    async def call(self, method: str, path: str, document: object = None, status: int = 200) -> Any:
        """The same, which has to succeed; its document."""
        answer = await self.ask(method, path, document)
        assert answer.status == status, answer
        return answer.json if answer.body else None

    async def user(self, name: str, *grants: tuple[str, str], password: str = PASSWORD) -> str:
        """A user with these roles on these patterns; the password."""
        await self.call("POST", "/users", {"name": name, "password": password}, status=201)
        for role, pattern in grants:
            await self.grant(f"user:{name}", role, pattern)
        return password

    async def personal_token(self, name: str, **limits: Any) -> Secret:
        """A personal token of a user, limited so."""
        made = await self.call("POST", f"/users/{name}/tokens", limits, status=201)
        return Secret(made["token"]["id"], made["secret"])

    async def robot(self, name: str, *grants: tuple[str, str], **limits: Any) -> str:
        """A robot with these roles; its secret."""
        made = await self.call("POST", "/robots", {"name": name, **limits}, status=201)
        for role, pattern in grants:
            await self.grant(f"robot:{name}", role, pattern)
        return str(made["secret"])

    async def group(self, name: str, *members: str) -> None:
        await self.call("POST", "/groups", {"name": name}, status=201)
        for member in members:
            await self.call("PUT", f"/groups/{name}/members/{member}", status=204)

    async def grant(self, principal: str, role: str, pattern: str) -> int:
        """The id of the grant."""
        wanted = {"principal": principal, "role": role, "pattern": pattern}
        return int((await self.call("POST", "/grants", wanted, status=201))["id"])

    async def trust(self, name: str, issuer: str, role: str, pattern: str, **claims: str) -> None:
        wanted = {
            "name": name,
            "issuer": issuer,
            "audience": "entrepot",
            "claims": claims,
            "role": role,
            "pattern": pattern,
        }
        await self.call("POST", "/trust-rules", wanted, status=201)

    async def configure(self, repository: str, **settings: Any) -> None:
        await self.call("PATCH", f"/repositories/{repository}", settings)

    async def audit(self, **wanted: str) -> list[dict[str, Any]]:
        """The entries of the audit that match, the newest first."""
        query = "&".join(f"{name}={value}" for name, value in {"n": "1000", **wanted}.items())
        entries: list[dict[str, Any]] = (await self.call("GET", f"/audit?{query}"))["entries"]
        return entries


async def ask(client: Client, method: str, path: str, document: object = None) -> Answer:
    """What the management API answers to this client."""
    body = None if document is None else json.dumps(document).encode()
    headers = {} if document is None else {"Content-Type": "application/json"}
    return await client.request(method, f"/api/v1{path}", body, headers)
