"""Cancel a blob upload (end-14)."""

import pytest

from conformance.content import digest_of, random_bytes
from conformance.repository import Repository

pytestmark = pytest.mark.section("Cancel a blob upload")


@pytest.mark.should
@pytest.mark.parametrize("after", ["POST", "PATCH"])
def test_cancel_a_blob_upload__should_answer_204(repository: Repository, after: str) -> None:
    """DELETE of a session answers 204"""
    upload = repository.start_upload()
    location = upload.location
    if after == "PATCH":
        location = repository.patch(location, random_bytes(upload.chunk), 0).header("Location") or ""
    assert repository.delete(location).status == 204


@pytest.mark.should
@pytest.mark.parametrize("then", ["GET", "PATCH", "PUT", "DELETE"])
def test_cancel_a_blob_upload__should_end_the_session(repository: Repository, then: str) -> None:
    """After DELETE the session answers 404"""
    upload = repository.start_upload()
    assert repository.delete(upload.location).status == 204
    content = random_bytes(upload.chunk)
    if then == "PATCH":
        response = repository.patch(upload.location, content, 0)
    elif then == "PUT":
        response = repository.close_upload(upload.location, digest_of(content), content)
    else:
        response = repository.client.request(then, upload.location)
    assert response.status == 404
