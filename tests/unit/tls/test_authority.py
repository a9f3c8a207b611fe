"""The local authority: what it makes, keeps, renews, and refuses to do."""

import datetime
import os
import socket
import ssl
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from registry.tls import authority
from registry.tls.authority import LocalAuthority, names_of, own_names

NAMES = frozenset({"localhost", "127.0.0.1", "::1", "registry.example.com"})


@pytest.fixture
def local(tmp_path: Path) -> LocalAuthority:
    return LocalAuthority(tmp_path / "data" / "tls")


def certificate_of(local: LocalAuthority) -> x509.Certificate:
    return x509.load_pem_x509_certificate(local.server_file.read_bytes())


def shakes_hands(local: LocalAuthority, name: str) -> None:
    """A handshake with a client that trusts the authority alone. Raises ssl.SSLError."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(local.server_file)
    trusting = ssl.create_default_context(cafile=local.ca_file)
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()
    failed: list[Exception] = []

    def serve() -> None:
        try:
            with serving.wrap_socket(ours, server_side=True) as opened:
                opened.send(b"x")
        except (ssl.SSLError, ConnectionError) as error:
            failed.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with trusting.wrap_socket(theirs, server_hostname=name) as opened:
            opened.recv(1)
    finally:
        theirs.close()
        thread.join()
        ours.close()


@pytest.mark.parametrize("name", sorted(NAMES))
def test_clients_that_trust_it_connect_by_every_name(local: LocalAuthority, name: str) -> None:
    local.ensure(NAMES)
    shakes_hands(local, name)


def test_no_other_name_is_vouched_for(local: LocalAuthority) -> None:
    local.ensure(NAMES)
    with pytest.raises(ssl.SSLCertVerificationError):
        shakes_hands(local, "other.example.com")


def test_keys_are_for_the_owner_only(local: LocalAuthority) -> None:
    before = os.umask(0)
    try:
        local.ensure(NAMES)
    finally:
        os.umask(before)
    folder = local.ca_file.parent
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes.pop("lock") & 0o111 == 0
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "server.pem": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert b"PRIVATE" not in local.ca_file.read_bytes()


def test_what_is_there_is_kept(local: LocalAuthority) -> None:
    local.ensure(NAMES)
    before = local.ca_file.read_bytes(), local.server_file.read_bytes()
    local.ensure(NAMES)
    local.renew()
    assert (local.ca_file.read_bytes(), local.server_file.read_bytes()) == before


def test_other_names_want_another_certificate_of_the_same_authority(local: LocalAuthority) -> None:
    local.ensure(NAMES)
    before = local.ca_file.read_bytes()
    local.ensure({*NAMES, "new.example.com"})
    assert local.ca_file.read_bytes() == before
    assert names_of(certificate_of(local)) == {*NAMES, "new.example.com"}


@pytest.mark.parametrize("again", [lambda local: local.renew(), lambda local: local.ensure(NAMES)])
def test_a_certificate_is_renewed_before_it_ends(
    local: LocalAuthority, again: Callable[[LocalAuthority], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authority, "SERVER_DAYS", authority.RENEWED_DAYS - 1)
    local.ensure(NAMES)
    old, ca = certificate_of(local), local.ca_file.read_bytes()
    monkeypatch.undo()

    again(local)

    new = certificate_of(local)
    assert new.not_valid_after_utc - old.not_valid_after_utc > datetime.timedelta(days=50)
    assert names_of(new) == NAMES
    assert local.ca_file.read_bytes() == ca
    shakes_hands(local, "localhost")


def test_an_authority_at_its_end_is_not_replaced_unasked(
    local: LocalAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authority, "AUTHORITY_DAYS", authority.SERVER_DAYS - 1)
    with pytest.raises(ValueError, match=r"move .* away"):
        local.ensure(NAMES)


def test_a_start_that_was_cut_off_is_made_good(local: LocalAuthority) -> None:
    """The key was written, its certificate not; and a file was begun."""
    local.ensure(NAMES)
    local.ca_file.unlink()
    local.server_file.with_name("server.pem.new").write_bytes(b"half")
    local.ensure(NAMES)
    shakes_hands(local, "localhost")


def test_damage_is_told(local: LocalAuthority) -> None:
    local.ensure(NAMES)
    other = LocalAuthority(local.ca_file.parents[1] / "other")
    other.ensure(NAMES)
    local.ca_file.with_name("ca.key").write_bytes(other.ca_file.with_name("ca.key").read_bytes())
    with pytest.raises(ValueError, match="is not the key of"):
        local.ensure({"new.example.com"})
    local.ca_file.with_name("ca.key").unlink()
    with pytest.raises(FileNotFoundError):
        local.ensure({"new.example.com"})
    local.server_file.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"PEM"):
        local.ensure(NAMES)


def test_many_workers_look_at_once(local: LocalAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authority, "SERVER_DAYS", authority.RENEWED_DAYS - 1)
    local.ensure(NAMES)
    monkeypatch.undo()
    threads = [threading.Thread(target=LocalAuthority(local.ca_file.parent).renew) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shakes_hands(local, "localhost")


def test_own_names() -> None:
    assert {"localhost", "127.0.0.1", "::1", socket.gethostname().lower()} <= own_names("0.0.0.0", None)
    assert "0.0.0.0" not in own_names("0.0.0.0", None)
    assert "::" not in own_names("::", None)
    found = own_names("192.0.2.7", "Registry.Example.com")
    assert {"192.0.2.7", "registry.example.com"} <= found
    assert authority.addresses_of("no such host") == set()
