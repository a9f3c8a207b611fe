"""The commands that tell of what was adopted: where it lies, and what it takes."""

import pytest

from tests.adoption.conftest import Adopt
from tests.adoption.old_registry import Tree
from tests.engines.images import Index, make_image, make_index
from tests.engines.images import sha256 as digest_of
from tests.unit.cli.conftest import CommandLine

NAME = "team/app"


@pytest.fixture
def index(tree: Tree, adopt: Adopt) -> Index:
    """An index that was adopted under a tag, beside an image that shares nothing with it."""
    index = make_index()
    for image in index.images:
        tree.write_image(NAME, image)
    tree.write_manifest(NAME, index.manifest, "latest")
    tree.write_image(NAME, make_image(), "other")
    adopt()
    return index


def test_why_names_what_holds_a_layer(run: CommandLine, index: Index) -> None:
    image = index.images[0]
    said = run.done("why", image.layers[0].digest)

    lines = said.out.splitlines()
    assert any(line.split()[0] == "location" and "docker/registry/v2/blobs" in line for line in lines)
    [needing] = [line for line in lines if image.digest in line]
    [listing] = [line for line in lines if index.digest in line]
    assert needing.split()[:2] == [NAME, "manifest"]
    assert (listing.split()[:2], listing.split()[3]) == ([NAME, "index"], "latest")


def test_why_says_that_nothing_is_known(run: CommandLine, index: Index) -> None:
    said = run("why", digest_of(b"nothing"))
    assert (said.code, said.out) == (1, f"nothing that you may see knows {digest_of(b'nothing')}\n")
    assert run("why", "latest").code == 1


def test_usage_by_repository_and_by_tag(run: CommandLine, index: Index) -> None:
    whole = run.done("usage", "--json").document
    tags = run.done("usage", NAME, "--json").document["tags"]

    blobs = {blob.digest: len(blob.data) for image in index.images for blob in image.blobs}
    manifests = [index.manifest, *(image.manifest for image in index.images)]
    size = sum(blobs.values()) + sum(len(manifest.data) for manifest in manifests)
    found = {tag["name"]: tag for tag in tags}
    assert found["latest"] == {"name": "latest", "bytes": size, "exclusive": size, "shared": 0}
    assert whole["bytes"] == sum(tag["bytes"] for tag in tags)
    assert run.done("usage").out.startswith("repositories  1\nblobs         ")
    assert run.done("usage", NAME, "--limit", "1").out.splitlines()[1].split()[0] == "latest"
