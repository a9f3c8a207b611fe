"""A disk without room: what is there can be pulled, what comes is refused clearly, and work goes on later."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.client import Client, Response, with_query
from conformance.content import digest_of, random_bytes
from tests.faults.conftest import Serve
from tests.faults.journal import audit
from tests.faults.pusher import OCTETS, Pusher, Session, image_of
from tests.support.tools import tool

MEBIBYTE = 1 << 20
LIMIT = 8 * MEBIBYTE
LARGE = random_bytes(2 * LIMIT)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs takes root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = [tool("mount"), "-t", "tmpfs", "-o", f"size={LIMIT}", "entrepot-test", str(folder)]
    if (done := subprocess.run(mount, capture_output=True, text=True, check=False)).returncode != 0:
        pytest.skip(f"mounting a small tmpfs is not allowed here: {done.stderr.strip()}")
    yield folder
    subprocess.run([tool("umount"), "--lazy", str(folder)], check=True)


def refused(answer: Response) -> None:
    """507 or 503, with an error that a client can show."""
    assert answer.status in (507, 503), answer
    (error,) = json.loads(answer.body)["errors"]
    assert error["code"] == "UNAVAILABLE"
    assert len(error["message"]) > 10
    assert answer.status == 507 or answer.header("Retry-After")


def prepared(client: Client) -> tuple[Pusher, Session]:
    """An image that is there from before, and an upload that has begun."""
    pusher = Pusher(client, "some/image")
    config, layer = b'{"old":true}', random_bytes(MEBIBYTE)
    for content in (config, layer):
        pusher.push_whole(content)
    pusher.put_manifest(image_of(config, layer), "old")
    session = pusher.open_session(random_bytes(2 * MEBIBYTE))
    pusher.append(session, MEBIBYTE)
    return pusher, session


def push_too_much(pusher: Pusher, session: Session) -> None:
    """In every way that bytes come. Nothing of it is kept, and nothing that was there is lost."""
    client, digest = pusher.client, digest_of(LARGE)
    refused(client.request("POST", pusher.path("blobs", f"uploads/?digest={digest}"), LARGE, OCTETS))
    refused(client.request("PATCH", session.location, LARGE, OCTETS))
    refused(
        client.request(
            "PATCH",
            session.location,
            (LARGE[at : at + MEBIBYTE] for at in range(0, len(LARGE), MEBIBYTE)),
            OCTETS,
        )
    )
    refused(client.request("PUT", with_query(session.location, digest=digest), LARGE, OCTETS))
    refused(
        client.request("PUT", with_query(pusher.open_session(LARGE).location, digest=digest), LARGE, OCTETS)
    )
    pusher.ask(session)
    assert session.acknowledged == MEBIBYTE
    assert client.request("HEAD", pusher.path("blobs", digest)).status == 404
    pusher.journal.verify(client)


def go_on(pusher: Pusher, session: Session) -> None:
    """What was begun comes to its end."""
    pusher.finish(session)
    pusher.put_manifest(image_of(b'{"old":true}', session.content), "new")
    pusher.journal.verify(pusher.client)


def test_blobs_on_a_full_disk(serve: Serve, small_disk: Path, tmp_path: Path) -> None:
    data = small_disk / "data"
    running = serve(tmp_path / "log", arguments=["--data", str(data)], workers=2)
    pusher, session = prepared(Client(running.url))
    push_too_much(pusher, session)
    go_on(pusher, session)  # the room that the refused bytes took is free again
    assert running.stop() == 0
    audit(data)


def test_blobs_over_a_file_size_limit(serve: Serve) -> None:
    running = serve(prefix=[tool("prlimit"), f"--fsize={LIMIT}"])
    pusher, session = prepared(Client(running.url))
    push_too_much(pusher, session)
    go_on(pusher, session)
    assert running.stop() == 0
    audit(running.data)


def fill(folder: Path) -> Path:
    """A file that leaves not a single page free."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as filler:
        for size in (MEBIBYTE, 4096, 1):
            try:
                while filler.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return file


def test_the_index_on_a_full_disk(serve: Serve, small_disk: Path, tmp_path: Path) -> None:
    data = small_disk / "data"
    running = serve(tmp_path / "log", arguments=["--data", str(data)], workers=2)
    client = Client(running.url)
    pusher, session = prepared(client)
    filler = fill(small_disk)

    manifests = [
        image_of(b'{"old":true}', annotations={"text": "x" * 100_000, "n": str(n)}) for n in range(5)
    ]
    for manifest in manifests:
        target, headers = pusher.path("manifests", "full"), {"Content-Type": manifest.media_type}
        refused(client.request("PUT", target, manifest.body, headers))
        assert client.request("GET", pusher.path("manifests", manifest.digest)).status == 404
    refused(client.request("PATCH", session.location, session.content[MEBIBYTE:], OCTETS))
    assert client.request("GET", pusher.path("manifests", "full")).status == 404
    assert client.request("GET", pusher.path("tags", "list")).json() == {
        "name": "some/image",
        "tags": ["old"],
    }
    pusher.journal.verify(client)

    filler.unlink()
    pusher.put_manifest(manifests[0], "full")
    pusher.ask(session)
    go_on(pusher, session)
    assert running.stop() == 0
    audit(data)


def test_a_start_on_a_full_disk(serve: Serve, small_disk: Path, tmp_path: Path) -> None:
    """After a crash, too: what is there can be pulled."""
    data = small_disk / "data"
    running = serve(tmp_path / "log", arguments=["--data", str(data)])
    pusher, session = prepared(Client(running.url))
    running.kill()
    filler = fill(small_disk)
    running = serve(tmp_path / "log", arguments=["--data", str(data)])
    pusher.client = Client(running.url)
    pusher.journal.verify(pusher.client)
    filler.unlink()
    go_on(pusher, session)
