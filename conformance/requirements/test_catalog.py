"""The catalog of repositories, `_catalog`, which the Docker registry had and tools still ask for."""

import re

import pytest

from conformance.client import Response
from conformance.repository import Repository

pytestmark = pytest.mark.section("Catalog")


def names(response: Response) -> list[str]:
    assert response.status == 200
    document = response.json()
    assert isinstance(document, dict)
    repositories = document["repositories"]
    assert isinstance(repositories, list)
    return repositories


def three(repository: Repository) -> list[str]:
    """Three new repositories that stand side by side in the catalog."""
    made = [
        Repository(repository.client, f"{repository.name}/{part}", repository.complete)
        for part in ("a", "b", "c")
    ]
    for each in made:
        each.push_image("latest")
    return [each.name for each in made]


@pytest.mark.expected
def test_catalog__expected_list(repository: Repository) -> None:
    """It lists repositories in the order of their bytes, from after `last` on"""
    made = three(repository)
    found = names(repository.get(f"/v2/_catalog?n=3&last={repository.name}"))
    assert found == made
    assert names(repository.get(f"/v2/_catalog?n=2&last={made[0]}"))[:2] == made[1:]


@pytest.mark.expected
def test_catalog__expected_link(repository: Repository) -> None:
    """Link leads to the next page"""
    made = three(repository)
    response = repository.get(f"/v2/_catalog?n=2&last={repository.name}")
    assert names(response) == made[:2]
    link = re.fullmatch(r'<(/v2/_catalog\?[^>]+)>;\s*rel="?next"?', response.header("Link") or "")
    assert link, f"no Link to the next page: {response.header('Link')}"
    assert names(repository.get(link[1]))[0] == made[2]


@pytest.mark.expected
def test_catalog__expected_bound(repository: Repository) -> None:
    """A huge n is cut to what is allowed; none or a negative one is handled as for tags"""
    three(repository)
    assert names(repository.get("/v2/_catalog?n=100000000"))
    assert names(repository.get("/v2/_catalog?n=0")) == []
    for n in ("-1", "abc"):
        assert repository.get(f"/v2/_catalog?n={n}").status == 400
