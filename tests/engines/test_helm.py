"""helm: charts as OCI artifacts: push, pull by version and by the newest, show, render, provenance."""

import json
from pathlib import Path

import pytest

from tests.engines.charts import package
from tests.engines.clients import Client
from tests.engines.images import sha256
from tests.engines.remote import Remote

PLAIN = "--plain-http"
CHART_CONFIG = "application/vnd.cncf.helm.config.v1+json"
CHART_CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
CHART_PROVENANCE = "application/vnd.cncf.helm.chart.provenance.v1.prov"


@pytest.fixture
def helm(folder: Path) -> Client:
    return Client.found("helm", folder / "home")


def test_push_and_pull(helm: Client, remote: Remote, repository: str, folder: Path) -> None:
    chart = package(helm, folder, "1.2.3+build.5")
    provenance = chart.with_suffix(".tgz.prov")
    provenance.write_text("signed by nobody")
    home = f"oci://{remote.address}/{repository}"
    helm("push", chart, home, PLAIN)
    # A tag has no "+"; helm writes "_" for it, and turns it back when it reads.
    manifest = remote.manifest(f"{repository}/box", "1.2.3_build.5").json()
    assert manifest["config"]["mediaType"] == CHART_CONFIG
    layers = {layer["mediaType"]: layer["digest"] for layer in manifest["layers"]}
    assert layers == {
        CHART_CONTENT: sha256(chart.read_bytes()),
        CHART_PROVENANCE: sha256(provenance.read_bytes()),
    }
    config = json.loads(remote.blob(f"{repository}/box", manifest["config"]["digest"]))
    assert (config["name"], config["version"]) == ("box", "1.2.3+build.5")
    back = folder / "back"
    back.mkdir()
    helm("pull", f"{home}/box", "--version", "1.2.3+build.5", "--prov", PLAIN, "--destination", back)
    assert (back / chart.name).read_bytes() == chart.read_bytes()
    assert (back / provenance.name).read_bytes() == provenance.read_bytes()


def test_without_version_the_newest_is_pulled(
    helm: Client, remote: Remote, repository: str, folder: Path
) -> None:
    home = f"oci://{remote.address}/{repository}"
    for version in ("0.9.0", "0.10.0", "0.10.1-rc.1", "0.2.0"):
        helm("push", package(helm, folder, version), home, PLAIN)
    back = folder / "back"
    back.mkdir()
    helm("pull", f"{home}/box", PLAIN, "--destination", back)
    assert [path.name for path in back.iterdir()] == ["box-0.10.0.tgz"]
    assert "version: 0.9.0" in helm("show", "chart", f"{home}/box", "--version", "^0.9", PLAIN)
    rendered = helm("template", "release", f"{home}/box", "--set", "colour=green", PLAIN)
    assert "colour: green" in rendered


def test_delete_and_push_again(helm: Client, remote: Remote, repository: str, folder: Path) -> None:
    chart = package(helm, folder, "1.0.0")
    home = f"oci://{remote.address}/{repository}"
    helm("push", chart, home, PLAIN)
    remote.delete_image(f"{repository}/box", remote.image(f"{repository}/box", "1.0.0"))
    helm.refused("pull", f"{home}/box", "--version", "1.0.0", PLAIN, "--destination", folder)
    helm("push", chart, home, PLAIN)
    assert remote.image(f"{repository}/box", "1.0.0").layers[0].data == chart.read_bytes()
