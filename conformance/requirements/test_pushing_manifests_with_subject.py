"""Pushing Manifests with Subject."""

import pytest

from conformance.content import OCI_IMAGE, descriptor, index, random_bytes
from conformance.repository import Repository

pytestmark = pytest.mark.section("Pushing Manifests with Subject")


@pytest.mark.must
@pytest.mark.parametrize("to", ["tag", "digest"])
def test_pushing_manifests_with_subject__must_name_the_subject(repository: Repository, to: str) -> None:
    """PUT of an image with a subject carries OCI-Subject with its digest"""
    repository.needs_referrers()
    subject = repository.push_image("latest")
    artifact = repository.new_artifact(subject.as_descriptor())
    response = repository.put_manifest(artifact, "signature" if to == "tag" else "")
    assert (response.status, response.lines("OCI-Subject")) == (201, [subject.digest])


@pytest.mark.must
def test_pushing_manifests_with_subject__must_take_a_missing_subject(repository: Repository) -> None:
    """A manifest may come before its subject: 201"""
    missing = descriptor(OCI_IMAGE, random_bytes(100))
    assert repository.put_manifest(repository.new_artifact(missing), "early").status == 201


@pytest.mark.expected
def test_pushing_manifests_with_subject__expected_for_an_index(repository: Repository) -> None:
    """PUT of an index with a subject carries OCI-Subject: clients write the fallback tag without it"""
    subject = repository.push_image("latest")
    manifest = index([], subject=subject.as_descriptor())
    response = repository.put_manifest(manifest)
    assert (response.status, response.lines("OCI-Subject")) == (201, [subject.digest])


@pytest.mark.must
def test_pushing_manifests_with_subject__must_keep_silent_without_one(repository: Repository) -> None:
    """PUT of a manifest without a subject carries no OCI-Subject"""
    response = repository.put_manifest(repository.new_image(), "latest")
    assert (response.status, response.lines("OCI-Subject")) == (201, [])
