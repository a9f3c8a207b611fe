"""A real slapd with people and groups in it, in a temporary folder."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.certificates import Authority
from tests.support.server import free_port
from tests.support.tools import missing, tool

SUFFIX = "dc=acme,dc=test"
PEOPLE = f"ou=people,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"
REGISTRY = f"cn=registry,{SUFFIX}"
REGISTRY_PASSWORD = "the registry's own"
PASSWORD = "correct horse"
"""Of everybody who has one."""

# A bind without a password ends well here and is an anonymous one, as with some servers by default: to refuse
# it is left to the client.
CONFIGURATION = """
include {schemas}/core.schema
include {schemas}/cosine.schema
include {schemas}/nis.schema
include {schemas}/inetorgperson.schema
modulepath {modules}
moduleload back_mdb
pidfile {folder}/pid
allow bind_anon_dn
TLSCACertificateFile {ca_file}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
database mdb
suffix "{suffix}"
directory {folder}/data
maxsize 4194304
dbnosync
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="{groups}" by dn.exact="{registry}" read
access to * by * read
"""

ENTRIES = f"""
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
o: Acme
dc: acme

dn: {REGISTRY}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: registry
userPassword: {REGISTRY_PASSWORD}

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: {GROUPS}
objectClass: organizationalUnit
ou: groups

dn: uid=Alice,{PEOPLE}
objectClass: inetOrgPerson
uid: Alice
cn: Alice Archer
sn: Archer
mail: a.archer@acme.test
userPassword: {PASSWORD}

dn: uid=bob,{PEOPLE}
objectClass: inetOrgPerson
uid: bob
uid: robert
cn: Bob Baker
sn: Baker
userPassword: {PASSWORD}

dn: cn=Carol \\28Ops\\29 \\2A\\, Dr.\\\\,{PEOPLE}
objectClass: inetOrgPerson
uid: carol
cn: Carol (Ops) *, Dr.\\
sn: Clark
userPassword: {PASSWORD}

dn: cn=Dan,{PEOPLE}
objectClass: inetOrgPerson
uid: dan
uid: daniel
cn: Dan
sn: Dyer
userPassword: {PASSWORD}

dn: uid=eve,{PEOPLE}
objectClass: inetOrgPerson
uid: eve
cn: Eve
sn: Eaton

dn: cn=Twin One,{PEOPLE}
objectClass: inetOrgPerson
uid: twin
cn: Twin One
sn: Twin
userPassword: {PASSWORD}

dn: cn=Twin Two,{PEOPLE}
objectClass: inetOrgPerson
uid: twin
cn: Twin Two
sn: Twin
userPassword: {PASSWORD}

dn: cn=Twin Three,{PEOPLE}
objectClass: inetOrgPerson
uid: twin
cn: Twin Three
sn: Twin
userPassword: {PASSWORD}

dn: uid=odd name,{PEOPLE}
objectClass: inetOrgPerson
uid: odd name
cn: Odd
sn: Odd
userPassword: {PASSWORD}

dn: ou=elsewhere,{PEOPLE}
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://127.0.0.1:1/{PEOPLE}??sub

dn: cn=developers,{GROUPS}
objectClass: groupOfNames
cn: developers
member: uid=Alice,{PEOPLE}
member: cn=Carol \\28Ops\\29 \\2A\\, Dr.\\\\,{PEOPLE}

dn: cn=Release Managers,{GROUPS}
objectClass: groupOfNames
cn: Release Managers
cn: developers-too
member: uid=Alice,{PEOPLE}

dn: cn=Wheel,{GROUPS}
objectClass: posixGroup
cn: Wheel
gidNumber: 10
memberUid: Alice
"""


@dataclass(frozen=True)
class LdapServer:
    """A running slapd. It listens in clear on `url`, with TLS on `tls_url`, and on `misnamed_url` with a
    certificate that is for another address."""

    process: subprocess.Popen[bytes]
    url: str
    tls_url: str
    misnamed_url: str
    ca_file: Path

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)


@contextmanager
def ldap_server() -> Iterator[LdapServer]:
    """Fill and run a server; throw it away afterwards."""
    installed = tool("slapd")
    schemas = first_folder("/etc/ldap/schema", "/etc/openldap/schema")
    modules = first_folder("/usr/lib/ldap", "/usr/lib64/openldap", "/usr/lib/openldap")
    folder = Path(tempfile.mkdtemp(prefix="entrepot-slapd-"))
    try:
        # A copy, since AppArmor confines the installed one to its own folders.
        program = Path(shutil.copy(installed, folder / "slapd"))
        authority = Authority(folder / "tls")
        certificate, key = authority.issue("127.0.0.1")
        (folder / "data").mkdir()
        configuration = folder / "slapd.conf"
        configuration.write_text(
            CONFIGURATION.format(
                schemas=schemas, modules=modules, folder=folder, ca_file=authority.ca_file,
                certificate=certificate, key=key, suffix=SUFFIX, groups=GROUPS, registry=REGISTRY,
            )
        )  # fmt: skip
        filled = subprocess.run(
            [program, "-T", "add", "-q", "-f", configuration],
            input=ENTRIES,
            capture_output=True,
            text=True,
        )
        assert filled.returncode == 0, filled.stderr
        server = start(program, folder, authority.ca_file)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def first_folder(*candidates: str) -> str:
    for candidate in candidates:
        if Path(candidate).is_dir():
            return candidate
    missing(f"slapd's files are in none of {', '.join(candidates)}")
    raise AssertionError("missing() skips or fails")


def start(program: Path, folder: Path, ca_file: Path) -> LdapServer:
    port, tls_port = free_port(), free_port()
    url, tls_url = f"ldap://127.0.0.1:{port}", f"ldaps://127.0.0.1:{tls_port}"
    misnamed_url = f"ldaps://127.0.0.2:{tls_port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-d", "0", "-f", folder / "slapd.conf", "-h", f"{url} {tls_url} {misnamed_url}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    server = LdapServer(process, url, tls_url, misnamed_url, ca_file)
    for _ in range(300):
        try:
            with closing(socket.create_connection(("127.0.0.1", port), timeout=5)):
                return server
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    server.stop()
    raise AssertionError(f"slapd did not start:\n{(folder / 'log').read_text(errors='replace')}")
