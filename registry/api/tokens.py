"""The token endpoint, in Docker's two forms: GET with Basic, and POST as in OAuth 2 (RFC 6749, RFC 8693).

A client gets what of its scopes it may have; too few rights are no error here, but where the token is used.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import parse_qsl

from auth.identity import NOBODY, Identity
from auth.keys import jwks
from auth.scopes import Scope, parse_scopes
from registry.api.bodies import whole
from registry.api.challenges import escaped
from registry.api.replies import Reply, content, json_content
from registry.api.requests import Request
from registry.oci.errors import NoSuchPath, RequestInvalid, Unauthenticated
from registry.services.authentication import actor_of, parse_basic
from registry.services.registry_tokens import Issued, RegistryTokens
from registry.services.sign_in import SignIn
from registry.services.signing_keys import SigningKeys

LARGEST_FORM = 64 * 1024
"""Bytes."""

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_TYPES = ("urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token")
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a type

NEVER_KEEP = {"Cache-Control": "no-store", "Pragma": "no-cache"}

Form = dict[str, list[str]]


class TokenRoutes:
    """Handlers for tokens and for the key set. `service` is what the registry is called in tokens."""

    def __init__(self, sign_in: SignIn, tokens: RegistryTokens, keys: SigningKeys, service: str) -> None:
        self._sign_in = sign_in
        self._tokens = tokens
        self._keys = keys
        self._service = service

    async def get(self, request: Request) -> Reply:
        """With Basic, or without for what everybody may pull."""
        with self._challenging():
            identity = await self._by_authorization(request)
        issued = await self._tokens.issue(identity, parse_scopes(request.parameters("scope")))
        refresh = request.parameter("offline_token") == "true"
        return await self._answer(request, identity, issued, refresh, request.parameter("client_id"), {})

    async def post(self, request: Request) -> Reply:
        """A form. Raises NoSuchPath for a grant type that is not known: on it, clients fall back to GET."""
        form = await read_form(request)
        grant = one(form, "grant_type")
        scopes = parse_scopes(form.get("scope", []))
        extra: dict[str, str] = {}
        refresh = one(form, "access_type") == "offline"
        with self._challenging():
            if grant == "password":
                identity = await self._by_password(request, one(form, "username"), one(form, "password"))
            elif grant == "refresh_token":
                identity = await self._sign_in.refresh(one(form, "refresh_token"), actor_of(request))
                refresh = False  # the one it has stays good
            elif grant == EXCHANGE:
                identity = await self._by_exchange(request, form)
                extra = {"issued_token_type": ACCESS_TOKEN, "token_type": "Bearer"}
            else:
                raise NoSuchPath("grant_type should be password, refresh_token or token-exchange")
        issued = await self._tokens.issue(identity, scopes)
        extra["scope"] = " ".join(str(scope) for scope in granted_scopes(issued))
        return await self._answer(request, identity, issued, refresh, one(form, "client_id"), extra)

    async def keys(self, request: Request) -> Reply:
        """The key set (RFC 7517), for whoever checks our tokens."""
        document = json.dumps(jwks(await self._keys.published()), separators=(",", ":")).encode()
        return content(200, "application/jwk-set+json", document, {"Cache-Control": "max-age=30"})

    async def _by_authorization(self, request: Request) -> Identity:
        authorization = request.headers.get("Authorization")
        if authorization is None:
            return NOBODY
        scheme, _, parameters = authorization.partition(" ")
        if scheme.lower() != "basic":
            raise Unauthenticated("the token endpoint takes Basic, or a form by POST")
        return await self._by_password(request, *parse_basic(parameters.strip()))

    async def _by_password(self, request: Request, name: str, password: str) -> Identity:
        if not name and not password:
            return NOBODY
        return await self._sign_in.sign_in(name, password, actor_of(request))

    async def _by_exchange(self, request: Request, form: Form) -> Identity:
        if one(form, "subject_token_type") not in JWT_TYPES:
            raise RequestInvalid(f"subject_token_type should be {' or '.join(JWT_TYPES)}")
        return await self._sign_in.sign_in_by_job_token(one(form, "subject_token"), actor_of(request))

    @contextmanager
    def _challenging(self) -> Iterator[None]:
        """Here, a client is to send a name and a password (RFC 9110 section 11.6.1)."""
        try:
            yield
        except Unauthenticated as error:
            error.challenge = f'Basic realm="{escaped(self._service)}", charset="UTF-8"'
            raise

    async def _answer(
        self,
        request: Request,
        identity: Identity,
        issued: Issued,
        refresh: bool,
        client: str | None,
        extra: dict[str, str],
    ) -> Reply:
        """Both names of the token: old clients know one, those that POST the other. No `issued_at`: a client
        whose clock is wrong would ask again and again."""
        document: dict[str, object] = {
            "token": issued.token,
            "access_token": issued.token,
            "expires_in": issued.expires_in,
            **extra,
        }
        if refresh and (secret := await self._tokens.refresh_token(identity, client or "")) is not None:
            document["refresh_token"] = secret
        return json_content(200, document, NEVER_KEEP)


def granted_scopes(issued: Issued) -> Sequence[Scope]:
    """What a token carries, as scopes."""
    return [Scope(entry.type, entry.name, frozenset(entry.actions)) for entry in issued.access]


async def read_form(request: Request) -> Form:
    """The fields of a form, each with all its values. Raises RequestInvalid."""
    body = await whole(request.http, LARGEST_FORM)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError as error:
        raise RequestInvalid("the body should be a form, percent-encoded UTF-8") from error
    form: Form = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


def one(form: Form, name: str) -> str:
    """The only value of a field, empty without one. Raises RequestInvalid when there are several."""
    values = form.get(name, [""])
    if len(values) > 1:
        raise RequestInvalid(f"the field {name} may be given once only")
    return values[0]
