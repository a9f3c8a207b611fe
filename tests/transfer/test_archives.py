"""Tar files from anywhere: what `docker save` wrote in its older form, and what is refused."""

import gzip
import io
import json
import os
import struct
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from registry.oci.digest import Digest
from registry.transfer.docker_archive import DockerArchive
from registry.transfer.errors import Damaged, TransferError
from registry.transfer.files import LARGEST_HEADER, Archive, pieces
from tests.engines.images import Image, make_image, sha256

Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, data: bytes) -> Member:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    return entry, data


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> Member:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, to
    return entry, b""


def write(path: Path, members: Sequence[Member]) -> Path:
    with tarfile.open(path, "w") as archive:
        for entry, data in members:
            archive.addfile(entry, io.BytesIO(data))
    return path


def old_form(image: Image, names: Sequence[str] = ("docker.io/acme/app:1.0",)) -> list[Member]:
    """As docker before 25 saved it: the second layer is the first one once more, as a link."""
    config = {**image.config.json(), "rootfs": {"diff_ids": [image.layers[0].digest] * 2}}
    data = json.dumps(config).encode()
    name = f"{sha256(data).removeprefix('sha256:')}.json"
    entry = {"Config": name, "RepoTags": list(names), "Layers": ["a/layer.tar", "b/layer.tar"]}
    return [
        file(name, data),
        file("a/layer.tar", image.layers[0].data),
        link("b/layer.tar", "../a/layer.tar"),
        file("manifest.json", json.dumps([entry]).encode()),
    ]


async def read(source: DockerArchive, digest: str) -> bytes:
    content = await source.manifest("", digest)
    data = b""
    for blob in content.manifest.blobs:
        async for piece in source.blob("", blob, 0):
            data += piece
    return data


async def test_the_older_form(tmp_path: Path) -> None:
    image = make_image(compressed=False)
    members = old_form(image)
    archive = Archive(write(tmp_path / "saved.tar", members))
    try:
        source = await DockerArchive.read(archive)
        [named] = source.images
        assert named.name == "docker.io/acme/app:1.0"
        content = await source.manifest("", named.digest)
        assert [blob.digest for blob in content.manifest.blobs[1:]] == [image.layers[0].digest] * 2
        assert await read(source, named.digest) == members[0][1] + image.layers[0].data * 2
    finally:
        archive.close()


async def test_it_is_the_same_image_however_the_archive_is_compressed(tmp_path: Path) -> None:
    members = old_form(make_image(compressed=False))
    plain = write(tmp_path / "saved.tar", members)
    packed = tmp_path / "saved.tar.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    digests = set()
    for path in (plain, packed):
        archive = Archive(path)
        digests |= {image.digest for image in (await DockerArchive.read(archive)).images}
        archive.close()
    assert len(digests) == 1
    packed.write_bytes(packed.read_bytes()[:-400])
    with pytest.raises(Damaged, match="cut off"):
        Archive(packed)


async def test_compressed_layers_go_as_they_are(tmp_path: Path) -> None:
    image = make_image()
    diff_ids = image.config.json()["rootfs"]["diff_ids"]
    name = image.config.digest.removeprefix("sha256:")
    layers = [f"blobs/{layer.digest.replace(':', '/')}" for layer in image.layers]
    entry = {"Config": f"blobs/sha256/{name}", "RepoTags": None, "Layers": layers}
    members = [file(layer, blob.data) for layer, blob in zip(layers, image.layers, strict=True)]
    members += [
        file(f"blobs/sha256/{name}", image.config.data),
        file("manifest.json", json.dumps([entry]).encode()),
    ]
    archive = Archive(write(tmp_path / "saved.tar", members))
    try:
        source = await DockerArchive.read(archive)
        content = await source.manifest("", source.images[0].digest)
        assert [blob.digest for blob in content.manifest.blobs] == [blob.digest for blob in image.blobs]
        assert content.manifest.blobs[1].media_type.endswith("tar+gzip")
        assert len(diff_ids) == 2
    finally:
        archive.close()


def changed(members: list[Member], name: str, change: Callable[[bytes], bytes]) -> list[Member]:
    return [
        file(entry.name, change(data)) if entry.name == name else (entry, data) for entry, data in members
    ]


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("a/layer.tar", lambda data: data[:-1] + b"x", "the layer a/layer.tar is damaged"),
        ("config", lambda data: data + b" ", "is damaged, its bytes have the digest"),
        ("manifest.json", lambda data: b"[]", "lists no images"),
        ("manifest.json", lambda data: b"nonsense", "is not JSON"),
        ("manifest.json", lambda data: data.replace(b"a/layer", b"../etc/x"), "holds no ../etc/x"),
        ("manifest.json", lambda data: data.replace(b'"a/layer.tar", ', b""), "has 1 layers, its config"),
        ("manifest.json", lambda data: data.replace(b'"Layers": [', b'"Layers": [1, '), "no list of texts"),
    ],
)  # fmt: skip
async def test_damaged_archives_are_refused_by_name(
    name: str, change: Callable[[bytes], bytes], why: str, tmp_path: Path
) -> None:
    members = old_form(make_image(compressed=False))
    name = members[0][0].name if name == "config" else name
    archive = Archive(write(tmp_path / "saved.tar", changed(members, name, change)))
    try:
        with pytest.raises(TransferError, match=why):
            await DockerArchive.read(archive)
    finally:
        archive.close()


def pax(size: int) -> bytes:
    """The header of an extended header that says it is so long."""
    entry = tarfile.TarInfo("././@PaxHeader")
    entry.type, entry.size = tarfile.XHDTYPE, size
    return entry.tobuf(tarfile.GNU_FORMAT)


def with_size(header: bytes, size: bytes) -> bytes:
    """A header whose field of the size has these bytes, with the checksum of that."""
    changed = header[:124] + size + header[136:148] + b" " * 8 + header[156:]
    return changed[:148] + b"%06o\0 " % sum(changed) + changed[156:]


END = bytes(1024)
PLAIN = tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([file("../escape", b"x")], "'../escape' leads out of the archive"),
        ([file("a/../../escape", b"x")], "leads out"),
        ([file("/etc/passwd", b"x")], "leads out"),
        ([link("a", "/etc/passwd")], "leads out"),
        ([link("a/b", "../../escape")], "leads out"),
        ([file("a", b"x"), link("b", "a", tarfile.LNKTYPE)], "'b' is neither a file nor a folder"),
        ([link("a", "", tarfile.CHRTYPE)], "'a' is neither a file nor a folder"),
        ([link("a", "", tarfile.FIFOTYPE)], "'a' is neither a file nor a folder"),
        ([file("a", b"x"), file("./a", b"y")], "holds 'a' twice"),
    ],
)
def test_members_that_are_refused(members: list[Member], why: str, tmp_path: Path) -> None:
    with pytest.raises(Damaged, match=why):
        Archive(write(tmp_path / "bad.tar", members))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (pax(LARGEST_HEADER + 1) + bytes(4096) + END, "a header of"),
        (pax(2**40) + END, "a header of 1099511627776 bytes"),
        (with_size(pax(0), struct.pack(">B3xq", 0xFF, -512)) + END, "no tar archive|a header of|can't be"),
        (with_size(PLAIN, struct.pack(">B3xq", 0xFF, -512)) + PLAIN + END, "no tar archive|can't be"),
        (pax(0) * 5000 + END, "no tar archive"),
        (tarfile.TarInfo("a").tobuf()[:300], "no tar archive"),
        (with_size(PLAIN, b"00000100000\0") + bytes(512) + END, "cut off|no tar archive"),
        (b"", "no tar archive"),
    ],
)
def test_headers_that_are_refused(data: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.tar"
    path.write_bytes(data)
    with pytest.raises(Damaged, match=why):
        Archive(path)


def test_links_go_in_circles(tmp_path: Path) -> None:
    archive = Archive(write(tmp_path / "bad.tar", [link("a", "b"), link("b", "a")]))
    with pytest.raises(Damaged, match="link to a link"):
        archive.size("a")
    archive.close()


async def test_parts_are_read_from_any_offset(tmp_path: Path) -> None:
    data = os.urandom(3000)
    archive = Archive(
        write(tmp_path / "good.tar", [file("x", b"before"), file("a/b", data), file("y", b"after")])
    )
    try:
        for offset in (0, 1, 2999, 3000, 4000):
            assert b"".join([piece async for piece in pieces(archive, "a/b", offset)]) == data[offset:]
        assert archive.size("a/b") == 3000
        assert Digest.of(data) == sha256(data)
    finally:
        archive.close()
