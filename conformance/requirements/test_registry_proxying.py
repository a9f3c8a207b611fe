"""Registry Proxying: the `ns` parameter."""

import pytest

from conformance.content import OCI_IMAGE
from conformance.repository import Repository

pytestmark = pytest.mark.section("Registry Proxying")


@pytest.mark.should
def test_registry_proxying__should_name_the_namespace_it_used(repository: Repository) -> None:
    """OCI-Namespace, if there is one, has the value of `ns`"""
    repository.push_image("latest")
    response = repository.get(repository.manifest("latest") + "?ns=example.com", {"Accept": OCI_IMAGE})
    assert response.lines("OCI-Namespace") in ([], ["example.com"])


@pytest.mark.expected
def test_registry_proxying__expected_own_content_with_ns(repository: Repository) -> None:
    """What was pushed here is served with `ns` as well, which containerd always sends to a mirror"""
    image = repository.push_image("latest")
    content, digest = repository.push_blob()
    found = repository.get(repository.manifest("latest") + "?ns=example.com", {"Accept": OCI_IMAGE})
    assert (found.status, found.body) == (200, image.body)
    assert repository.get(repository.blob(digest) + "?ns=example.com").body == content
