"""`entrepot import` reads what engines save, and engines load what `entrepot export` writes."""

import json
from pathlib import Path

import pytest

from registry import cli
from tests.engines.clients import Client
from tests.engines.containers import build
from tests.engines.docker import Engine
from tests.engines.images import make_image, make_index, random_files, sha256
from tests.engines.layouts import read_docker_archive, read_layout, write_layout
from tests.engines.remote import Remote
from tests.transfer.conftest import Move, Report


@pytest.fixture
def move(
    work: Path, remote: Remote, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Move:
    """Runs a command that has to work."""
    monkeypatch.setenv("XDG_STATE_HOME", str(work / "state"))

    def move(*arguments: object) -> Report:
        capsys.readouterr()
        code = cli.main([*map(str, arguments), "--server", f"http://{remote.address}", "--json"])
        said = capsys.readouterr()
        assert code == 0, said
        report: Report = json.loads(said.out)
        return report

    return move


def test_docker_save_and_load(
    move: Move, docker: Engine, remote: Remote, repository: str, folder: Path
) -> None:
    name = remote.name(repository)
    docker.build(name, random_files(), random_files())
    archive = folder / "saved.tar"
    docker.docker("save", "--output", archive, name)
    move("import", archive, f"{repository}/moved:1.0")
    image = remote.image(f"{repository}/moved", "1.0")
    config, layers = read_docker_archive(archive)
    assert image.config.data == config
    assert [layer.data for layer in image.layers] == layers

    move("export", f"{repository}/moved:1.0", folder / "exported.tar")
    docker.docker("load", "--input", folder / "exported.tar")
    loaded = remote.name(f"{repository}/moved", "1.0")
    assert docker.saved(loaded, folder)[0] == config


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_podman_save_and_load(
    form: str, move: Move, podman: Client, remote: Remote, repository: str, folder: Path
) -> None:
    name = remote.name(repository)
    files = build(podman, folder, name)
    podman("save", "--format", form, "--output", folder / "saved.tar", name)
    move("import", folder / "saved.tar", f"{repository}:1.0")
    assert remote.image(repository, "1.0").files() == files

    move("export", f"{repository}:1.0", folder / "exported.tar")
    podman("load", "--input", folder / "exported.tar")
    podman("image", "exists", remote.name(repository, "1.0"))


def test_skopeo_layouts(move: Move, skopeo: Client, remote: Remote, repository: str, folder: Path) -> None:
    index, image = make_index(), make_image()
    write_layout(folder / "in", index=index, one=image)
    skopeo("copy", "--all", f"oci:{folder}/in:index", f"oci:{folder}/layout:index")
    move("import", folder / "layout", repository)
    assert remote.content(repository, "index") == index

    move("export", repository + ":index", folder / "out")
    skopeo("copy", "--all", f"oci:{folder}/out:index", f"oci:{folder}/back")
    assert read_layout(folder / "back") == index
    skopeo("copy", f"oci:{folder}/in:one", f"docker-archive:{folder}/one.tar:acme/one:1.0")
    move("import", folder / "one.tar", f"{repository}/**")
    moved = remote.image(f"{repository}/acme/one", "1.0")
    assert [sha256(layer.data) for layer in moved.layers] == moved.config.json()["rootfs"]["diff_ids"]
    assert moved.files() == image.files()
