"""`entrepot serve --tls auto`: the lines that it prints make engines trust it; without them they do not."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engines.clients import Client, environment
from tests.engines.containerd import put_in, taken_out
from tests.engines.images import make_image
from tests.engines.layouts import read_layout, write_layout
from tests.support.server import RunningRegistry, start_registry

pytestmark = pytest.mark.xdist_group("engines_tls")  # one process, and so one registry, for all of them

PASSWORD = "a-password-for-the-administrator"
USER = f"admin:{PASSWORD}"


@pytest.fixture(scope="module")
def encrypted(workspace: Path) -> Iterator[RunningRegistry]:
    """A registry with accounts and an authority of its own."""
    data = workspace / "encrypted"
    running = start_registry(
        data,
        arguments=["--tls", "auto"],
        environment={"ENTREPOT_AUTH__MODE": "accounts", "ENTREPOT_AUTH__ADMIN_PASSWORD": PASSWORD},
        workers=2,
        ca_file=data / "tls" / "ca.pem",
    )
    try:
        yield running
        assert running.stop() == 0, running.log
        assert "ERROR" not in running.log, running.log
    finally:
        running.kill()


@pytest.fixture(scope="module")
def certificates(encrypted: RunningRegistry, workspace: Path) -> Path:
    """What the printed lines write, with a folder in the place of /etc."""
    folder = workspace / "trusting"
    folder.mkdir()
    assert encrypted.ca_file is not None
    shutil.copy(encrypted.ca_file, folder)
    printed = encrypted.log.partition("run as root\n")[2].partition("to try it:")[0]
    assert printed.count("/etc/") > 5
    script = re.sub(r"(?<!\w)/etc/", f"{folder}/etc/", printed)
    done = subprocess.run(["sh", "-eu"], input=script, cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "etc"


def test_skopeo_and_with_it_podman_and_buildah(
    skopeo: Client, encrypted: RunningRegistry, certificates: Path, folder: Path
) -> None:
    image = make_image()
    write_layout(folder / "out", latest=image)
    name = f"docker://{encrypted.address}/acme/skopeo:v1"
    push = ("copy", f"--dest-creds={USER}", f"oci:{folder}/out:latest", name)
    assert "certificate" in skopeo.refused(*push)

    trusted = f"{certificates}/containers/certs.d/{encrypted.address}"
    skopeo(*push, f"--dest-cert-dir={trusted}")
    skopeo("copy", f"--src-creds={USER}", f"--src-cert-dir={trusted}", name, f"oci:{folder}/back:latest")
    assert read_layout(folder / "back") == image


def test_containerd(ctr: Client, encrypted: RunningRegistry, certificates: Path, folder: Path) -> None:
    name, image = f"{encrypted.address}/acme/containerd:v1", make_image()
    put_in(ctr, folder, name, image)
    ctr.refused("images", "push", "--user", USER, name)

    trusted = ("--hosts-dir", certificates / "containerd" / "certs.d")
    ctr("images", "push", "--user", USER, *trusted, name)
    ctr("images", "rm", "--sync", name)
    ctr("images", "pull", "--user", USER, *trusted, name)
    assert taken_out(ctr, folder, name) == image


def test_docker_finds_the_certificate_where_podman_does(
    skopeo: Client, encrypted: RunningRegistry, certificates: Path
) -> None:
    """Docker itself never checks certificates of loopback addresses; the two folders have one form."""
    trusted = f"{certificates}/docker/certs.d/{encrypted.address}"
    name = f"docker://{encrypted.address}/acme/nothing"
    said = skopeo.refused("list-tags", f"--creds={USER}", f"--cert-dir={trusted}", name)
    assert "certificate" not in said
    assert "404" in said


def test_crane_by_the_environment(crane: Client, encrypted: RunningRegistry, folder: Path) -> None:
    known = replace(
        crane, environment={**environment(folder / "home"), "SSL_CERT_FILE": str(encrypted.ca_file)}
    )
    known("auth", "login", encrypted.address, "--username", "admin", "--password", PASSWORD)
    known("catalog", encrypted.address)


def test_the_command_line(encrypted: RunningRegistry, folder: Path) -> None:
    entrepot = Client(sys.executable, environment(folder / "home"), ["-m", "registry"])
    login = ("login", "--server", encrypted.url, "--user", "admin", "--password-stdin")
    done = entrepot.run(*login, standard_input=PASSWORD.encode())
    assert done.returncode == 1
    assert "is not trusted" in done.stderr

    entrepot(*login, "--ca-file", str(encrypted.ca_file), standard_input=PASSWORD.encode())
    assert "admin" in entrepot("user", "list", "--server", encrypted.url)
