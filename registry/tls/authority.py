"""A certification authority of this registry's own, for networks where nobody else gives certificates.

    <folder>/ca.pem      the authority's certificate: what clients are told to trust
    <folder>/ca.key      its key: whoever has it can play any server to them
    <folder>/server.pem  the server's certificate and key, in one file so that they change at one moment
    <folder>/lock        held while any of them is written

The authority is made once and stays; certificates are short-lived and renewed by the process that uses them.
"""

import datetime
import fcntl
import ipaddress
import os
import secrets
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
SERVER_DAYS = 90
RENEWED_DAYS = 30
"""Before its end a certificate is replaced by a new one."""

ALWAYS = ("localhost", "127.0.0.1", "::1")


class LocalAuthority:
    """The authority in `folder`, and the one certificate that it gives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ca_file = folder / "ca.pem"
        self._ca_key_file = folder / "ca.key"
        self.server_file = folder / "server.pem"

    def ensure(self, names: Iterable[str]) -> None:
        """Make what is missing: the authority, and a certificate for just these names and addresses.

        Raises OSError, and ValueError for files that were damaged or have had their time.
        """
        self._folder.mkdir(0o750, parents=True, exist_ok=True)
        wanted = frozenset(names)
        with self._locked():
            if not self.ca_file.exists():
                self._make_authority()
            found = self._server_certificate()
            if found is None or names_of(found) != wanted or ends_soon(found):
                self._issue(wanted)

    def renew(self) -> None:
        """A new certificate for the same names, if the one in use ends soon. Raises as `ensure`."""
        with self._locked():
            found = self._server_certificate()
            if found is not None and ends_soon(found):
                self._issue(names_of(found))

    def _make_authority(self) -> None:
        """The key first: what lies there without a certificate counts for nothing."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Entrepot"),
                x509.NameAttribute(NameOID.COMMON_NAME, f"Entrepot authority {secrets.token_hex(4)}"),
            ]
        )
        certificate = (
            builder(name, name, key.public_key(), AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage(key_cert_sign=True, crl_sign=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        self._write(self._ca_key_file, key_pem(key), 0o600)
        self._write(self.ca_file, certificate.public_bytes(Encoding.PEM), 0o644)

    def _issue(self, names: Iterable[str]) -> None:
        ca = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
        if days_left(ca) < SERVER_DAYS:
            raise ValueError(
                f"the authority in {self.ca_file} ends on {ca.not_valid_after_utc:%Y-%m-%d}: move "
                f"{self._folder} away, start again, and have clients trust the new one"
            )
        ca_key = load_pem_private_key(self._ca_key_file.read_bytes(), None)
        if not isinstance(ca_key, ec.EllipticCurvePrivateKey) or ca_key.public_key() != ca.public_key():
            raise ValueError(f"{self._ca_key_file} is not the key of {self.ca_file}")
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Entrepot")])
        certificate = (
            builder(subject, ca.subject, key.public_key(), SERVER_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([general_name(name) for name in sorted(names)]), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
            )
            .sign(ca_key, hashes.SHA256())
        )
        self._write(self.server_file, certificate.public_bytes(Encoding.PEM) + key_pem(key), 0o600)

    def _server_certificate(self) -> x509.Certificate | None:
        """The one in use, if it is of this authority."""
        if not self.server_file.exists():
            return None
        found = x509.load_pem_x509_certificate(self.server_file.read_bytes())
        ca = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
        return found if found.issuer == ca.subject else None

    def _write(self, path: Path, content: bytes, mode: int) -> None:
        """All of it or nothing, also after a power cut."""
        new = path.with_name(f"{path.name}.new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        new.replace(path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Several workers look after the same files."""
        with (self._folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def own_names(listen_host: str, external_host: str | None) -> frozenset[str]:
    """The names and addresses by which clients may reach this machine, as far as it knows them."""
    host = socket.gethostname()
    names = {*ALWAYS, host, *addresses_of(host), *([external_host] if external_host else [])}
    if listen_host not in ("0.0.0.0", "::"):  # noqa: S104 - these stand for all
        names.add(listen_host)
    return frozenset(name.partition("%")[0].lower() for name in names)


def addresses_of(host: str) -> set[str]:
    """Empty for a name that nobody knows."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:
        return set()


def builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def names_of(certificate: x509.Certificate) -> frozenset[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return frozenset(str(name.value) for name in names)


def days_left(certificate: x509.Certificate) -> float:
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return left / datetime.timedelta(days=1)


def ends_soon(certificate: x509.Certificate) -> bool:
    return days_left(certificate) < RENEWED_DAYS
