"""A TCP proxy that loses answers: a request is carried out, and its client never hears of it."""

from conformance.client import Client, Response
from tests.support.forwarding import Proxy


class LossyProxy(Proxy):
    """For one connection with one request at a time, as `Client` makes it."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.losing = False
        self.client = Client(f"http://{self.address}")

    def passes(self) -> bool:
        return not self.losing

    def lose(self, method: str, target: str, body: bytes | None = None, **headers: str) -> None:
        """Send a request whose answer gets lost."""
        self.losing = True
        try:
            answer = self.request(method, target, body, **headers)
        except OSError:
            return
        finally:
            self.losing = False
        raise AssertionError(f"{answer} was not lost")

    def request(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Response:
        lines = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(
            method, target, body, {"Content-Type": "application/octet-stream", **lines}
        )
