"""The management API of a running registry."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from auth.scopes import API
from registry.cli.client import sign_ins
from registry.cli.client.http import Http, Refused, server_url
from registry.cli.client.sign_ins import SignIn
from registry.cli.commands import CommandError

CLIENT = "entrepot"


class Remote:
    """Calls, each with a token that is got by what `entrepot login` kept."""

    user: str | None

    def __init__(self, server: str) -> None:
        """Raises CommandError, also for nobody who is signed in."""
        self.sign_in = signed_in(server)
        self.user = self.sign_in.user
        self._http = Http(self.sign_in.server, self.sign_in.ca_file)
        self._token: str | None = None

    def call(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, object] | None = None,
    ) -> Any:
        """See Api.call."""
        target = f"/api/v1{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            return self._http.send(method, target, body=body, token=self._access_token())
        except Refused as error:
            if error.status == 401:
                raise CommandError(
                    f"{error}; {sign_in_again(self.sign_in.server, self.sign_in.user)}"
                ) from error
            raise

    def _access_token(self) -> str:
        if self._token is None:
            form = {"grant_type": "refresh_token", "refresh_token": self.sign_in.refresh_token}
            self._token = ask_for_tokens(self._http, form)["access_token"]
        return self._token


def log_in(server: str, user: str, password: str, *, ca_file: str | None, insecure_http: bool) -> SignIn:
    """Sign in, and keep what the server gives for the password. Raises CommandError."""
    http = Http(server, ca_file)
    form = {"grant_type": "password", "access_type": "offline", "username": user, "password": password}
    try:
        tokens = ask_for_tokens(http, form)
    except Refused as error:
        raise CommandError(f"{server} does not let {user} in: {error}") from error
    if "refresh_token" not in tokens:
        raise CommandError(f"{server} gives {user} nothing to stay signed in with")
    sign_in = SignIn(server, user, tokens["refresh_token"], ca_file, insecure_http)
    sign_ins.keep(sign_in)
    return sign_in


def ask_for_tokens(http: Http, form: Mapping[str, str]) -> dict[str, Any]:
    """What the token endpoint answers (RFC 6749 section 5.1). Raises CommandError."""
    try:
        document = http.send("POST", "/v2/token", form={**form, "client_id": CLIENT, "scope": str(API)})
    except Refused as error:
        if error.status == 404:
            raise CommandError("this registry has no accounts, so nobody can sign in") from error
        raise
    if not isinstance(document, dict) or "access_token" not in document:
        raise CommandError("the server did not answer as Entrepot does: is this its address?")
    return document


def signed_in(server: str) -> SignIn:
    """What is kept for a server. Raises CommandError."""
    address = server_url(server, insecure_http=True)
    found = sign_ins.find(address)
    if found is None:
        raise CommandError(f"nobody is signed in at {address}; {sign_in_again(address)}")
    server_url(server, insecure_http=found.insecure_http)
    return found


def sign_in_again(server: str, user: str = "NAME") -> str:
    """What to do for a 401."""
    return f"sign in with: entrepot login --server {server} --user {user}"


def log_out(server: str) -> tuple[SignIn, str | None]:
    """Revoke what `log_in` kept, and forget it; who it was, and why it could not be revoked.

    Raises CommandError for nobody who is signed in.
    """
    address = server_url(server, insecure_http=True)
    problem: str | None = None
    try:
        remote = Remote(server)
        account = remote.call("GET", "/account")
        kind, _, name = account["principal"].partition(":")
        if kind == "user" and account["token"] is not None:
            remote.call("DELETE", f"/users/{quote(name, safe='')}/tokens/{account['token']}")
        else:
            problem = "only users revoke tokens of their own; it ends by itself"
    except CommandError as error:
        if sign_ins.find(address) is None:
            raise
        problem = str(error)
    sign_in = sign_ins.find(address)
    assert sign_in is not None, "otherwise the call raised"
    sign_ins.forget(address)
    return sign_in, problem
