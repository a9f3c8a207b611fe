"""What a real docker-registry stored is adopted and served, on its file system and in its bucket."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from tests.adoption.conftest import Adopt
from tests.adoption.old_registry import OldRegistry, running_old_registry
from tests.engines.images import (
    DOCKER_MANIFEST,
    OCI_MANIFEST,
    Blob,
    Image,
    Index,
    make_image,
    make_index,
    sha256,
)
from tests.engines.remote import Remote
from tests.support.s3_server import ACCESS_KEY, REGION, SECRET_KEY, S3Server
from tests.support.server import start_registry
from tests.unit.cli.conftest import CommandLine


@dataclass
class Place:
    """Where the old registry stores: its `storage`, and all that lies there but what we add."""

    storage: Mapping[str, object]
    contents: Callable[[], dict[str, bytes]]


@pytest.fixture(params=["filesystem on sqlite", "s3 on postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path, environment: dict[str, str]) -> Place:
    if request.param.startswith("filesystem"):
        root = tmp_path / "old"
        environment["ENTREPOT_STORAGE__FILESYSTEM__ROOT"] = str(root)

        def contents() -> dict[str, bytes]:
            files = [path for path in (root / "docker").rglob("*") if path.is_file()]
            return {str(path): path.read_bytes() for path in files}

        return Place({"filesystem": {"rootdirectory": str(root)}}, contents)
    url: str = request.getfixturevalue("postgres_url")
    server: S3Server = request.getfixturevalue("s3_server")
    bucket = server.create_bucket()
    environment["ENTREPOT_INDEX__URL"] = url.replace("postgresql://", "postgresql+psycopg://", 1)
    environment["ENTREPOT_STORAGE__DRIVER"] = "s3"
    settings = {**server.settings(bucket), "prefix": "old/"}
    environment |= {f"ENTREPOT_STORAGE__S3__{name.upper()}": str(value) for name, value in settings.items()}

    def objects() -> dict[str, bytes]:
        keys = [key for key in server.keys(bucket) if key.startswith("old/docker/")]
        return {key: server.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    driver = {
        "bucket": bucket, "rootdirectory": "/old", "region": REGION, "regionendpoint": server.url,
        "accesskey": ACCESS_KEY, "secretkey": SECRET_KEY, "secure": False, "v4auth": True,
        "forcepathstyle": True,
    }  # fmt: skip
    return Place({"s3": driver, "redirect": {"disable": True}}, objects)


@pytest.fixture
def old(place: Place, tmp_path: Path) -> Iterator[OldRegistry]:
    with running_old_registry(tmp_path, place.storage) as registry:
        yield registry


@dataclass
class Filled:
    """What was pushed to the old registry: (repository, reference) and what it names."""

    content: dict[tuple[str, str], Image | Index] = field(default_factory=dict)

    def push(self, old: OldRegistry, repository: str, content: Image | Index, *tags: str) -> None:
        old.push(repository, content, *tags)
        self.content |= {(repository, reference): content for reference in (*tags, content.digest)}

    def check(self, registry: Remote) -> None:
        """Every one of them can be pulled, bit by bit."""
        for (repository, reference), content in self.content.items():
            assert registry.content(repository, reference) == content


def in_dockers_form(image: Image) -> Image:
    """The same image with docker's media types."""
    types = {
        image.config.media_type: "application/vnd.docker.container.image.v1+json",
        image.layers[0].media_type: "application/vnd.docker.image.rootfs.diff.tar.gzip",
        OCI_MANIFEST: DOCKER_MANIFEST,
    }

    def other(blob: Blob) -> Blob:
        return Blob(types[blob.media_type], blob.data)

    config, layers = other(image.config), tuple(map(other, image.layers))
    fields = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": config.descriptor(),
        "layers": [layer.descriptor() for layer in layers],
    }
    return Image(Blob(DOCKER_MANIFEST, json.dumps(fields).encode()), config, layers)


def signature_of(subject: Blob) -> Image:
    """An artifact that refers to a manifest."""
    config, layer = Blob("application/vnd.oci.empty.v1+json", b"{}"), Blob("text/plain", b"signed")
    fields = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.test.signature",
        "config": config.descriptor(),
        "layers": [layer.descriptor()],
        "subject": subject.descriptor(),
    }
    return Image(Blob(OCI_MANIFEST, json.dumps(fields).encode()), config, (layer,))


@contextmanager
def serving(tmp_path: Path, environment: Mapping[str, str]) -> Iterator[Remote]:
    running = start_registry(tmp_path / "data", environment=environment)
    try:
        yield Remote(running.address)
    finally:
        running.kill()


def test_everything_is_pulled_bit_by_bit_before_the_switch_and_after_it(
    place: Place, old: OldRegistry, adopt: Adopt, environment: dict[str, str], tmp_path: Path
) -> None:
    filled = Filled()
    image, other, index = make_image(), in_dockers_form(make_image()), make_index()
    filled.push(old, "team/app", image, "1.0", "latest")
    filled.push(old, "team/app/inner", image, "copy")
    filled.push(old, "app", other, "docker")
    filled.push(old, "team/multi", index, "latest")
    signature = signature_of(image.manifest)
    filled.push(old, "team/app", signature)
    old.push_blob("team/app", b"a layer that no manifest needs")
    assert old.request("POST", "/v2/team/app/blobs/uploads/").status == 202
    before = place.contents()

    dry = adopt("--dry-run")
    assert (dry["manifests_added"], dry["tags_added"], dry["bytes_read"]) == (7, 5, 0)
    first = adopt()

    assert first["problems"] == []
    assert (first["repositories"], first["manifests_added"], first["tags_added"]) == (4, 7, 5)
    blobs = {blob.digest for one in (image, other, *index.images, signature) for blob in one.blobs}
    assert first["blobs_added"] == dry["blobs_added"] == len(blobs)
    assert first["bytes_read"] == first["bytes_added"] == dry["bytes_added"]
    assert place.contents() == before, "the old tree stays as it is"
    again = adopt()
    assert (again["manifests_added"], again["manifests_known"], again["tags_unchanged"]) == (0, 7, 5)
    assert again["bytes_read"] == 0
    with serving(tmp_path, environment) as new:
        filled.check(new)
        [referrer] = new.referrers("team/app", image.digest)
        assert (referrer["digest"], referrer["artifactType"]) == (
            signature.digest,
            "application/vnd.test.signature",
        )
        assert not new.has_blob("team/app", sha256(b"a layer that no manifest needs"))
        assert not new.has_blob("app", image.layers[0].digest), "what a repository may read is as it was"

        # Both go on for a while. The newer one counts, whichever side it is on.
        pushed_here, pushed_there, both = make_image(), make_image(), make_image()
        old.push("team/app", both, "both")
        new.put("team/app", both, "latest")
        new.put("team/app", pushed_here, "both")
        filled.push(old, "team/app", pushed_there, "1.0", "2.0")
        assert new.request("DELETE", "/v2/team/multi/manifests/latest").status == 202

        second = adopt()

        assert second["problems"] == []
        assert (second["manifests_added"], second["tags_added"], second["tags_moved"]) == (1, 1, 1)
        assert second["newer_here"] == 3
        assert new.manifest("team/app", "latest") == both.manifest
        assert new.manifest("team/app", "both") == pushed_here.manifest
        assert new.manifest("team/app", "1.0") == new.manifest("team/app", "2.0") == pushed_there.manifest
        assert not new.has_manifest("team/multi", "latest"), "what was deleted here stays deleted"
        assert new.content("team/multi", index.digest) == index
    assert place.contents().items() >= before.items() - {
        (name, content) for name, content in before.items() if name.endswith("link")
    }


def test_only_some_repositories(place: Place, old: OldRegistry, adopt: Adopt, run: CommandLine) -> None:
    image = make_image()
    for repository in ("acme/app", "acme/app/deep", "acme", "other"):
        old.push(repository, image, "latest")

    assert adopt("--repository", "acme/app")["repositories"] == 1
    listed = run.done("repository", "list", "--json").document["repositories"]
    assert [row["name"] for row in listed] == ["acme/app"]
    assert adopt("--repository", "acme/**")["repositories"] == 2
    assert adopt("--repository", "*")["repositories"] == 2
    nothing = run("adopt", "--repository", "nobody/*")
    assert nothing.code == 1
    assert "no repository that matches nobody/*" in nothing.err


def test_times_are_those_of_the_old_registry(
    place: Place, old: OldRegistry, adopt: Adopt, run: CommandLine
) -> None:
    begun = time.time()
    old.push("team/app", make_image(), "latest")
    pushed = time.time()

    adopt()

    [tag] = run.done("tag", "list", "team/app", "--json").document["tags"]
    at = datetime.fromisoformat(tag["updated_at"]).timestamp()
    assert int(begun) <= at <= pushed
