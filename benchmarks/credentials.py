"""How a client shows who it is: not at all, by a password on every request, or by tokens as docker does."""

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import bcrypt

from benchmarks.client import Connection

HTPASSWD_COST = 5
"""What `htpasswd -B` takes unless it is told otherwise."""

RENEW_SECONDS = 60
"""A token is fetched anew when it has less than this left to live."""


class Credentials(Protocol):
    """What a client signs in with."""

    def headers(self, repository: str) -> Mapping[str, str]:
        """What every request to a repository carries."""
        ...


class NoCredentials:
    """For a server without accounts."""

    def headers(self, repository: str) -> Mapping[str, str]:
        return {}


@dataclass(frozen=True)
class Password:
    """Basic on every request."""

    name: str
    password: str

    def headers(self, repository: str) -> Mapping[str, str]:
        pair = f"{self.name}:{self.password}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}

    def htpasswd(self) -> str:
        """The line of an htpasswd file."""
        hashed = bcrypt.hashpw(self.password.encode(), bcrypt.gensalt(HTPASSWD_COST))
        return f"{self.name}:{hashed.decode()}\n"


@dataclass
class RobotTokens:
    """Bearer on every request, with tokens from the server's endpoint, kept while they live."""

    address: str
    robot: Password
    _kept: dict[str, tuple[str, float]] = field(default_factory=dict)

    @staticmethod
    def endpoint(repository: str, actions: str) -> str:
        """Path and query of a request for a token."""
        return f"/v2/token?service=entrepot&scope=repository:{repository}:{actions}"

    def headers(self, repository: str) -> Mapping[str, str]:
        token, until = self._kept.get(repository, ("", 0.0))
        if time.monotonic() > until:
            began = time.monotonic()
            with Connection(self.address, self.robot.headers(repository)) as connection:
                answer = connection.request("GET", self.endpoint(repository, "pull,push")).expect(200)
            document = json.loads(answer.body)
            token = document["token"]
            self._kept[repository] = token, began + document["expires_in"] - RENEW_SECONDS
        return {"Authorization": f"Bearer {token}"}


NO_CREDENTIALS = NoCredentials()
