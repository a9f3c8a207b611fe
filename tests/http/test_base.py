"""`/v2/` (distribution-spec, end-1) and paths that nothing is served at."""

from tests.http.client import Client


async def test_says_that_this_is_a_registry(client: Client) -> None:
    for path in ("/v2/", "/v2", "/v2/?ns=docker.io"):
        answer = await client.get(path)

        assert answer.status == 200
        assert answer.json == {}
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


async def test_head_says_the_same_without_a_body(client: Client) -> None:
    answer = await client.head("/v2/")

    assert answer.status == 200
    assert answer.headers["Content-Length"] == "2"


async def test_other_paths_are_not_found_in_the_form_of_errors(client: Client) -> None:
    nothing = (
        "/",
        "/v1/",
        "/v2x/",
        "/v2//",
        "/v2/a",
        "/v2/a/b/c",
        "/v2/a/tags",
        "/v2/a/tags/",
        "/v2/_oci/ext/discover",
    )

    for path in nothing:
        assert (await client.get(path)).status == 404, path
