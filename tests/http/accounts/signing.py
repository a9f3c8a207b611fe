"""How requests of these tests are signed in: Basic, Bearer, and the token endpoint in both forms."""

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from multidict import CIMultiDict

from tests.http.answers import Answer
from tests.http.client import Body, Client, GivenHeaders

FORM = "application/x-www-form-urlencoded"

Headers = Mapping[str, str]


def basic(name: str, secret: str) -> dict[str, str]:
    """The header field for a name and a secret (RFC 7617)."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    """The header field for a registry token (RFC 6750)."""
    return {"Authorization": f"Bearer {token}"}


class SignedIn(Client):
    """A client whose every request has these header fields."""

    def __init__(self, client: Client, fields: Headers) -> None:
        super().__init__(client._session, client.port)
        self.fields = dict(fields)

    async def request(
        self, method: str, path: str, body: Body = None, headers: GivenHeaders = (), **options: Any
    ) -> Answer:
        """See Client.request."""
        merged = CIMultiDict(self.fields)
        merged.extend(CIMultiDict(headers))
        return await super().request(method, path, body, merged, **options)


async def ask_token(client: Client, *scopes: str, fields: GivenHeaders = (), **parameters: str) -> Answer:
    """What GET answers; `parameters` go into the query."""
    query = urlencode([("service", "entrepot"), *(("scope", one) for one in scopes), *parameters.items()])
    return await client.get(f"/v2/token?{query}", fields)


async def token(client: Client, *scopes: str, fields: GivenHeaders = ()) -> str:
    """A token for these scopes."""
    answer = await ask_token(client, *scopes, fields=fields)
    assert answer.status == 200, answer
    return str(answer.json["token"])


async def post_token(client: Client, content_type: str = FORM, **fields: str) -> Answer:
    """What POST answers to this form."""
    return await client.post("/v2/token", urlencode(fields).encode(), {"Content-Type": content_type})


async def signed_in(client: Client, name: str, secret: str, *scopes: str) -> SignedIn:
    """The client with a registry token for these scopes."""
    return SignedIn(client, bearer(await token(client, *scopes, fields=basic(name, secret))))


def challenge_of(answer: Answer) -> tuple[str, dict[str, str]]:
    """The scheme and the parameters of the one challenge of a 401; fails unless all is quoted and none is
    empty (docker stops reading at an empty value)."""
    assert answer.status == 401, answer
    (line,) = answer.headers.getall("WWW-Authenticate")
    scheme, _, rest = line.partition(" ")
    parameters: dict[str, str] = {}
    for pair in rest.replace(", charset", ",charset").split('",'):
        name, separator, value = pair.removesuffix('"').partition('="')
        assert separator, line
        assert value, line
        assert name not in parameters, line
        parameters[name] = value
    written = ",".join(f'{name}="{value}"' for name, value in parameters.items())
    assert rest.replace(", charset", ",charset") == written, line
    return scheme, parameters
