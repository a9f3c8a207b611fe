"""Listing Referrers (end-12a, end-12b)."""

import json
import re
from urllib.parse import quote

import pytest

from conformance.client import Response
from conformance.content import (
    EMPTY,
    OCI_CONFIG,
    OCI_IMAGE,
    OCI_INDEX,
    Json,
    Manifest,
    descriptor,
    index,
    random_bytes,
    random_digest,
)
from conformance.repository import Repository

pytestmark = pytest.mark.section("Listing Referrers")

SBOM = "application/vnd.example.sbom.v1"
SIGNATURE = "application/vnd.example.signature.v1+json"


@pytest.fixture(autouse=True)
def referrers_api(repository: Repository) -> None:
    """Every test here is about registries that offer it."""
    repository.needs_referrers()


def ask(repository: Repository, digest: str, query: str = "") -> Response:
    return repository.get(repository.path(f"referrers/{digest}") + query)


def listed(response: Response) -> list[Json]:
    """The descriptors in an answer."""
    assert response.status == 200
    document = response.json()
    assert isinstance(document, dict)
    manifests = document["manifests"]
    assert isinstance(manifests, list)
    return manifests


def digests(response: Response) -> set[str]:
    return {str(entry["digest"]) for entry in listed(response)}


def refer(repository: Repository, subject: Manifest, **fields: object) -> Manifest:
    """Push an artifact that refers to `subject`."""
    return repository.push_manifest(repository.new_artifact(subject.as_descriptor(), **fields))


def refer_emptily(repository: Repository, manifest: Manifest) -> None:
    """Push a referrer whose artifactType is missing or empty; the image-spec lets no media type be empty."""
    if b'"artifactType": ""' in manifest.body and repository.put_manifest(manifest).status == 400:
        repository.optional("manifests with an empty artifactType")
    repository.push_manifest(manifest)


def only(repository: Repository, subject: Manifest) -> Json:
    """The one descriptor in the list of `subject`."""
    found = listed(ask(repository, subject.digest))
    assert len(found) == 1
    return found[0]


@pytest.mark.must
def test_listing_referrers__must_answer_200(repository: Repository) -> None:
    """GET of referrers answers 200, with or without any"""
    subject = repository.push_image("latest")
    assert ask(repository, subject.digest).status == 200
    refer(repository, subject)
    assert ask(repository, subject.digest).status == 200


@pytest.mark.must
def test_listing_referrers__must_not_answer_404(repository: Repository) -> None:
    """An unknown subject is no error: 200 with an empty list"""
    repository.push_image("latest")
    assert listed(ask(repository, random_digest())) == []


@pytest.mark.must
@pytest.mark.parametrize(
    "digest",
    ["sha256:baddigeststring", "sha256:" + "a" * 63, "sha256:" + "A" * 64, "latest"],
    ids=["not hexadecimal", "short", "upper case", "a tag"],
)
def test_listing_referrers__must_answer_400(repository: Repository, digest: str) -> None:
    """An invalid digest answers 400"""
    repository.push_image("latest")
    assert ask(repository, digest).status == 400


@pytest.mark.must
def test_listing_referrers__must_give_an_index(repository: Repository) -> None:
    """The body is an image index: schemaVersion 2, its mediaType, manifests"""
    subject = repository.push_image("latest")
    refer(repository, subject)
    document = ask(repository, subject.digest).json()
    assert isinstance(document, dict)
    assert (document["schemaVersion"], document["mediaType"]) == (2, OCI_INDEX)
    assert isinstance(document["manifests"], list)


@pytest.mark.must
def test_listing_referrers__must_say_the_type(repository: Repository) -> None:
    """Content-Type is exactly that of an image index: crane and oras compare it as a string"""
    response = ask(repository, repository.push_image("latest").digest)
    assert response.lines("Content-Type") == [OCI_INDEX]


@pytest.mark.must
def test_listing_referrers__must_list_images_and_indexes(repository: Repository) -> None:
    """Every image and index with this subject is listed, with mediaType, digest and size"""
    subject = repository.push_image("latest")
    image = refer(repository, subject)
    listing = repository.push_manifest(index([], subject=subject.as_descriptor()))
    found = {(e["mediaType"], e["digest"], e["size"]) for e in listed(ask(repository, subject.digest))}
    assert found == {(each.media_type, each.digest, len(each.body)) for each in (image, listing)}


@pytest.mark.must
def test_listing_referrers__must_list_tagged_ones(repository: Repository) -> None:
    """A referrer pushed to a tag is listed"""
    subject = repository.push_image("latest")
    artifact = repository.push_manifest(repository.new_artifact(subject.as_descriptor()), "tagged")
    assert digests(ask(repository, subject.digest)) == {artifact.digest}


@pytest.mark.must
def test_listing_referrers__must_list_those_that_came_first(repository: Repository) -> None:
    """A referrer pushed before its subject is listed, before and after the subject comes"""
    subject = repository.new_image()
    artifact = refer(repository, subject)
    assert digests(ask(repository, subject.digest)) == {artifact.digest}
    repository.push_manifest(subject, "latest")
    assert digests(ask(repository, subject.digest)) == {artifact.digest}


@pytest.mark.must
def test_listing_referrers__must_list_this_repository_alone(repository: Repository) -> None:
    """The referrers of another repository are not listed"""
    subject = repository.push_image("latest")
    refer(repository.sibling(), subject)
    assert listed(ask(repository, subject.digest)) == []


@pytest.mark.must
@pytest.mark.parametrize("kind", ["image", "index"])
def test_listing_referrers__must_give_the_artifact_type(repository: Repository, kind: str) -> None:
    """A descriptor has the manifest's artifactType"""
    subject = repository.push_image("latest")
    if kind == "image":
        refer(repository, subject, artifactType=SBOM)
    else:
        repository.push_manifest(index([], subject=subject.as_descriptor(), artifactType=SBOM))
    assert only(repository, subject)["artifactType"] == SBOM


@pytest.mark.must
@pytest.mark.parametrize("given", [None, ""], ids=["missing", "empty"])
def test_listing_referrers__must_fall_back_to_the_config(repository: Repository, given: str | None) -> None:
    """Without artifactType an image's descriptor has the media type of its config"""
    subject = repository.push_image("latest")
    refer_emptily(repository, repository.new_image(subject=subject.as_descriptor(), artifactType=given))
    assert only(repository, subject)["artifactType"] == OCI_CONFIG


@pytest.mark.must
@pytest.mark.parametrize("given", [None, ""], ids=["missing", "empty"])
def test_listing_referrers__must_leave_it_out_for_an_index(repository: Repository, given: str | None) -> None:
    """Without artifactType an index's descriptor has none"""
    subject = repository.push_image("latest")
    refer_emptily(repository, index([], subject=subject.as_descriptor(), artifactType=given))
    assert "artifactType" not in only(repository, subject)


@pytest.mark.must
@pytest.mark.parametrize("kind", ["image", "index"])
def test_listing_referrers__must_give_the_annotations(repository: Repository, kind: str) -> None:
    """A descriptor has the manifest's annotations"""
    subject = repository.push_image("latest")
    annotations = {"org.example.format": "json", "empty": "", "\u00fc": "</>&"}
    if kind == "image":
        refer(repository, subject, annotations=annotations)
    else:
        repository.push_manifest(index([], subject=subject.as_descriptor(), annotations=annotations))
    assert only(repository, subject)["annotations"] == annotations


@pytest.mark.should
def test_listing_referrers__should_filter(repository: Repository) -> None:
    """artifactType filters the list"""
    subject = repository.push_image("latest")
    sbom = refer(repository, subject, artifactType=SBOM)
    refer(repository, subject, artifactType=SIGNATURE)
    assert digests(ask(repository, subject.digest, f"?artifactType={SBOM}")) == {sbom.digest}


@pytest.mark.must
def test_listing_referrers__must_say_that_it_filtered(repository: Repository) -> None:
    """A filter that was applied stands in OCI-Filters-Applied, one that was not asked for does not"""
    subject = repository.push_image("latest")
    sbom = refer(repository, subject, artifactType=SBOM)
    refer(repository, subject, artifactType=SIGNATURE)
    response = ask(repository, subject.digest, f"?artifactType={SBOM}")
    if digests(response) != {sbom.digest}:
        repository.optional("filtering of referrers")
    assert response.lines("OCI-Filters-Applied") == ["artifactType"]
    assert ask(repository, subject.digest).lines("OCI-Filters-Applied") == []


@pytest.mark.must
def test_listing_referrers__must_link_when_they_are_too_many(repository: Repository) -> None:
    """Six megabytes of descriptors are all found, each once, by following Link"""
    subject = repository.push_image("latest")
    pushed = {
        refer(repository, subject, annotations={"n": str(n), "padding": "x" * 600_000}).digest
        for n in range(10)
    }
    found: list[str] = []
    target: str | None = repository.path(f"referrers/{subject.digest}")
    while target and len(found) < 30:
        response = repository.get(target)
        found += [str(entry["digest"]) for entry in listed(response)]
        link = re.fullmatch(r'<([^>]+)>;\s*rel="?next"?', response.header("Link") or "")
        target = link[1] if link else None
    assert sorted(found) == sorted(pushed)


@pytest.mark.expected
def test_listing_referrers__expected_pages_that_clients_take(repository: Repository) -> None:
    """No page is larger than 4 MiB, the largest manifest that clients read"""
    subject = repository.push_image("latest")
    for n in range(8):
        refer(repository, subject, annotations={"n": str(n), "padding": "x" * 600_000})
    response = ask(repository, subject.digest)
    assert len(response.body) <= 4 * 1024 * 1024
    assert response.header("Link")


@pytest.mark.expected
def test_listing_referrers__expected_unknown_repository(repository: Repository) -> None:
    """In an unknown repository it answers 200 with an empty list: oras takes 404 for an error"""
    response = ask(repository, random_digest())
    assert (listed(response), response.lines("Content-Type")) == ([], [OCI_INDEX])


@pytest.mark.expected
def test_listing_referrers__expected_filter_without_matches(repository: Repository) -> None:
    """A filter that matches nothing is applied all the same"""
    subject = repository.push_image("latest")
    refer(repository, subject, artifactType=SBOM)
    response = ask(repository, subject.digest, "?artifactType=application/vnd.example.none")
    assert (listed(response), response.lines("OCI-Filters-Applied")) == ([], ["artifactType"])


@pytest.mark.expected
def test_listing_referrers__expected_several_filters(repository: Repository) -> None:
    """A repeated artifactType gives those of either type, as containerd asks"""
    subject = repository.push_image("latest")
    wanted = {
        refer(repository, subject, artifactType=SBOM).digest,
        refer(repository, subject, artifactType=SIGNATURE).digest,
    }
    refer(repository, subject, artifactType="application/vnd.example.other")
    query = f"?artifactType={quote(SBOM)}&artifactType={quote(SIGNATURE)}"
    assert digests(ask(repository, subject.digest, query)) == wanted


@pytest.mark.expected
@pytest.mark.parametrize("plus", ["+", "%2B"])
def test_listing_referrers__expected_plus(repository: Repository, plus: str) -> None:
    """A `+` in the filter counts as one, encoded or not"""
    subject = repository.push_image("latest")
    signature = refer(repository, subject, artifactType=SIGNATURE)
    refer(repository, subject, artifactType=SBOM)
    query = "?artifactType=" + SIGNATURE.replace("+", plus)
    assert digests(ask(repository, subject.digest, query)) == {signature.digest}


@pytest.mark.expected
def test_listing_referrers__expected_filter_by_config(repository: Repository) -> None:
    """The filter sees the media type of the config where artifactType is missing"""
    subject = repository.push_image("latest")
    image = repository.push_image(subject=subject.as_descriptor())
    refer(repository, subject, artifactType=SBOM)
    query = f"?artifactType={quote(OCI_CONFIG, safe='')}"
    assert digests(ask(repository, subject.digest, query)) == {image.digest}


@pytest.mark.expected
def test_listing_referrers__expected_end_with_the_referrer(repository: Repository) -> None:
    """A referrer that is deleted is no longer listed"""
    subject = repository.push_image("latest")
    gone, kept = refer(repository, subject), refer(repository, subject)
    assert repository.delete(repository.manifest(gone.digest)).status == 202
    assert digests(ask(repository, subject.digest)) == {kept.digest}


@pytest.mark.expected
def test_listing_referrers__expected_to_outlive_the_subject(repository: Repository) -> None:
    """Referrers stay listed after their subject was deleted"""
    subject = repository.push_image("latest")
    artifact = refer(repository, subject)
    assert repository.delete(repository.manifest(subject.digest)).status == 202
    assert digests(ask(repository, subject.digest)) == {artifact.digest}


@pytest.mark.expected
def test_listing_referrers__expected_a_sha512_subject(repository: Repository) -> None:
    """The referrers of a subject known by its sha512 digest are listed"""
    subject = descriptor(OCI_IMAGE, random_bytes(200), "sha512")
    artifact = repository.push_manifest(repository.new_artifact(subject))
    assert digests(ask(repository, str(subject["digest"]))) == {artifact.digest}


@pytest.mark.expected
def test_listing_referrers__expected_a_manifest_that_can_be_pulled(repository: Repository) -> None:
    """What is listed can be pulled by its digest and has the size it says"""
    subject = repository.push_image("latest")
    refer(repository, subject)
    entry = only(repository, subject)
    response = repository.get(repository.manifest(str(entry["digest"])), {"Accept": OCI_IMAGE})
    assert (response.status, len(response.body)) == (200, entry["size"])
    assert json.loads(response.body)["config"]["mediaType"] == EMPTY
