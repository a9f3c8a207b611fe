"""The image: what its file says, and, where no image can be built, the same steps outside of one."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from registry.config_sources import load
from tests.deployment.dockerfile import copied, environment, instructions, is_sent, stages
from tests.support.server import RunningRegistry, free_port
from tests.support.tools import tool

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "Dockerfile"
IGNORED = ROOT / ".dockerignore"
REQUIREMENTS = ROOT / ".ci" / "image-requirements.txt"
BUILD, LAST = stages(FILE)
USER = 10001

pytestmark = pytest.mark.xdist_group("image")  # one process, and so one installation, for all tests


def texts(keyword: str) -> list[str]:
    return [instruction.text for instruction in LAST if instruction.keyword == keyword]


def project() -> dict[str, object]:
    table: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def test_what_the_last_stage_says() -> None:
    assert texts("USER") == [f"{USER}:{USER}"]
    assert texts("EXPOSE") == ["5000"]
    assert texts("VOLUME") == ["/data"]
    assert texts("STOPSIGNAL") == ["SIGTERM"]
    assert texts("ENTRYPOINT") == ['["entrepot"]']
    assert texts("CMD") == ['["serve"]']
    assert f'org.opencontainers.image.version="{project()["version"]}"' in texts("LABEL")[0]
    assert f'org.opencontainers.image.licenses="{project()["license"]}"' in texts("LABEL")[0]


def test_it_is_pinned_and_has_nothing_to_build_with() -> None:
    (base,) = [each.text for each in instructions(FILE) if each.keyword == "ARG"]
    assert re.fullmatch(r"BASE=python:3\.\d+\.\d+-slim-\w+", base)
    assert [stage[0].text for stage in (BUILD, LAST)] == ["${BASE} AS build", "${BASE}"]
    (run,) = texts("RUN")
    assert "pip uninstall" in run
    assert not re.search(r"apt|pip install|gcc|curl", run)


def test_its_settings_are_known() -> None:
    settings = load({}, None, environment(LAST)).settings
    assert str(settings.data) == "/data"
    assert settings.server.listen == "0.0.0.0:5000"


def test_the_builder_sees_what_it_copies_and_no_secret() -> None:
    for name in copied(BUILD):
        path = ROOT / name
        assert path.exists(), name
        for file in [path] if path.is_file() else path.rglob("*.py"):
            assert is_sent(str(file.relative_to(ROOT)), IGNORED), file
    for name in (
        *("secrets/admin_password", "data/index.sqlite", "data/tls/ca.key", ".git/config", ".ci/run"),
        *("tests/x.py", ".venv/bin/python", "registry/__pycache__/a.pyc", "auth/x.egg-info/PKG-INFO"),
    ):
        assert not is_sent(name, IGNORED), name


def closure() -> dict[str, Requirement]:
    """The registry's dependencies and theirs, as far as they are needed here."""
    found: dict[str, Requirement] = {}
    waiting = [Requirement(line) for line in project()["dependencies"]]  # type: ignore[attr-defined]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found and not requirement.extras:
            continue
        found[name] = requirement
        for line in distribution(requirement.name).requires or ():
            inner = Requirement(line)
            extras = requirement.extras or {""}
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(inner)
    return found


def test_the_requirements_are_all_and_fit() -> None:
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    pinned = {name: version for name, _, version in (line.partition("==") for line in lines)}
    needed = closure()
    assert sorted(pinned) == sorted(needed), "make .ci/image-requirements.txt fit pyproject.toml"
    for line in project()["dependencies"]:  # type: ignore[attr-defined]
        requirement = Requirement(line)
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), line


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that every user can reach."""
    made = Path(tempfile.mkdtemp(prefix="entrepot-image-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def installed(folder: Path) -> Path:
    """The `bin` of an environment that the first stage's steps make, from what the builder is sent."""
    source = folder / "source"
    for name in copied(BUILD):
        for path in [ROOT / name] if (ROOT / name).is_file() else (ROOT / name).rglob("*"):
            relative = path.relative_to(ROOT)
            if path.is_file() and is_sent(str(relative), IGNORED):
                (source / relative).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, source / relative)
    place = folder / "entrepot"
    python = place / "bin" / "python"

    def run(*command: str | Path) -> None:
        done = subprocess.run(command, cwd=source, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    run(sys.executable, "-m", "venv", "--without-pip", place)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    # There the builder's own setuptools comes from the index; here nothing is fetched.
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, ".")
    (wheel,) = folder.glob("*.whl")
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel)
    # In place of the requirements: those of this very environment, behind what was installed.
    (site,) = place.glob("lib/python*/site-packages")
    (own,) = {path for path in sys.path if path.endswith("site-packages")}
    (site / "requirements.pth").write_text(f"{own}\n")
    run(python, "-m", "compileall", "-q", site)
    return place / "bin"


def unprivileged() -> list[str]:
    """What to run a command with, as the image's user. The interpreter may lie where only root can look."""
    if os.geteuid() != 0:
        return []
    look = "-all,+dac_read_search"
    return [tool("setpriv"), f"--reuid={USER}", f"--regid={USER}", "--clear-groups", f"--inh-caps={look}",
            f"--ambient-caps={look}", f"--bounding-set={look}", "--no-new-privs"]  # fmt: skip


@pytest.fixture(scope="module", params=["", "auto"], ids=["http", "https"])
def running(request: pytest.FixtureRequest, installed: Path, folder: Path) -> Iterator[RunningRegistry]:
    """The image's command with its environment, in a folder that can't be written to."""
    data = folder / f"data-{request.param}"
    data.mkdir(mode=0o750)
    secret = folder / "admin_password"
    secret.write_text("a-password-from-a-file\n")
    secret.chmod(0o644)
    readonly = folder / "readonly"
    readonly.mkdir(mode=0o555, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(data, USER, USER)
    address = f"127.0.0.1:{free_port()}"
    given = {
        **environment(LAST),
        "PATH": f"{installed}:/usr/bin:/bin",
        "ENTREPOT_DATA": str(data),
        "ENTREPOT_SERVER__LISTEN": address,
        "ENTREPOT_SERVER__WORKERS": "2",
        "ENTREPOT_SERVER__TLS": request.param,
        "ENTREPOT_AUTH__ADMIN_PASSWORD_FILE": str(secret),
    }
    (entrypoint,) = [each.words for each in LAST if each.keyword == "ENTRYPOINT"]
    (command,) = [each.words for each in LAST if each.keyword == "CMD"]
    log_file = folder / f"log-{request.param}"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [*unprivileged(), installed / entrypoint[0], *entrypoint[1:], *command],
            cwd=readonly, env=given, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    ca_file = data / "tls" / "ca.pem" if request.param else None
    registry = RunningRegistry(process, address, data, log_file, ca_file)
    try:
        registry.wait_until_ready()
        yield registry
        assert registry.stop() == 0, registry.log
    finally:
        registry.kill()


def test_the_command_serves_as_somebody_who_may_write_to_data_alone(
    running: RunningRegistry, folder: Path, installed: Path
) -> None:
    assert "a-password-from-a-file" not in running.log
    assert {path.name for path in running.data.iterdir()} >= {"index.sqlite"}
    assert list((folder / "readonly").iterdir()) == []
    if os.geteuid() == 0:
        status = Path(f"/proc/{running.process.pid}/status").read_text()
        assert f"Uid:\t{USER}\t{USER}" in status
        assert {path.stat().st_uid for path in running.data.rglob("*")} == {USER}
    assert not list(installed.glob("pip*"))
    where = [installed / "python", "-c", "import registry; print(registry.__file__)"]
    assert subprocess.check_output(where, cwd="/", text=True).startswith(str(installed.parent))


def test_the_health_check(running: RunningRegistry, installed: Path) -> None:
    """As in the image, but for the port."""
    (check,) = [each for each in LAST if each.keyword == "HEALTHCHECK"]
    program, *arguments = check.words
    assert program == "python"
    _, port = running.address.split(":")
    encrypted = {"ENTREPOT_SERVER__TLS": "auto"} if running.ca_file else {}

    def exit_code(port: str) -> int:
        given = [argument.replace("5000", port) for argument in arguments]
        assert any(port in argument for argument in given)
        return subprocess.run([installed / program, *given], env=encrypted, capture_output=True).returncode

    assert exit_code(port) == 0
    assert exit_code(str(free_port())) != 0
