"""Requests to a registry, and what can go wrong with them."""

import json
import ssl
import urllib.request
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlencode, urlsplit

from registry.cli.commands import CommandError
from registry.config import is_loopback

TIMEOUT_SECONDS = 60
LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes. A page of the API has far fewer."""


class Answered(NamedTuple):
    """`document` is None for no content, and for what is not JSON."""

    status: int
    document: Any


class Refused(CommandError):
    """The server answered with an error; `status` tells which."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def server_url(text: str, *, insecure_http: bool = False) -> str:
    """The address of a server as it is kept: with its scheme, without a slash at its end.

    Raises CommandError for what is none, and for an address at which a password would cross the network
    in clear, unless that is wanted.
    """
    parts = _split(text if "://" in text else f"https://{text}")
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise CommandError(f"--server should be like https://registry.example.com, and is {text!r}")
    if parts.username is not None or parts.query or parts.fragment:
        raise CommandError("--server should be an address only: the name goes to --user")
    if parts.scheme == "http" and not is_loopback(parts.hostname) and not insecure_http:
        raise CommandError(
            f"{text} is not encrypted, and whoever is on the way could read the password: use https://, or "
            "say --insecure-http to `entrepot login` if that is what you want"
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port
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
    ) -> Answered:
        """Send a request, with a form or a JSON body. Raises CommandError; Refused for an error."""
        request = urllib.request.Request(self._server + path, method=method)  # noqa: S310 - see server_url
        request.add_header("Accept", "application/json")
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
                return Answered(response.status, _document(response.read(LARGEST_ANSWER)))
        except HTTPError as error:
            with error:
                raise self._refused(error, _document(error.read(LARGEST_ANSWER))) from None
        except URLError as error:
            raise CommandError(f"{self._server} can't be reached: {_reason(error.reason)}") from error
        except (OSError, HTTPException) as error:
            raise CommandError(f"{self._server} did not answer as it should: {_reason(error)}") from error

    def _refused(self, error: HTTPError, document: Any) -> CommandError:
        if 300 <= error.code < 400:
            return CommandError(
                f"{self._server} sends elsewhere, to {error.headers.get('Location')!r}: "
                "give the address itself as --server"
            )
        try:
            message = "; ".join(entry["message"] for entry in document["errors"])
        except (TypeError, KeyError):
            return CommandError(
                f"{self._server} answered {error.code} {error.reason}, and not as Entrepot does: is this "
                "its address?"
            )
        if error.code == 429:
            message += f"; try again in {error.headers.get('Retry-After')} seconds"
        return Refused(error.code, message)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect could lead the token to somebody else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _document(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


def _reason(error: object) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}; see `entrepot login --ca-file`"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
