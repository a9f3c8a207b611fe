"""docs/kubernetes: the manifests agree with each other, with the image, and with what can be set."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from registry.api.paths import ALIVE_PATH, READY_PATH
from registry.config import Settings
from registry.config_sources import load
from registry.drivers import driver_class
from tests.deployment.dockerfile import environment, stages

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "kubernetes"
EXAMPLE = "secret.example.yaml"
SECRETS = "/run/secrets/entrepot"

Manifest = dict[str, Any]


def read(path: Path) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


KUSTOMIZATION = read(FOLDER / "kustomization.yaml")[0]
MANIFESTS = {
    (document["kind"]): document for name in KUSTOMIZATION["resources"] for document in read(FOLDER / name)
}
EXAMPLE_SECRET = read(FOLDER / EXAMPLE)[0]
DEPLOYMENT = MANIFESTS["Deployment"]
POD = DEPLOYMENT["spec"]["template"]["spec"]
(REGISTRY,) = POD["containers"]
(MIGRATE,) = POD["initContainers"]
CONTAINERS = [MIGRATE, REGISTRY]
LABELS = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a container, with the example's secrets mounted as the Deployment says."""
    for name, value in EXAMPLE_SECRET["stringData"].items():
        (tmp_path / name).write_text(value)
    given = {**environment(stages(ROOT / "Dockerfile")[-1]), **MANIFESTS["ConfigMap"]["data"]}
    assert all(isinstance(value, str) for value in given.values()), "the values of a ConfigMap are text"
    return load(
        {}, None, {key: value.replace(SECRETS, str(tmp_path)) for key, value in given.items()}
    ).settings


def test_every_file_is_used() -> None:
    files = {path.name for path in FOLDER.glob("*.yaml")}
    assert files == {"kustomization.yaml", EXAMPLE, *KUSTOMIZATION["resources"]}
    for document in [*MANIFESTS.values(), EXAMPLE_SECRET]:
        assert document["metadata"]["name"] == "entrepot"
        assert {"apiVersion", "kind"} <= document.keys()


def test_settings_are_known(settings: Settings) -> None:
    assert settings.storage.driver == "s3"
    assert driver_class("s3").shared
    assert settings.index_url().startswith("postgresql")
    assert not settings.open
    (port,) = REGISTRY["ports"]
    assert settings.server.port == port["containerPort"]


def test_secrets_are_where_they_are_looked_for() -> None:
    data = MANIFESTS["ConfigMap"]["data"]
    told = {value for key, value in data.items() if key.endswith("_FILE")}
    assert told == {f"{SECRETS}/{name}" for name in EXAMPLE_SECRET["stringData"]}
    (volume,) = [each for each in POD["volumes"] if "secret" in each]
    assert volume["secret"]["secretName"] == EXAMPLE_SECRET["metadata"]["name"]
    for container in CONTAINERS:
        (mount,) = [each for each in container["volumeMounts"] if each["name"] == volume["name"]]
        assert (mount["mountPath"], mount["readOnly"]) == (SECRETS, True)
    assert not [value for value in data.values() if re.search(r"://[^/]*:[^/]*@", value)]


def test_the_index_is_migrated_first() -> None:
    assert (MIGRATE["args"], REGISTRY["args"]) == (["migrate"], ["serve"])
    for key in ("image", "envFrom", "volumeMounts", "securityContext"):
        assert MIGRATE[key] == REGISTRY[key], key


def test_probes() -> None:
    assert REGISTRY["livenessProbe"]["httpGet"]["path"] == ALIVE_PATH
    assert REGISTRY["startupProbe"]["httpGet"]["path"] == ALIVE_PATH
    assert REGISTRY["readinessProbe"]["httpGet"]["path"] == READY_PATH
    named = {port["name"] for port in REGISTRY["ports"]}
    for kind in ("livenessProbe", "startupProbe", "readinessProbe"):
        assert REGISTRY[kind]["httpGet"]["port"] in named


def test_the_image_is_ours() -> None:
    (image,) = KUSTOMIZATION["images"]
    assert {container["image"] for container in CONTAINERS} == {image["name"]}
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert image["newTag"] == version[1]


def test_nothing_is_written_but_to_volumes() -> None:
    user = {each.keyword: each.text for each in stages(ROOT / "Dockerfile")[-1]}["USER"]
    assert f"{POD['securityContext']['runAsUser']}:{POD['securityContext']['runAsGroup']}" == user
    volumes = {volume["name"] for volume in POD["volumes"]}
    for container in CONTAINERS:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert {"/data", "/tmp"} < mounts.keys()
        assert set(mounts.values()) <= volumes


def test_a_pod_that_ends_is_given_the_time_for_it(settings: Settings) -> None:
    """And it is out of the service before it refuses anybody."""
    server, probe = settings.server, REGISTRY["readinessProbe"]
    assert POD["terminationGracePeriodSeconds"] > server.notice_seconds + server.drain_seconds + 15
    assert server.notice_seconds > probe["periodSeconds"] * probe["failureThreshold"]


def selectors() -> Iterator[tuple[str, Mapping[str, str]]]:
    yield "Service", MANIFESTS["Service"]["spec"]["selector"]
    for kind in ("Deployment", "PodDisruptionBudget"):
        yield kind, MANIFESTS[kind]["spec"]["selector"]["matchLabels"]
    for spread in POD["topologySpreadConstraints"]:
        yield "the spread", spread["labelSelector"]["matchLabels"]


def test_all_select_our_pods() -> None:
    for kind, selector in selectors():
        assert selector, kind
        assert selector.items() <= LABELS.items(), kind
    (port,) = MANIFESTS["Service"]["spec"]["ports"]
    assert port["targetPort"] in {each["name"] for each in REGISTRY["ports"]}


def test_the_autoscaler_scales_the_deployment(settings: Settings) -> None:
    spec = MANIFESTS["HorizontalPodAutoscaler"]["spec"]
    target = spec["scaleTargetRef"]
    assert (target["apiVersion"], target["kind"]) == (DEPLOYMENT["apiVersion"], DEPLOYMENT["kind"])
    assert "replicas" not in DEPLOYMENT["spec"], "each kubectl apply would undo what it did"
    assert spec["minReplicas"] > MANIFESTS["PodDisruptionBudget"]["spec"]["maxUnavailable"]
    assert "cpu" in REGISTRY["resources"]["requests"], "utilisation is of what was requested"
    connections = spec["maxReplicas"] * settings.server.workers * (settings.index.pool_size + 1)
    assert f"max_connections of {connections} " in (FOLDER / "autoscaler.yaml").read_text()


def test_kustomize_takes_it() -> None:
    """Where it is at hand; the rest holds without it."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    built = subprocess.run([kubectl, "kustomize", FOLDER], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    documents = [document for document in yaml.safe_load_all(built.stdout) if document]
    assert {document["kind"] for document in documents} == MANIFESTS.keys()
    assert "registry.example.com/entrepot:" in built.stdout
