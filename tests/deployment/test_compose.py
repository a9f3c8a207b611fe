"""docker-compose.yml: that Compose takes it, that all it sets is known, and that what it starts works."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from registry.config_sources import Loaded, load
from registry.drivers import driver_class
from tests.deployment.dockerfile import environment, stages
from tests.engines.clients import Client
from tests.engines.images import make_image
from tests.engines.layouts import read_layout, write_layout
from tests.support.postgres import PostgresServer
from tests.support.server import RunningRegistry, free_port, start_registry
from tests.support.tools import tool

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text())
REPLICAS = ("entrepot-1", "entrepot-2", "entrepot-3")
OURS = ("entrepot", *REPLICAS)
SECRETS = {
    "admin_password": "a-password-for-the-administrator",
    "database_password": "unused",
    "index_url": "postgresql://entrepot:secret@database/entrepot",
    "s3_secret_key": "a-secret-key-for-the-storage",
}


def services(profile: str) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in SERVICES.items() if profile in service["profiles"]}


def settings_of(service: Mapping[str, Any], secrets: Path) -> Loaded:
    """The settings of the image's environment and the service's, with secrets from files of the test's."""
    given = {**environment(stages(ROOT / "Dockerfile")[-1]), **service["environment"]}
    return load({}, None, {key: value.replace("/run/secrets", str(secrets)) for key, value in given.items()})


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    for name, value in SECRETS.items():
        (tmp_path / name).write_text(value)
    return tmp_path


def compose() -> list[str]:
    """The command, of whatever generation."""
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0:
        return [docker, "compose"]
    return [tool("docker-compose")]


@pytest.mark.parametrize("profile", ["default", "scale"])
def test_compose_takes_it(profile: str, tmp_path: Path) -> None:
    shutil.copy(FILE, tmp_path)
    for name in SECRETS:
        (tmp_path / "secrets").mkdir(exist_ok=True)
        (tmp_path / "secrets" / name).touch()
    known = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = [*compose(), "--file", "docker-compose.yml", "--profile", profile, "config", "--services"]
    done = subprocess.run(command, cwd=tmp_path, env=known, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert services(profile).keys() <= set(done.stdout.split())  # the first generation lists all of them


def test_each_profile_is_whole() -> None:
    assert services("default").keys() == {"entrepot"}
    assert services("scale").keys() == {*REPLICAS, "balancer", "database", "storage"}
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", ())) <= services(service["profiles"][0]).keys(), name
        assert set(service.get("secrets", ())) <= DOCUMENT["secrets"].keys(), name
        assert set(service.get("networks", ())) <= DOCUMENT["networks"].keys(), name
        for volume in service.get("volumes", ()):
            assert volume.partition(":")[0] in DOCUMENT["volumes"], name
        published = [port for port in service.get("ports", ()) if not port.startswith("127.0.0.1:")]
        assert not published, f"{name} listens for other machines without TLS"
    assert all(service.get("restart") == "unless-stopped" for service in SERVICES.values())


def test_images_are_pinned() -> None:
    for name, service in SERVICES.items():
        assert re.search(r":v?\d+\.\d+", service["image"]), name


def test_what_others_wait_for_tells_its_health() -> None:
    for service in SERVICES.values():
        for name, told in service.get("depends_on", {}).items():
            assert told == {"condition": "service_healthy"}
            # Ours is in the image.
            assert name in OURS or SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert "/healthz" in SERVICES["balancer"]["healthcheck"]["test"][-1]


@pytest.mark.parametrize("name", OURS)
def test_our_settings_are_known(name: str, secrets: Path) -> None:
    service = SERVICES[name]
    settings = settings_of(service, secrets).settings
    assert not settings.open
    given = settings.auth.admin_password
    assert given is not None
    assert given.get_secret_value() == SECRETS["admin_password"]
    driver = driver_class(settings.storage.driver)
    assert driver.name == ("filesystem" if name == "entrepot" else "s3")
    used = {Path(value).name for key, value in service["environment"].items() if key.endswith("_FILE")}
    assert used == set(service["secrets"]), "what is mounted is used, and the other way round"
    if name in REPLICAS:
        (network,) = DOCUMENT["networks"]["scale"]["ipam"]["config"]
        assert [str(each) for each in settings.server.trusted_proxies] == [network["subnet"]]
        assert settings.index_url().startswith("postgresql")


def test_who_ends_is_given_the_time_for_it(secrets: Path) -> None:
    for name in OURS:
        server = settings_of(SERVICES[name], secrets).settings.server
        assert int(SERVICES[name]["stop_grace_period"].rstrip("s")) > (
            server.notice_seconds + server.drain_seconds + 15
        )


def test_the_database_takes_all_connections(secrets: Path) -> None:
    index = settings_of(SERVICES["entrepot-1"], secrets).settings.index
    (told,) = [word for word in SERVICES["database"]["command"] if word.startswith("max_connections=")]
    assert int(told.partition("=")[2]) > len(REPLICAS) * 4 * index.pool_size + 10


def shell_of(service: Mapping[str, Any], changes: Mapping[str, str]) -> list[str]:
    """A service's command for a shell of this machine, with places and ports of the test's."""
    shell, flag, line = service["entrypoint"]
    line = line.replace("$$", "$")
    for old, new in changes.items():
        assert old in line, old
        line = line.replace(old, new)
    return [shell, flag, line]


@contextmanager
def process(command: list[str], given: Mapping[str, str], folder: Path, name: str) -> Iterator[None]:
    with (folder / f"{name}.log").open("wb") as log:
        started = subprocess.Popen(
            command, env={"PATH": f"{os.environ['PATH']}:/usr/sbin", **given}, cwd=folder,
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        yield
        assert started.poll() is None, (folder / f"{name}.log").read_text()
    finally:
        started.terminate()
        started.wait(30)


@pytest.fixture(scope="module")
def scale(postgres_server: PostgresServer) -> Iterator[tuple[str, list[RunningRegistry]]]:
    """The address of the load balancer, and the replicas: each as its service says, but on this machine."""
    tool("versitygw")
    tool("nginx")
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="entrepot-scale-"))
        stack.callback(shutil.rmtree, folder)
        for name, value in SECRETS.items():
            (folder / name).write_text(value)
        database = postgres_server.create_database()
        stack.callback(postgres_server.drop_database, database)
        (folder / "index_url").write_text(postgres_server.url(database))
        ports = {name: free_port() for name in ("storage", "balancer")}
        places = {
            "/objects": str(folder / "objects"),
            "/run/secrets": str(folder),
            ":7070": f"127.0.0.1:{ports['storage']}",
        }
        command = shell_of(SERVICES["storage"], places)
        stack.enter_context(process(command, SERVICES["storage"]["environment"], folder, "storage"))
        replicas = []
        for name in REPLICAS:
            given = {
                key: value.replace("/run/secrets", str(folder)).replace(
                    "storage:7070", f"127.0.0.1:{ports['storage']}"
                )
                for key, value in SERVICES[name]["environment"].items()
            }
            given["ENTREPOT_SERVER__TRUSTED_PROXIES"] = "127.0.0.1"
            given["ENTREPOT_AUTH__MODE"] = "accounts"
            running = start_registry(folder / name, environment=given)
            stack.callback(running.kill)
            replicas.append(running)
        configuration = SERVICES["balancer"]["environment"]["CONFIGURATION"].replace("$$", "$")
        configuration = configuration.replace("/tmp/", f"{folder}/")
        configuration = configuration.replace("listen 5000", f"listen 127.0.0.1:{ports['balancer']}")
        for name, running in zip(REPLICAS, replicas, strict=True):
            configuration = configuration.replace(f"{name}:5000", running.address)
        command = shell_of(SERVICES["balancer"], {"/tmp/nginx.conf": str(folder / "nginx.conf")})
        stack.enter_context(process(command, {"CONFIGURATION": configuration}, folder, "balancer"))
        balancer = RunningRegistry(
            replicas[0].process, f"127.0.0.1:{ports['balancer']}", folder, folder / "balancer.log"
        )
        balancer.wait_until_ready()
        yield balancer.address, replicas


def test_three_replicas_are_one_registry(scale: tuple[str, list[RunningRegistry]], tmp_path: Path) -> None:
    """Push and pull through the load balancer, also when one of them has gone."""
    address, replicas = scale
    user = f"admin:{SECRETS['admin_password']}"
    skopeo = Client.found("skopeo", tmp_path / "home", ["--insecure-policy"], _CONTAINERS_ROOTLESS_UID="1000")
    images = {f"v{number}": make_image() for number in range(3)}
    for tag, image in images.items():
        write_layout(tmp_path / tag, latest=image)
        skopeo("copy", "--dest-tls-verify=false", f"--dest-creds={user}", f"oci:{tmp_path}/{tag}:latest",
               f"docker://{address}/acme/app:{tag}")  # fmt: skip
    assert replicas[0].stop() == 0, replicas[0].log
    for tag, image in images.items():
        skopeo("copy", "--src-tls-verify=false", f"--src-creds={user}",
               f"docker://{address}/acme/app:{tag}", f"oci:{tmp_path}/{tag}-back:latest")  # fmt: skip
        assert read_layout(tmp_path / f"{tag}-back") == image
    for running in replicas[1:]:
        assert "ERROR" not in running.log, running.log
        assert "/v2/acme/app/" in running.log, "each of them had a part in it"
        assert "127.0.0.1 user:admin" in running.log
