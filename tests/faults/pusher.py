"""A client that pushes, retags and deletes, and writes down what was acknowledged.

When the registry dies under a step, the step raises OSError or HTTPException and may be taken again.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from conformance.client import Client, Response, with_query
from conformance.content import OCI_CONFIG, OCI_LAYER, Manifest, descriptor, digest_of, image
from tests.faults.journal import Journal, Key, Value

OCTETS = {"Content-Type": "application/octet-stream"}


def expect(answer: Response, *statuses: int) -> Response:
    assert answer.status in statuses, f"{answer.url}: {answer}, not {statuses}"
    return answer


@dataclass
class Session:
    """An upload of `content`. `acknowledged` of its bytes are taken, and perhaps as many as were `sent`.

    `in_doubt`: the answer to a PATCH never came. `closing`: a PUT was sent, so that it can only be repeated.
    """

    content: bytes
    location: str
    acknowledged: int = 0
    sent: int = 0
    in_doubt: bool = False
    closing: bool = False

    @property
    def digest(self) -> str:
        return digest_of(self.content)

    def learn(self, answer: Response) -> None:
        """Where the session stands, as an answer with Range and Location tells it."""
        first, _, last = (answer.header("Range") or "").partition("-")
        offset = 0 if last == "0" else int(last) + 1  # nothing here pushes a single byte
        assert first == "0"
        assert self.acknowledged <= offset <= self.sent, f"{offset} bytes kept of {self}"
        self.location = answer.header("Location") or ""
        self.acknowledged = offset
        self.in_doubt = False

    def __repr__(self) -> str:
        return f"<Session {self.location}: {self.acknowledged} acknowledged, {self.sent} sent>"


@dataclass
class Pusher:
    """One client and its repository."""

    client: Client
    repository: str
    journal: Journal = field(default_factory=Journal)

    def path(self, kind: str, reference: str = "") -> str:
        return f"/v2/{self.repository}/{kind}/{reference}"

    def key(self, kind: str, reference: str) -> Key:
        return kind, self.repository, reference

    def open_session(self, content: bytes) -> Session:
        answer = expect(self.client.request("POST", self.path("blobs", "uploads/")), 202)
        return Session(content, answer.header("Location") or "")

    def ask(self, session: Session) -> None:
        """Learn how many bytes are kept: all that were acknowledged, none that were not sent."""
        session.learn(expect(self.client.request("GET", session.location), 204))

    def wait_for(self, session: Session, offset: int) -> None:
        """Ask until so many bytes are kept: the server learns a moment later that a client has left."""
        session.sent = offset
        deadline = time.monotonic() + 10
        while session.acknowledged != offset and time.monotonic() < deadline:
            time.sleep(0.05)
            self.ask(session)
        assert session.acknowledged == offset

    def append(self, session: Session, stop: int) -> None:
        """PATCH up to byte `stop`, from where the session stands; nothing for one that is closing."""
        if session.closing:
            return
        if session.in_doubt:
            self.ask(session)
        chunk = session.content[session.acknowledged : stop]
        if not chunk:
            return
        session.in_doubt, session.sent = True, stop
        session.learn(expect(self.client.request("PATCH", session.location, chunk, OCTETS), 202))
        assert session.acknowledged == stop

    def finish(self, session: Session) -> None:
        """PUT with the bytes that are left, if any."""
        if session.in_doubt:
            self.ask(session)
        session.closing = True
        with self.journal.changing({self.key("blobs", session.digest): session.content}):
            rest = session.content[session.acknowledged :]
            target = with_query(session.location, digest=session.digest)
            expect(self.client.request("PUT", target, rest or None, OCTETS), 201)

    def finish_wrongly(self, session: Session) -> None:
        """PUT with a digest that is not the content's: the session ends and nothing is stored."""
        rest = session.content[session.acknowledged :]
        target = with_query(session.location, digest=digest_of(b"wrong"))
        expected = (400, 404) if session.closing else (400,)  # perhaps the first one ended it
        session.closing = True
        expect(self.client.request("PUT", target, rest, OCTETS), *expected)
        expect(self.client.request("GET", session.location), 404)

    def push_whole(self, content: bytes) -> str:
        """A blob in a single POST; its digest."""
        digest = digest_of(content)
        with self.journal.changing({self.key("blobs", digest): content}):
            target = self.path("blobs", f"uploads/?digest={digest}")
            expect(self.client.request("POST", target, content, OCTETS), 201)
        return digest

    def mount(self, digest: str, source: "Pusher") -> None:
        content = source.journal.value(source.key("blobs", digest))
        with self.journal.changing({self.key("blobs", digest): content}):
            query = f"uploads/?mount={digest}&from={source.repository}"
            expect(self.client.request("POST", self.path("blobs", query)), 201)

    def put_manifest(self, manifest: Manifest, tag: str) -> None:
        changes: Mapping[Key, Value] = {
            self.key("manifests", reference): manifest.body for reference in (tag, manifest.digest)
        }
        with self.journal.changing(changes):
            target, headers = self.path("manifests", tag), {"Content-Type": manifest.media_type}
            expect(self.client.request("PUT", target, manifest.body, headers), 201)

    def delete(self, kind: str, reference: str, *others: str) -> None:
        """DELETE one thing, with which `others` go. Gone already is as good: the answer may be lost."""
        with self.journal.changing({self.key(kind, gone): None for gone in (reference, *others)}):
            expect(self.client.request("DELETE", self.path(kind, reference)), 202, 404)


def image_of(*contents: bytes, annotations: Mapping[str, str] | None = None) -> Manifest:
    """The manifest of an image whose config is the first of `contents` and whose layers are the others."""
    config, *layers = contents
    descriptors = [descriptor(OCI_LAYER, layer) for layer in layers]
    return image(descriptor(OCI_CONFIG, config), descriptors, annotations=annotations)
