"""Requests to a registry, and what can go wrong with them."""

import json
import ssl
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlencode, urlsplit

from auth.addresses import is_loopback
from registry.cli.client.tables import plain
from registry.cli.commands import CommandError, UsageError

TIMEOUT_SECONDS = 60
LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes. A page of the API has far fewer."""


class Refused(CommandError):
    """The server answered with an error; `status` tells which."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def server_url(text: str, *, insecure_http: bool = False) -> str:
    """The address of a server as it is kept: with its scheme, without a slash at its end.

    Raises UsageError for what is none, and for an address at which a password would cross the network in
    clear, unless that is wanted.
    """
    parts = _split(text if "://" in text else f"https://{text}")
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"--server should be like https://registry.example.com, and is {text!r}")
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError("--server should be an address only: the name goes to --user")
    if parts.scheme == "http" and not is_loopback(parts.hostname) and not insecure_http:
        raise UsageError(
            f"{text} is not encrypted, and whoever is on the way could read the password: use https://, or "
            "say --insecure-http to `entrepot login` if that is what you want"
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _split(text: str) -> SplitResult | None:
    if not text.isprintable() or " " in text:
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for what is no number
    except ValueError:
        return None
    return parts


class Http:
    """Sends requests to one server, and follows it nowhere else."""

    def __init__(self, server: str, ca_file: str | None = None) -> None:
        """Raises CommandError for certificates that can't be read."""
        self._server = server
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise CommandError(f"{ca_file} holds no certificates that can be read: {error}") from error
        handlers: list[urllib.request.BaseHandler] = [
            _NoRedirects(),
            urllib.request.HTTPSHandler(context=context),
        ]
        if is_loopback(urlsplit(server).hostname or ""):
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def send(
        self,
        method: str,
        path: str,
        *,
        form: dict[str, str] | None = None,
        body: object = None,
        token: str | None = None,
    ) -> Any:
        """The document that a request is answered with, None for no content. It is sent with a form or a
        JSON body. Raises CommandError; Refused for an error of the registry.
        """
        request = urllib.request.Request(self._server + path, method=method)  # noqa: S310 - see server_url
        request.add_header("Accept", "application/json")
        request.add_header("User-Agent", "entrepot")
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        if form is not None:
            request.data = urlencode(form).encode()
            request.add_header("Content-Type", "application/x-www-form-urlencoded")
        elif body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                data = response.read(LARGEST_ANSWER)
        except HTTPError as error:
            with error:
                raise self._refused(error, error.read(LARGEST_ANSWER)) from None
        except URLError as error:
            raise CommandError(f"{self._server} can't be reached: {_reason(error.reason)}") from error
        except (OSError, HTTPException) as error:
            raise CommandError(f"{self._server} did not answer as it should: {_reason(error)}") from error
        try:
            return json.loads(data) if data else None
        except ValueError as error:
            raise self._strange(f"{response.status} {response.reason}") from error

    def _refused(self, error: HTTPError, data: bytes) -> CommandError:
        if 300 <= error.code < 400:
            return CommandError(
                f"{self._server} sends elsewhere, to {error.headers.get('Location')!r}: "
                "give the address itself as --server"
            )
        try:
            message = plain("; ".join(entry["message"] for entry in json.loads(data)["errors"]))
        except (ValueError, TypeError, KeyError):
            return self._strange(f"{error.code} {error.reason}")
        if error.code == 429:
            message += f"; try again in {error.headers.get('Retry-After')} seconds"
        return Refused(error.code, message)

    def _strange(self, status: str) -> CommandError:
        return CommandError(
            f"{self._server} answered {plain(status)}, and not as Entrepot does: is this its address?"
        )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect could lead the token to somebody else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _reason(error: object) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}; see `entrepot login --ca-file`"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
