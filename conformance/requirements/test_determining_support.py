"""Determining Support (end-1)."""

import pytest

from conformance.client import Client

pytestmark = pytest.mark.section("Determining Support")


@pytest.mark.must
def test_determining_support__must_answer_200(client: Client) -> None:
    """GET /v2/ answers 200"""
    assert client.request("GET", "/v2/").status == 200


@pytest.mark.expected
def test_determining_support__expected_version_header(client: Client) -> None:
    """GET /v2/ carries Docker-Distribution-API-Version: registry/2.0, which old engines look for"""
    assert client.request("GET", "/v2/").header("Docker-Distribution-API-Version") == "registry/2.0"


@pytest.mark.expected
def test_determining_support__expected_json_object(client: Client) -> None:
    """GET /v2/ has a JSON object as its body"""
    assert client.request("GET", "/v2/").json() == {}


@pytest.mark.expected
def test_determining_support__expected_head(client: Client) -> None:
    """HEAD /v2/ answers 200"""
    assert client.request("HEAD", "/v2/").status == 200
