"""An OIDC issuer that the tests run: it publishes its keys, signs tokens, and misbehaves when told to.

It is served from a thread, so that tests of every kind can use it: `with issuer() as gitlab: ...`.
"""

import json
import ssl
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"


class SigningKey:
    """A private key of the issuer, with the id that tokens name it by."""

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self.kid = uuid.uuid4().hex
        self.private_key: EllipticCurvePrivateKey | RSAPrivateKey
        if algorithm == "ES256":
            self.private_key = generate_private_key(SECP256R1())
        else:
            self.private_key = generate_rsa_key(65537, 2048)

    def jwk(self) -> dict[str, Any]:
        public = self.private_key.public_key()
        members = jwt.get_algorithm_by_name(self.algorithm).to_jwk(public, as_dict=True)
        return {**members, "kid": self.kid, "alg": self.algorithm, "use": "sig"}


class Issuer:
    """The issuer `url`. `requests` counts those that came, by path.

    Faults to set: `status` of every answer, a `redirect` to go to, a `body` instead of the document of a
    path, members to put into `discovery`. While `answering` is cleared, requests are taken (which sets
    `asked`) and not answered.
    """

    def __init__(self, algorithm: str, certificate: tuple[Path, Path] | None) -> None:
        self.requests: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.redirect: str | None = None
        self.body: dict[str, bytes] = {}
        self.discovery: dict[str, Any] = {}
        self.asked = threading.Event()
        self.answering = threading.Event()
        self.answering.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        scheme = "http"
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self.keys = [SigningKey(algorithm)]

    @property
    def jwks_url(self) -> str:
        return self.url + KEYS

    @property
    def key(self) -> SigningKey:
        """The key that signs."""
        return self.keys[-1]

    def rotate(self, algorithm: str | None = None, *, keep: bool = False) -> None:
        """Sign with a new key, and publish it alone unless the old ones are to be kept."""
        new = SigningKey(algorithm or self.key.algorithm)
        self.keys = [*self.keys, new] if keep else [new]

    def claims(self, **claims: Any) -> dict[str, Any]:
        """The claims of a token that is good for five minutes; what is None is left out."""
        now = int(time.time())
        usual = {
            "iss": self.url,
            "aud": "entrepot",
            "sub": "repo:acme/app:ref:refs/heads/main",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "jti": uuid.uuid4().hex,
        }
        return {name: value for name, value in {**usual, **claims}.items() if value is not None}

    def token(self, **claims: Any) -> str:
        """A token signed with the newest key."""
        headers = {"kid": self.key.kid}
        return jwt.encode(self.claims(**claims), self.key.private_key, self.key.algorithm, headers)

    def close(self) -> None:
        self.answering.set()
        self._server.shutdown()
        self._server.server_close()

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.02)

    def _document(self, path: str) -> bytes | None:
        if path in self.body:
            return self.body[path]
        documents: dict[str, Any] = {
            DISCOVERY: {"issuer": self.url, "jwks_uri": self.jwks_url, **self.discovery},
            KEYS: {"keys": [key.jwk() for key in self.keys]},
        }
        return json.dumps(documents[path]).encode() if path in documents else None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requests[self.path] += 1
                issuer.headers.append(dict(self.headers))
                issuer.asked.set()
                issuer.answering.wait()
                body = issuer._document(self.path)
                status = issuer.status if body is not None else 404
                self.send_response(302 if issuer.redirect else status)
                if issuer.redirect:
                    self.send_header("Location", issuer.redirect)
                self.send_header("Content-Length", str(len(body or b"")))
                self.send_header("Set-Cookie", "session=1")
                with suppress(ConnectionError):  # who asked may have left
                    self.end_headers()
                    self.wfile.write(body or b"")

            def log_message(self, format: str, *arguments: Any) -> None:
                """Say nothing: a test prints what matters."""

        return Handler


@contextmanager
def issuer(algorithm: str = "RS256", certificate: tuple[Path, Path] | None = None) -> Iterator[Issuer]:
    """Run an issuer whose first key is one of this algorithm: RS256 or ES256. With the files of a certificate
    and its key, it speaks TLS."""
    running = Issuer(algorithm, certificate)
    thread = threading.Thread(target=running.serve, name="issuer")
    thread.start()
    try:
        yield running
    finally:
        running.close()
        thread.join()
