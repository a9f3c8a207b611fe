"""cosign: sign with a key and verify, the signature as a tag and as a referrer. Everything stays offline."""

from pathlib import Path

import pytest

from tests.engines.clients import Client
from tests.engines.images import Image, make_image
from tests.engines.layouts import write_layout
from tests.engines.remote import Remote
from tests.engines.signatures import VERIFY, sign, verify, with_key


@pytest.fixture
def cosign(folder: Path) -> Client:
    return with_key(folder / "home")


@pytest.fixture
def image(crane: Client, remote: Remote, repository: str, folder: Path) -> Image:
    """An image in the registry, to be signed."""
    made = make_image()
    crane("push", write_layout(folder / "out", latest=made), remote.name(repository))
    return made


def test_signature_as_a_tag(cosign: Client, remote: Remote, repository: str, image: Image) -> None:
    name = f"{remote.address}/{repository}@{image.digest}"
    cosign.refused(*VERIFY, "--allow-http-registry", name)
    sign(cosign, name)
    tag = image.digest.replace(":", "-") + ".sig"
    assert sorted(remote.tags(repository)) == ["latest", tag]
    assert verify(cosign, name) == [image.digest]
    sign(cosign, name, "--annotations", "second=yes")
    assert verify(cosign, name) == [image.digest] * 2
    assert len(remote.image(repository, tag).layers) == 2


@pytest.mark.usefixtures("referrers_api")
def test_signature_as_a_referrer(cosign: Client, remote: Remote, repository: str, image: Image) -> None:
    name = f"{remote.address}/{repository}@{image.digest}"
    sign(cosign, name, "--registry-referrers-mode=oci-1-1")
    assert remote.tags(repository) == ["latest"]
    [signature] = remote.referrers(repository, image.digest)
    assert signature["artifactType"] == "application/vnd.dev.cosign.artifact.sig.v1+json"
    assert verify(cosign, name, "--experimental-oci11") == [image.digest]


def test_attestation(cosign: Client, remote: Remote, repository: str, image: Image) -> None:
    name = f"{remote.address}/{repository}@{image.digest}"
    predicate = Path(cosign.environment["HOME"]) / "predicate.json"
    predicate.write_text('{"checked": "yes"}')
    options = ("--key", "cosign.key", "--tlog-upload=false", "--allow-http-registry")
    cosign("attest", *options, "--predicate", predicate, "--type", "custom", name)
    assert image.digest.replace(":", "-") + ".att" in remote.tags(repository)
    cosign("verify-attestation", *VERIFY[1:], "--type", "custom", "--allow-http-registry", name)
