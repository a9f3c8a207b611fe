"""Signing in where a registry asks for it: Basic, and the token flow of the Docker registries."""

import base64
import json
import re
from collections.abc import Callable
from urllib.parse import urlencode

Fetch = Callable[[str, dict[str, str]], bytes]


class Authorization:
    """Keeps what has to stand in the Authorization header, and renews it when the registry asks again."""

    def __init__(self, username: str, password: str) -> None:
        self._basic = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        self.header: str | None = None

    def answer(self, challenges: list[str], fetch: Fetch) -> None:
        """Set `header` as the WWW-Authenticate lines of a 401 ask; `fetch` makes a GET with headers."""
        for challenge in challenges:
            scheme, _, rest = challenge.partition(" ")
            if scheme.lower() == "bearer":
                self.header = f"Bearer {self._token(rest, fetch)}"
                return
        self.header = self._basic

    def _token(self, parameters: str, fetch: Fetch) -> str:
        found = dict(re.findall(r'([a-z_]+)="([^"]*)"', parameters))
        asked = [("service", found["service"])] if "service" in found else []
        asked += [("scope", scope) for scope in found.get("scope", "").split()]
        url = f"{found['realm']}?{urlencode(asked)}" if asked else found["realm"]
        answer = json.loads(fetch(url, {"Authorization": self._basic}))
        return str(answer.get("token") or answer["access_token"])
