"""`entrepot import` and `export`: image layouts come back bit by bit."""

import json
import tarfile
from pathlib import Path

import pytest

from tests.engines.images import OCI_INDEX, OCI_MANIFEST, Blob, Image, make_image, make_index
from tests.engines.layouts import read_layout, read_layout_archive, write_layout, write_layout_archive
from tests.engines.remote import Remote
from tests.support.server import RunningRegistry
from tests.transfer.conftest import Move
from tests.unit.cli.conftest import CommandLine


def referring(to: Blob, kind: str) -> Image:
    """An artifact whose subject is `to`."""
    config, layer = Blob("application/vnd.oci.empty.v1+json", b"{}"), Blob("text/plain", kind.encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": config.descriptor(),
        "layers": [layer.descriptor()],
        "subject": to.descriptor(),
    }
    return Image(Blob(OCI_MANIFEST, json.dumps(manifest, indent=1).encode()), config, (layer,))


def add(layout: Path, image: Image) -> None:
    """Enter an image without a name."""
    index = json.loads((layout / "index.json").read_text())
    index["manifests"].append(image.manifest.descriptor())
    (layout / "index.json").write_text(json.dumps(index))
    for blob in (image.manifest, *image.blobs):
        (layout / "blobs" / blob.digest.replace(":", "/")).write_bytes(blob.data)


def blobs(layout: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (layout / "blobs/sha256").iterdir()}


def digests(layout: Path) -> set[str]:
    return {entry["digest"] for entry in json.loads((layout / "index.json").read_text())["manifests"]}


def test_a_layout_comes_back_with_its_index_and_referrers(
    move: Move, remote: Remote, repository: str, tmp_path: Path
) -> None:
    index = make_index()
    layout = write_layout(tmp_path / "in", multi=index)
    signature = referring(index.manifest, "application/x.signature")
    for image in (signature, referring(signature.manifest, "text/x.of-a-signature"),
                  referring(index.images[1].manifest, "application/x.sbom")):  # fmt: skip
        add(layout, image)

    sent = move("import", layout, repository, "--referrers")
    assert (sent["manifests_sent"], sent["blobs_sent"]) == (6, 6 + 4)
    assert remote.manifest(repository, "multi").data == index.manifest.data
    assert [entry["digest"] for entry in remote.referrers(repository, index.digest)] == [signature.digest]

    back = tmp_path / "back"
    move("export", f"{repository}:multi", back, "--referrers")
    assert blobs(back) == blobs(layout)
    assert digests(back) == digests(layout)
    again = move("import", back, f"{repository}/again", "--referrers")
    assert again["blobs_sent"] == 0 or again["blobs_mounted"] == 0
    assert remote.content(f"{repository}/again", "multi") == index


def test_referrers_stay_unless_they_are_asked_for(
    move: Move, remote: Remote, repository: str, tmp_path: Path
) -> None:
    image = make_image()
    layout = write_layout(tmp_path / "in", one=image)
    add(layout, referring(image.manifest, "application/x.signature"))
    assert move("import", layout, repository)["manifests_sent"] == 1
    assert remote.referrers(repository, image.digest) == []


def test_an_archive_comes_back(move: Move, remote: Remote, repository: str, tmp_path: Path) -> None:
    image = make_image()
    archive = write_layout_archive(tmp_path / "in.tar", write_layout(tmp_path / "in", latest=image))
    move("import", archive, f"{repository}:1.0")
    assert remote.content(repository, "1.0") == image

    back = tmp_path / "back.tar"
    move("export", f"{repository}:1.0", back)
    assert read_layout_archive(back) == image
    with tarfile.open(back) as members:
        listed = members.extractfile("manifest.json")
        assert listed is not None
        [entry] = json.load(listed)
    assert entry["RepoTags"] == [f"{remote.address}/{repository}:1.0"]
    assert sorted(path.name for path in tmp_path.glob("back*")) == ["back.tar"]

    first = back.read_bytes()
    back.unlink()
    move("export", f"{repository}:1.0", back)
    assert back.read_bytes() == first


def test_an_archive_holds_nothing_of_an_export_that_was_broken_off(
    move: Move, there: CommandLine, repository: str, tmp_path: Path
) -> None:
    first, second = make_image(), make_image()
    layout = write_layout(tmp_path / "in", first=first, second=second)
    move("import", layout, repository)
    back = tmp_path / "back.tar"
    move("export", f"{repository}:first", tmp_path / "back.tar.partial")
    assert "holds no manifest none" in there("export", f"{repository}:none", str(back)).out
    assert not back.exists()
    report = move("export", f"{repository}:second", back)
    assert report["blobs_sent"] == 3
    assert read_layout_archive(back) == second
    with tarfile.open(back) as members:
        assert len(members.getnames()) == 4 + 3


def test_one_that_can_not_be_moved_does_not_keep_the_others(
    there: CommandLine, remote: Remote, repository: str, tmp_path: Path
) -> None:
    bad, good = make_image(), make_image()
    layout = write_layout(tmp_path / "in", bad=bad, good=good)
    (layout / "blobs" / bad.layers[0].digest.replace(":", "/")).unlink()
    said = there("import", str(layout), repository, "--json")
    assert said.code == 1
    [problem] = said.document["problems"]
    assert problem["image"] == bad.digest
    assert remote.tags(repository) == ["good"]


def test_a_second_run_moves_nothing(move: Move, repository: str, tmp_path: Path) -> None:
    layout = write_layout(tmp_path / "in", multi=make_index(), one=make_image())
    assert move("import", layout, repository)["blobs_sent"] == 9
    again = move("import", layout, repository)
    assert (again["blobs_sent"], again["manifests_sent"], again["manifests_present"]) == (0, 0, 2)
    assert len(again["images"]) == 2

    out = tmp_path / "out"
    assert move("export", repository, out, "--tags", "*")["blobs_sent"] == 9
    back = move("export", repository, out, "--tags", "*")
    assert (back["blobs_sent"], back["blobs_present"]) == (0, 9)


@pytest.mark.parametrize("flags", [(), ("--referrers",)], ids=["by tag", "with referrers"])
def test_a_blob_that_the_registry_lost_is_sent_again(
    move: Move,
    remote: Remote,
    server: RunningRegistry,
    flags: tuple[str, ...],
    repository: str,
    tmp_path: Path,
) -> None:
    """Manifests and tags are there still: with `--check` it is not taken for granted that their blobs are."""
    index = make_index()
    layout = write_layout(tmp_path / "in", multi=index)
    move("import", layout, repository, *flags)
    lost = index.images[1].layers[0]
    (stored,) = server.data.rglob(f"{lost.digest.partition(':')[2]}.*")
    stored.unlink()
    assert remote.request("GET", f"/v2/{repository}/blobs/{lost.digest}").status == 404

    assert move("import", layout, repository, *flags)["blobs_sent"] == 0
    healed = move("import", layout, repository, "--check", *flags)
    assert (healed["blobs_sent"], healed["bytes_sent"]) == (1, len(lost.data))
    assert healed["manifests_sent"] == 0
    assert remote.content(repository, "multi") == index


def test_names_and_tags(
    move: Move, there: CommandLine, remote: Remote, repository: str, tmp_path: Path
) -> None:
    images = {"v1": make_image(), "v2": make_image(), "edge": make_image()}
    layout = write_layout(tmp_path / "in", **images)
    refused = there("import", str(layout), f"{repository}:x")
    assert refused.code == 1
    assert "one tag can't stand for 3 images; choose with --tags: v1, v2, edge" in refused.err

    move("import", layout, repository, "--tags", "v*")
    assert remote.tags(repository) == ["v1", "v2"]
    move("import", layout, f"{repository}:stable", "--tags", "v2")
    assert remote.manifest(repository, "stable").digest == images["v2"].digest
    assert "holds no image like w*" in there("import", str(layout), repository, "--tags", "w*").err

    move("export", repository, tmp_path / "out", "--tags", "v*")
    move("import", tmp_path / "out", f"{repository}/below/**")
    assert remote.tags(f"{repository}/below/{repository}") == ["v1", "v2"]
    assert "has no repository of its own" in there("import", str(layout), f"{repository}/x/**").err


def test_one_platform_of_an_index(
    move: Move, there: CommandLine, remote: Remote, repository: str, tmp_path: Path
) -> None:
    """docker saves an index whole even where it has the image of one platform only."""
    index = make_index()
    layout = write_layout(tmp_path / "in", multi=index)
    other = index.images[1]
    (layout / "blobs" / other.digest.replace(":", "/")).unlink()
    said = there("import", str(layout), repository)
    assert said.code == 1
    assert other.digest.partition(":")[2] in said.out
    assert "name it" in said.out

    move("import", layout, repository, "--platform", "linux/amd64")
    assert remote.content(repository, "multi") == index.images[0]
    missing = there("import", str(layout), repository, "--platform", "linux/s390x")
    assert "there is no image for linux/s390x" in missing.out


@pytest.mark.parametrize("part", ["layer", "config", "manifest", "cut"])
def test_a_damaged_layout_is_refused_by_name(
    part: str, there: CommandLine, remote: Remote, repository: str, tmp_path: Path
) -> None:
    image = make_image()
    layout = write_layout(tmp_path / "in", latest=image)
    wrong = {"config": image.config, "manifest": image.manifest}.get(part, image.layers[1])
    path = layout / "blobs" / wrong.digest.replace(":", "/")
    path.write_bytes(wrong.data[:-1] if part == "cut" else wrong.data[:-1] + b"x")
    said = there("import", str(layout), f"{repository}/{part}")
    assert said.code == 1
    assert wrong.digest in said.out + said.err
    assert "damaged" in said.out + said.err
    assert not remote.has_manifest(f"{repository}/{part}", "latest")
    assert not remote.has_blob(f"{repository}/{part}", wrong.digest)


def test_a_damaged_blob_in_an_export_is_fetched_again(move: Move, repository: str, tmp_path: Path) -> None:
    image = make_image()
    move("import", write_layout(tmp_path / "in", latest=image), repository)
    out = tmp_path / "out"
    move("export", repository, out)
    first, second = (out / "blobs" / layer.digest.replace(":", "/") for layer in image.layers)
    first.write_bytes(b"x" + image.layers[0].data[1:])
    second.with_name(f"{second.name}.partial").write_bytes(image.layers[1].data[:1000])
    second.unlink()
    report = move("export", repository, out)
    assert report["blobs_sent"] == 2
    assert report["bytes_sent"] == len(image.layers[0].data) + len(image.layers[1].data) - 1000
    assert read_layout(out) == image


def test_a_partial_blob_with_other_bytes_is_not_believed(
    move: Move, there: CommandLine, repository: str, tmp_path: Path
) -> None:
    image = make_image()
    move("import", write_layout(tmp_path / "in", latest=image), repository)
    out = tmp_path / "out"
    move("export", repository, out)
    path = out / "blobs" / image.layers[0].digest.replace(":", "/")
    path.unlink()
    path.with_name(f"{path.name}.partial").write_bytes(b"something else")
    said = there("export", repository, str(out))
    assert (said.code, path.exists()) == (1, False)
    assert image.layers[0].digest in said.out
    move("export", repository, out)
    assert read_layout(out) == image


def test_what_is_no_layout(there: CommandLine, repository: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/notes.txt").write_text("mine")
    (tmp_path / "file.tar").write_bytes(b"no tar" * 1000)
    with tarfile.open(tmp_path / "other.tar", "w") as archive:
        archive.add(tmp_path / "folder/notes.txt", "notes.txt")
    for path, why in {
        "folder": "is no image layout", "file.tar": "is no tar archive", "missing": "No such file",
        "other.tar": "neither an image layout",
    }.items():  # fmt: skip
        said = there("import", str(tmp_path / path), repository)
        assert (said.code, said.out) == (1, "")
        assert why in said.err
    assert "something else" in there("export", repository, str(tmp_path / "folder")).err
    assert (tmp_path / "folder/notes.txt").read_text() == "mine"


def test_links_in_a_folder_are_not_followed(there: CommandLine, repository: str, tmp_path: Path) -> None:
    image = make_image()
    layout = write_layout(tmp_path / "in", latest=image)
    path = layout / "blobs" / image.config.digest.replace(":", "/")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    said = there("import", str(layout), repository)
    assert said.code == 1
    assert path.name in said.out


def test_rights_hold(there: CommandLine, command_line: CommandLine, repository: str, tmp_path: Path) -> None:
    layout = write_layout(tmp_path / "in", latest=make_image())
    there.done("user", "add", repository, "--password-stdin", typed="correct-horse-battery\n")
    where, there.where = there.where, []
    url = where[1]
    login = ("login", "--server", url, "--user", repository, "--password-stdin")
    there.done(*login, typed="correct-horse-battery\n")
    there.where = where
    said = there("import", str(layout), f"{repository}/app")
    assert said.code == 1
    assert "403" in said.out + said.err or "401" in said.out + said.err
    there.done("logout")
    said = there("import", str(layout), f"{repository}/app")
    assert said.code == 1
    assert "sign in" in said.out + said.err


def test_an_index_of_nothing_and_its_kind(
    move: Move, remote: Remote, repository: str, tmp_path: Path
) -> None:
    empty = Blob(OCI_INDEX, b'{"schemaVersion":2,"manifests":[]}')
    layout = write_layout(tmp_path / "in", latest=make_image())
    (layout / "blobs" / empty.digest.replace(":", "/")).write_bytes(empty.data)
    index = {"schemaVersion": 2, "manifests": [empty.descriptor()]}
    (layout / "index.json").write_text(json.dumps(index))
    report = move("import", layout, repository)
    assert [image["tags"] for image in report["images"]] == [[]]
    assert remote.manifest(repository, empty.digest).media_type == OCI_INDEX
