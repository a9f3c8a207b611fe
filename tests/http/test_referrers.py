"""What was pushed about a manifest (distribution-spec, end-12)."""

import json
from typing import Any

import pytest

from registry.oci.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.http.client import Client
from tests.http.content import (
    CONFIG_TYPE,
    EMPTY_CONFIG,
    MISSING,
    REPOSITORY,
    digest_of,
    image,
    index,
    push_blob,
    push_image,
    push_manifest,
)
from tests.http.test_tags import next_path

REFERRERS = f"/v2/{REPOSITORY}/referrers"
SBOM, SIGNATURE = "application/spdx+json", "application/vnd.dev.sigstore.bundle.v0.3+json"


def about(subject: str) -> dict[str, Any]:
    return {"mediaType": OCI_MANIFEST, "digest": subject, "size": 7}


async def push(client: Client, body: bytes, repository: str = REPOSITORY) -> str:
    await push_blob(client, EMPTY_CONFIG, repository)
    answer = await push_manifest(client, digest_of(body), body, repository)
    assert answer.status == 201, answer
    return digest_of(body)


async def listed(client: Client, path: str) -> list[str]:
    answer = await client.get(path)
    assert answer.status == 200, answer
    return [descriptor["digest"] for descriptor in answer.json["manifests"]]


@pytest.mark.parametrize("subject", [MISSING, "sha512:" + 128 * "0"])
async def test_nothing_known_is_an_empty_index(client: Client, subject: str) -> None:
    """Never 404: clients take that for a registry without the API."""
    await push_image(client, "latest")

    for repository in (REPOSITORY, "nobody/knows"):
        answer = await client.get(f"/v2/{repository}/referrers/{subject}")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == OCI_INDEX, "exactly: clients compare strings"
        assert answer.json == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
        assert "OCI-Filters-Applied" not in answer.headers


async def test_a_bad_digest(client: Client) -> None:
    for digest in ("sha256:baddigeststring", "latest", f"md5:{32 * '0'}", "", "%ff", f"{MISSING}%0A"):
        assert (await client.get(f"{REFERRERS}/{digest}")).refusal == (400, "DIGEST_INVALID"), digest


async def test_descriptors_tell_type_and_annotations(client: Client) -> None:
    subject = digest_of(await push_image(client, "latest"))
    annotations = {"org.example": "é 😀 \u0000"}
    expected = {}
    for body, artifact_type, noted in (
        (image(subject=about(subject)), CONFIG_TYPE, None),
        (image(subject=about(subject), artifactType=SBOM, annotations=annotations), SBOM, annotations),
        (image(subject=about(subject), mediaType=DOCKER_MANIFEST), CONFIG_TYPE, None),
        (index(subject=about(subject)), None, None),
        (
            index(subject=about(subject), artifactType=SIGNATURE, annotations=annotations),
            SIGNATURE,
            annotations,
        ),
    ):
        digest = await push(client, body)
        members = {
            "mediaType": json.loads(body)["mediaType"],
            "digest": digest,
            "size": len(body),
            "artifactType": artifact_type,
            "annotations": noted,
        }
        expected[digest] = {key: value for key, value in members.items() if value is not None}
    await push(client, image(annotations={"subject": "none"}))
    await push(client, image(subject=about(MISSING)))

    answer = await client.get(f"{REFERRERS}/{subject}")

    found = answer.json["manifests"]
    assert {one["digest"]: one for one in found} == expected
    assert len(found) == len(expected)


async def test_the_filter(client: Client) -> None:
    ours = await push(client, image(subject=about(MISSING), artifactType=SBOM))
    theirs = await push(client, index(subject=about(MISSING), artifactType=SIGNATURE))
    await push(client, index(subject=about(MISSING)))
    queries = {
        f"?artifactType={SBOM.replace('+', '%2B').replace('/', '%2F')}": [ours],
        f"?artifactType={SBOM}": [ours],  # an undecoded `+` arrives as a space
        f"?artifactType={SBOM.replace('+', '%20')}": [ours],
        f"?artifactType={SIGNATURE}&artifactType={SBOM}": sorted([ours, theirs]),
        "?artifactType=application/other": [],
        "?artifactType=%00": [],
        "?artifactType=%F0%9F%98%80": [],
        "?artifactType='%20OR%201=1": [],
    }

    for query, expected in queries.items():
        answer = await client.get(f"{REFERRERS}/{MISSING}{query}")
        assert answer.status == 200, query
        assert [one["digest"] for one in answer.json["manifests"]] == expected, query
        assert answer.headers["OCI-Filters-Applied"] == "artifactType", query
    unfiltered = await client.get(f"{REFERRERS}/{MISSING}?artifactType=")
    assert len(unfiltered.json["manifests"]) == 3
    assert "OCI-Filters-Applied" not in unfiltered.headers


async def test_referrers_stay_in_their_repository(client: Client) -> None:
    here = await push(client, image(subject=about(MISSING)))
    there = await push(client, image(subject=about(MISSING), artifactType=SBOM), "other")

    assert await listed(client, f"{REFERRERS}/{MISSING}") == [here]
    assert await listed(client, f"/v2/other/referrers/{MISSING}") == [there]


async def test_they_outlive_their_subject_and_end_with_themselves(client: Client) -> None:
    subject = digest_of(await push_image(client, "latest"))
    referrer = await push(client, image(subject=about(subject)))

    assert (await client.delete(f"/v2/{REPOSITORY}/manifests/{subject}")).status == 202
    assert await listed(client, f"{REFERRERS}/{subject}") == [referrer]
    assert (await client.delete(f"/v2/{REPOSITORY}/manifests/{referrer}")).status == 202
    assert await listed(client, f"{REFERRERS}/{subject}") == []


async def all_pages(client: Client, path: str) -> list[list[str]]:
    pages = []
    while path:
        answer = await client.get(path)
        assert (answer.status, answer.headers["Content-Type"]) == (200, OCI_INDEX)
        assert len(answer.body) <= 4 * 1024 * 1024, "what clients read at once"
        pages.append([one["digest"] for one in answer.json["manifests"]])
        path = next_path(answer.headers["Link"]) if "Link" in answer.headers else ""
    return pages


async def test_pages_of_a_size_that_was_asked_for(client: Client) -> None:
    digests = sorted(
        [await push(client, image(subject=about(MISSING), artifactType=SBOM, x=n)) for n in range(5)]
    )
    await push(client, index(subject=about(MISSING)))

    pages = await all_pages(client, f"{REFERRERS}/{MISSING}?n=2&artifactType={SBOM}")

    assert pages == [digests[:2], digests[2:4], digests[4:]], "the filter goes with the links"
    answer = await client.get(f"{REFERRERS}/{MISSING}?n=0")
    assert (answer.json["manifests"], "Link" in answer.headers) == ([], False)
    assert (await client.get(f"{REFERRERS}/{MISSING}?n=x")).refusal == (400, "UNSUPPORTED")
    for last in ("%00", "x%00y", "zzz", "%F0%9F%98%80"):
        assert (await client.get(f"{REFERRERS}/{MISSING}?last={last}")).status == 200, last


@pytest.mark.parametrize("text", ["x", "é"], ids=["plain", "escaped"])
async def test_a_list_is_split_near_what_clients_read_at_once(client: Client, text: str) -> None:
    """Not before: some clients know no pages (containerd, crane)."""
    size = 400_000 if text == "x" else 60_000
    digests = [
        await push(client, image(subject=about(MISSING), annotations={"a": size * text, "n": str(number)}))
        for number in range(12)
    ]

    pages = await all_pages(client, f"{REFERRERS}/{MISSING}")

    assert [digest for page in pages for digest in page] == sorted(digests)
    assert 2 <= len(pages) <= 3


async def test_one_descriptor_that_fills_a_page_alone(client: Client) -> None:
    """As large as a manifest may be, and with characters that take more in the answer than in it."""
    digests = [
        await push(
            client,
            json.dumps(
                {
                    **json.loads(image(subject=about(MISSING), n=number)),
                    "annotations": {"a": 1_300_000 * "é"},
                },
                ensure_ascii=False,
            ).encode(),
        )
        for number in range(2)
    ]

    answer = await client.get(f"{REFERRERS}/{MISSING}")

    found = [one["digest"] for one in answer.json["manifests"]]
    while "Link" in answer.headers:
        answer = await client.get(next_path(answer.headers["Link"]))
        found += [one["digest"] for one in answer.json["manifests"]]
    assert found == sorted(digests)
