"""A registry with accounts, set up by its administrator as one would: through the management API."""

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from registry.config import Settings
from registry.index import open_index, sign_in_failures
from tests.engines.remote import Remote
from tests.support.issuer import Issuer, issuer
from tests.support.server import start_registry

NAMESPACE = "engines"
"""Of all repositories that clients push to."""


class Login(NamedTuple):
    """What somebody signs in with."""

    name: str
    secret: str

    @property
    def basic(self) -> str:
        """The header field Authorization."""
        return "Basic " + base64.b64encode(f"{self.name}:{self.secret}".encode()).decode()


GOOD = ("user", "robot", "personal token", "job")
"""Logins that may pull and push everything below `engines`. A job shows the token of its issuer."""

REFUSED = {
    "wrong password": "the user name or the password is wrong",
    "disabled user": "the user name or the password is wrong",
    "expired personal token": "this token expired at",
    "revoked personal token": "this token is not known: it was revoked",
    "replaced robot secret": "this token is not known: it was revoked",
    "expired job": "does not count",
    "job of another repository": "no trust rule matches its claims",
}
"""Logins that are refused, and what the registry says of them."""


@dataclass(frozen=True)
class Guarded:
    """`remote` is the registry as its administrator sees it; `logins` has those of GOOD and REFUSED, and
    `reader`, who may pull everything."""

    remote: Remote
    logins: dict[str, Login]
    data: Path

    @property
    def address(self) -> str:
        return self.remote.address

    def at(self, address: str) -> "Guarded":
        """The same, reached by another way."""
        return replace(self, remote=replace(self.remote, address=address))

    def api(self, method: str, path: str, **body: object) -> Any:
        """The answer of the management API, which has to be one of success."""
        return call(self.remote, method, path, **body)

    def publish(self, repository: str) -> None:
        """Let everybody pull."""
        self.api("PATCH", f"/repositories/{repository}", public=True)

    def forgive(self) -> None:
        """Forget the failed sign-ins: all clients share one address, which would soon have to wait."""

        async def clear() -> None:
            index = open_index(Settings(data=self.data).index_url(), pool_size=1)
            try:
                await index.write(lambda connection: sign_in_failures.remove_before(connection, time.time()))
            finally:
                index.close()

        asyncio.run(clear())


def call(remote: Remote, method: str, path: str, **body: object) -> Any:
    headers = {"Content-Type": "application/json"}
    answer = remote.request(method, f"/api/v1{path}", headers, json.dumps(body).encode() if body else None)
    assert answer.status in (200, 201, 204), f"{method} {path}: {answer.status} {answer.body!r}"
    return json.loads(answer.body) if answer.body else None


@contextmanager
def guarded_registry(data: Path) -> Iterator[Guarded]:
    """Run such a registry, of two workers, and the issuer that its jobs get their tokens from."""
    administrator = Login("admin", secrets.token_urlsafe())
    environment = {"ENTREPOT_AUTH__MODE": "accounts", "ENTREPOT_AUTH__ADMIN_PASSWORD": administrator.secret}
    with issuer() as jobs:
        running = start_registry(data, workers=2, environment=environment)
        try:
            remote = Remote(running.address, administrator.basic)
            yield Guarded(remote, make_logins(remote, jobs), data)
            assert running.stop() == 0, running.log
        finally:
            running.kill()


def make_logins(remote: Remote, jobs: Issuer) -> dict[str, Login]:
    """Make everybody who signs in; see Guarded."""
    logins: dict[str, Login] = {}

    def user(login: str, name: str) -> None:
        logins[login] = Login(name, secrets.token_urlsafe())
        call(remote, "POST", "/users", name=name, password=logins[login].secret)

    def personal(login: str, **options: object) -> int:
        made = call(remote, "POST", "/users/alice/tokens", **options)
        logins[login] = Login("alice", made["secret"])
        return int(made["token"]["id"])

    def grant(principal: str, role: str) -> None:
        call(remote, "POST", "/grants", principal=principal, role=role, pattern=f"{NAMESPACE}/**")

    user("user", "alice")
    grant("user:alice", "writer")
    user("reader", "bob")
    grant("user:bob", "reader")
    user("wrong password", "carol")
    logins["wrong password"] = logins["wrong password"]._replace(secret="not-her-password")
    user("disabled user", "dave")
    call(remote, "PATCH", "/users/dave", disabled=True)
    personal("personal token", description="laptop")
    personal("expired personal token", expires=0.001)
    revoked = personal("revoked personal token", description="lost")
    call(remote, "DELETE", f"/users/alice/tokens/{revoked}")
    old = call(remote, "POST", "/robots", name="ci")["secret"]
    logins["replaced robot secret"] = Login("ci", old)
    logins["robot"] = Login("ci", call(remote, "POST", "/robots/ci/secret", expires="1d")["secret"])
    grant("robot:ci", "writer")
    rule = {"issuer": jobs.url, "audience": "entrepot", "claims": {"repository": "acme/app"}}
    call(remote, "POST", "/trust-rules", name="jobs", role="writer", pattern=f"{NAMESPACE}/**", **rule)
    hour = int(time.time()) + 3600  # the whole run may take a while
    logins["job"] = Login("job", jobs.token(repository="acme/app", exp=hour))
    logins["expired job"] = Login("job", jobs.token(repository="acme/app", exp=int(time.time()) - 3600))
    logins["job of another repository"] = Login("job", jobs.token(repository="acme/other", exp=hour))
    return logins
