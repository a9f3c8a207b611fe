"""Certificates from files: taken up when they change, refused in plain words when they are wrong."""

import asyncio
import logging
import os
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from registry.tls import certificate as module
from registry.tls.certificate import ServerCertificate
from tests.support.certificates import Authority


@pytest.fixture
def first(tmp_path: Path) -> tuple[Path, Path]:
    """Where a certificate and its key are."""
    return Authority(tmp_path / "first").issue("127.0.0.1")


@pytest.fixture
def second(tmp_path: Path) -> tuple[Path, Path]:
    return Authority(tmp_path / "second").issue("127.0.0.1")


def shown_by(served: ServerCertificate) -> str:
    """What a client is shown now, PEM."""
    ours, theirs = socket.socketpair()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE

    def serve() -> None:
        with served.context.wrap_socket(ours, server_side=True) as opened:
            opened.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    with trusting.wrap_socket(theirs) as opened:
        found = opened.getpeercert(binary_form=True)
        opened.send(b"x")
        thread.join()
    assert found is not None
    return ssl.DER_cert_to_PEM_cert(found)


def replace(path: Path, new: Path) -> None:
    """As those who renew certificates do."""
    beside = path.with_name("new")
    beside.write_bytes(new.read_bytes())
    os.replace(beside, path)


async def test_new_files_are_taken_up(
    first: tuple[Path, Path], second: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.01)
    served = ServerCertificate(*first)
    before = await asyncio.to_thread(shown_by, served)
    assert before == first[0].read_text()
    watching = asyncio.create_task(served.watch())
    for path, new in zip(first, second, strict=True):
        replace(path, new)

    async with asyncio.timeout(30):
        while await asyncio.to_thread(shown_by, served) == before:
            await asyncio.sleep(0.01)

    assert await asyncio.to_thread(shown_by, served) == second[0].read_text()
    watching.cancel()
    await asyncio.wait((watching,))


def test_half_of_a_pair_is_not_taken(
    first: tuple[Path, Path], second: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    served = ServerCertificate(*first)
    before = shown_by(served)
    replace(first[0], second[0])
    for _ in range(3):
        served.look()
        assert shown_by(served) == before
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "is not the key of" in caplog.text

    replace(first[1], second[1])
    served.look()
    assert shown_by(served) == second[0].read_text()


def test_files_that_go_away_are_told_once(first: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    served = ServerCertificate(*first)
    first[0].unlink()
    served.look()
    served.look()
    assert len(caplog.records) == 1
    shown_by(served)


def test_a_renewal_that_fails_is_told_and_tried_again(
    first: tuple[Path, Path], second: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    tries = 0

    def renew() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ValueError("the authority is gone")
        for path, new in zip(first, second, strict=True):
            replace(path, new)

    served = ServerCertificate(*first, renew=renew)
    served.look()
    assert "the authority is gone" in caplog.text
    served.look()
    assert shown_by(served) == second[0].read_text()


def test_wrong_files_are_named(first: tuple[Path, Path], second: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"can't read {tmp_path}/none: No such file"):
        ServerCertificate(first[0], tmp_path / "none")
    with pytest.raises(ValueError, match="is not the key of the certificate"):
        ServerCertificate(first[0], second[1])
    with pytest.raises(ValueError, match="both PEM"):
        ServerCertificate(first[1], first[1])


def test_a_key_with_a_passphrase_is_refused_and_not_asked_about(first: tuple[Path, Path]) -> None:
    key = load_pem_private_key(first[1].read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    first[1].write_bytes(locked)
    with pytest.raises(ValueError, match="without a passphrase"):
        ServerCertificate(*first)
