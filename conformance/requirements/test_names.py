"""Names of repositories (Pulling manifests) and what may not be one."""

from urllib.parse import quote

import pytest

from conformance.content import OCI_IMAGE
from conformance.repository import Repository

pytestmark = pytest.mark.section("Names")

BAD = {
    "upper case": "Upper",
    "a dash first": "-a",
    "a dash last": "a-",
    "a dot last": "a.",
    "two dots": "a..b",
    "three underscores": "a___b",
    "dot and dash": "a.-b",
    "a blank": "a b",
    "a colon": "a:b",
    "an umlaut": "\u00fcber",
    "a homoglyph": "\u0430bc",
    "a right-to-left mark": "a\u200fb",
    "a newline": "a\n",
    "a NUL": "a\0b",
    "a backslash": "a\\b",
}


@pytest.mark.must
@pytest.mark.parametrize(
    "component",
    [
        *("a", "0", "a.b", "a_b", "a__b", "a-b", "a---b", "a.b_c-d"),
        *("blobs", "manifests", "uploads", "tags/list", "referrers", "v2", "one/two/three/four"),
    ],
)
def test_names__must_take_every_name_of_the_grammar(repository: Repository, component: str) -> None:
    """Every name of the grammar can be pushed to and pulled from"""
    named = Repository(repository.client, f"{repository.name}/{component}", repository.complete)
    pushed = named.push_image("latest")
    assert named.get(named.manifest("latest"), {"Accept": OCI_IMAGE}).body == pushed.body
    assert named.get(named.path("tags/list")).json() == {"name": named.name, "tags": ["latest"]}


@pytest.mark.must
@pytest.mark.parametrize("component", BAD.values(), ids=BAD.keys())
def test_names__must_not_take_others(repository: Repository, component: str) -> None:
    """A name outside the grammar is not taken"""
    name = quote(f"{repository.name}/{component}", safe="/")
    response = repository.client.request("POST", f"/v2/{name}/blobs/uploads/")
    assert 400 <= response.status < 500


@pytest.mark.expected
@pytest.mark.parametrize("component", ["Upper", "-a", "a-", "a..b", "a___b"])
def test_names__expected_name_invalid(repository: Repository, component: str) -> None:
    """A bad name answers 400 NAME_INVALID"""
    response = repository.client.request("POST", f"/v2/{repository.name}/{component}/blobs/uploads/")
    assert (response.status, response.error_codes) == (400, ["NAME_INVALID"])


@pytest.mark.expected
def test_names__expected_limit(repository: Repository) -> None:
    """A name of 255 characters is taken, and a longer one is NAME_INVALID"""
    for length, status in ((255, 202), (256, 400)):
        name = repository.name + "/" + "a" * (length - len(repository.name) - 1)
        assert repository.client.request("POST", f"/v2/{name}/blobs/uploads/").status == status


@pytest.mark.expected
@pytest.mark.parametrize("path", ["%2e%2e%2fescape", "..%2fescape", "%252e%252e", "a%2f%2fb", "a//b", "%ff"])
def test_names__expected_refusal_of_escapes(repository: Repository, path: str) -> None:
    """Paths that try to leave the tree answer 400 or 404"""
    target = f"{repository.client.url}/v2/{repository.name}/{path}/tags/list"
    assert repository.client.request("GET", target).status in (400, 404)
