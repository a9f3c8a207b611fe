"""Old trees with something wrong in them: it is told, and never served. And runs that are cut off."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from registry.index import Connection, adoption
from registry.index.blobs import BlobRow
from storage_drivers.failpoints import VARIABLE
from tests.adoption.conftest import Adopt
from tests.adoption.old_registry import Tree, write
from tests.engines.images import DOCKER_MANIFEST, Blob, Image, Index, make_image, make_index
from tests.engines.remote import Remote
from tests.support.server import start_registry
from tests.unit.cli.conftest import CommandLine

NAME = "team/app"

Damage = Callable[[Tree, Image], object]


def reasons(report: Mapping[str, object]) -> dict[str, str]:
    problems = report["problems"]
    assert isinstance(problems, list)
    return {problem["what"]: problem["reason"] for problem in problems}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def foreign_layer(tree: Tree, image: Image) -> None:
    """The blob is there for another repository only."""
    digest = image.layers[0].digest
    write(tree.layer("secret/place", digest), digest.encode())
    tree.layer(NAME, digest).unlink()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda tree, image: flip(tree.blob(image.layers[1].digest)), "its bytes have the digest sha256:"),
        (
            lambda tree, image: os.truncate(tree.blob(image.layers[0].digest), 100),
            "its bytes have the digest",
        ),
        (lambda tree, image: tree.blob(image.config.digest).unlink(), "its bytes are not there"),
        (lambda tree, image: tree.layer(NAME, image.config.digest).write_bytes(b""), "has no link to it"),
        (foreign_layer, "the repository has no link to it"),
        (lambda tree, image: flip(tree.blob(image.digest)), "its bytes have the digest"),
        (lambda tree, image: tree.blob(image.digest).unlink(), "its bytes are not there"),
    ],
)
def test_an_image_of_which_something_is_wrong_is_left_out(
    adopt: Adopt, run: CommandLine, tree: Tree, damage: Damage, reason: str
) -> None:
    sound, wrong = make_image(), make_image()
    tree.write_image(NAME, sound, "sound")
    tree.write_image(NAME, wrong, "wrong")
    damage(tree, wrong)

    report = adopt()

    told = reasons(report)
    assert told.keys() == {f"{NAME}@{wrong.digest}", f"{NAME}:wrong"}
    assert reason in told[f"{NAME}@{wrong.digest}"]
    assert (report["manifests_added"], report["tags_added"], report["left_out"]) == (1, 1, 1)
    tags = run.done("tag", "list", NAME, "--json").document["tags"]
    assert [(tag["name"], tag["digest"]) for tag in tags] == [("sound", sound.digest)]


def test_what_is_mended_comes_the_next_time(adopt: Adopt, tree: Tree) -> None:
    index = make_index()
    for image in index.images:
        tree.write_image(NAME, image)
    tree.write_manifest(NAME, index.manifest, "latest")
    damaged = tree.blob(index.images[0].layers[0].digest)
    flip(damaged)
    first = adopt()
    assert reasons(first).keys() == {
        f"{NAME}@{index.images[0].digest}", f"{NAME}@{index.digest}", f"{NAME}:latest"
    }  # fmt: skip
    assert first["manifests_added"] == 1, "the other platform"

    flip(damaged)
    second = adopt()

    assert second["problems"] == []
    assert (second["manifests_added"], second["manifests_known"], second["tags_added"]) == (2, 1, 1)


def test_what_no_registry_of_ours_takes_is_told(adopt: Adopt, tree: Tree) -> None:
    schema1 = {"schemaVersion": 1, "name": NAME, "tag": "v1", "fsLayers": [], "history": []}
    image = make_image()
    tree.write_image(NAME, image, "good", "-bad-tag")
    tree.write_manifest(NAME, Blob("", json.dumps(schema1).encode()), "v1")
    tree.write_manifest(NAME, Blob("", b"no JSON"))
    tree.write_image("Team/App", image, "latest")
    write(tree.tag(NAME, "empty"), b"")
    write(tree.tag(NAME, "strange"), b"sha256:abc")
    write(tree.tag(NAME, "lost"), b"sha256:" + b"0" * 64)
    write(tree.revision(NAME, "sha256:" + "1" * 64), b"")

    report = adopt()

    told = reasons(report)
    assert (report["manifests_added"], report["tags_added"]) == (1, 1)
    assert "is not a repository name" in told.pop("Team/App")
    assert "is not a tag" in told.pop(f"{NAME}:-bad-tag")
    assert all("its link is damaged" in told.pop(f"{NAME}:{tag}") for tag in ("empty", "strange"))
    assert all(told.pop(f"{NAME}:{tag}") == "its manifest is not here" for tag in ("v1", "lost"))
    assert sorted(text.partition(":")[0].partition(";")[0] for text in told.values()) == [
        "Docker image manifest schema 1 is not supported",
        "the manifest can't be read",
    ]


def test_sparse_manifests_come_where_they_are_allowed(
    adopt: Adopt, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = make_index()
    tree.write_image(NAME, index.images[0])
    tree.write_manifest(NAME, index.manifest, "latest")
    assert "there is no such manifest" in reasons(adopt())[f"{NAME}@{index.digest}"]

    monkeypatch.setenv("ENTREPOT_MANIFESTS__SPARSE", "true")

    assert adopt()["manifests_added"] == 1


def test_a_tree_that_is_not_there_and_a_driver_that_shows_nothing(
    run: CommandLine, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = run("adopt")
    assert said.code == 1
    assert "below docker/registry/v2 in the storage there is no repository" in said.err
    monkeypatch.setenv("ENTREPOT_STORAGE__DRIVER", "memory")
    monkeypatch.setenv("ENTREPOT_SERVER__WORKERS", "1")
    monkeypatch.delenv("ENTREPOT_STORAGE__FILESYSTEM__ROOT")
    said = run("adopt")
    assert said.code == 1
    assert "memory can't adopt: use filesystem or s3" in said.err


def test_what_people_read(run: CommandLine, tree: Tree) -> None:
    image = make_image()
    tree.write_image(NAME, image, "latest")
    write(tree.tag(NAME, "empty"), b"")

    dry, real = run("adopt", "--dry-run"), run("adopt")

    assert "manifests     1 would come, 0 were here" in dry.out
    assert "repositories  1\nmanifests     1 came, 0 were here\nblobs         3 came" in real.out
    assert f"left out      1:\n  {NAME}:empty: its link is damaged" in real.out
    rows = run.done("audit", "--json").document["entries"]
    adopted = [(row["target"], row["detail"]) for row in reversed(rows) if row["action"] == "adopt"]
    assert adopted == [("**", {}), (NAME, {"manifests": 1, "tags_added": 1, "tags_moved": 0})]


def test_immutable_tags_stay(adopt: Adopt, run: CommandLine, tree: Tree) -> None:
    first, second = make_image(), make_image()
    tree.write_image(NAME, first, "v1")
    adopt()
    run.done("repository", "set", NAME, "--immutable-tags", "v*")
    tree.write_image(NAME, second, "v1", "v2")

    report = adopt()

    assert reasons(report) == {f"{NAME}:v1": "it is immutable here, and points to another manifest"}
    assert report["tags_added"] == 1


@pytest.mark.parametrize("place", ["adoption.manifest.verified", "adoption.manifest.entered"])
def test_a_run_that_is_killed_goes_on(
    adopt: Adopt, tree: Tree, environment: dict[str, str], tmp_path: Path, place: str
) -> None:
    contents: list[Image | Index] = [make_image(), make_index(), make_image()]
    for number, content in enumerate(contents):
        for image in content.images if isinstance(content, Index) else (content,):
            tree.write_image(NAME, image)
        tree.write_manifest(NAME, content.manifest, f"v{number}")
    command = [sys.executable, "-m", "registry", "adopt", "--data", str(tmp_path / "data")]
    killed = {**os.environ, **environment, VARIABLE: f"{place}:3"}
    died = subprocess.run(command, env=killed, start_new_session=True, capture_output=True)
    assert died.returncode < 0

    report = adopt()

    assert report["problems"] == []
    assert report["manifests_added"] + report["manifests_known"] == 5
    assert report["manifests_known"] >= (2 if place.endswith("entered") else 0)
    assert report["tags_added"] == 3
    running = start_registry(tmp_path / "data", environment=environment)
    try:
        new = Remote(running.address)
        assert [new.content(NAME, f"v{number}") for number in range(3)] == contents
    finally:
        running.kill()


def test_docker_manifests_come_with_their_type(adopt: Adopt, run: CommandLine, tree: Tree) -> None:
    image = make_image()
    fields = image.manifest.json() | {"mediaType": DOCKER_MANIFEST}
    tree.write_image(NAME, image)
    tree.write_manifest(NAME, Blob(DOCKER_MANIFEST, json.dumps(fields).encode()), "docker")

    adopt()

    [tag] = run.done("tag", "list", NAME, "--json").document["tags"]
    assert tag["media_type"] == DOCKER_MANIFEST


def test_a_blob_that_is_collected_meanwhile_is_looked_for_again(
    adopt: Adopt, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image()
    tree.write_image(NAME, image)
    adopt()
    tree.write_image("team/other", image)
    hold, is_here, lost = adoption.hold, adoption.is_here, set[str]()

    def lose_one(connection: Connection, digest: str, until: float) -> BlobRow | None:
        if digest == image.config.digest and not lost:
            lost.add(digest)
            return None
        return hold(connection, digest, until)

    monkeypatch.setattr(adoption, "hold", lose_one)
    monkeypatch.setattr(
        adoption, "is_here", lambda connection, digest: digest not in lost and is_here(connection, digest)
    )

    report = adopt()

    assert (report["manifests_added"], report["problems"]) == (1, [])
    assert report["bytes_read"] == len(image.config.data), "that one only"


def test_what_was_deleted_here_stays_deleted(adopt: Adopt, run: CommandLine, tree: Tree) -> None:
    image = make_image()
    tree.write_image(NAME, image, "latest")
    adopt()
    run.done("repository", "remove", NAME, "--yes")

    report = adopt()

    assert (report["deleted_here"], report["newer_here"]) == (1, 1)
    assert (report["manifests_added"], report["tags_added"], report["problems"]) == (0, 0, [])
    assert run.done("repository", "list", "--json").document["repositories"] == []


def test_what_was_deleted_here_and_collected_is_gone(
    adopt: Adopt, run: CommandLine, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTREPOT_UNDO__WINDOW_SECONDS", "0")
    image = make_image()
    tree.write_image(NAME, image, "latest")
    adopt()
    run.done("repository", "remove", NAME, "--yes")
    with closing(sqlite3.connect(Path(run.where[1]) / "index.sqlite")) as index, index:
        index.execute("UPDATE blobs SET lease_until = 0")

    run.done("gc", "run")
    soon = reasons(adopt())[f"{NAME}@{image.digest}"]
    monkeypatch.setenv("ENTREPOT_GC__DELAY_SECONDS", "0")
    run.done("gc", "run")
    later = reasons(adopt())[f"{NAME}@{image.digest}"]

    assert soon.count("it was deleted here, and its bytes are about to go") == 3
    assert later.count("its bytes are not there") == 3
    assert not tree.blob(image.config.digest).exists()
    assert tree.blob(image.digest).exists(), "manifests were never adopted as blobs"
