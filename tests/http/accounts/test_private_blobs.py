"""A private blob stays private: by its digest, by a mount, by a manifest elsewhere, by a cache. And what is
called by an id of another repository is unknown."""

import pytest

from tests.http.accounts.household import PASSWORD, Household
from tests.http.accounts.signing import SignedIn, basic, challenge_of, signed_in
from tests.http.answers import Answer
from tests.http.content import (
    MISSING,
    chunks,
    digest_of,
    image,
    push_blob,
    push_image,
    push_manifest,
    start_upload,
)

OURS, THEIRS = "acme/ours", "acme/them"
"""Alice may push to one, and knows nothing of the other. Names of one length."""

SECRET = b"what only the others hold"
KNOWN = b"what we hold, too"


@pytest.fixture
async def alice(house: Household) -> SignedIn:
    await house.user("alice", ("maintainer", OURS))
    await push_blob(house.admin, SECRET, THEIRS)
    await push_blob(house.admin, KNOWN, THEIRS)
    return SignedIn(house.client, basic("alice", PASSWORD))


async def token_of_alice(house: Household, *scopes: str) -> SignedIn:
    return await signed_in(house.client, "alice", PASSWORD, *scopes)


def comparable(answer: Answer, digest: str) -> tuple[object, ...]:
    """The whole answer, but for the digest, the moment and ids."""
    ids = ("Date", "X-Request-ID", "Location", "Docker-Upload-UUID")
    fields = sorted((name, value) for name, value in answer.headers.items() if name not in ids)
    return answer.status, fields, answer.body.replace(digest.encode(), b"sha256:...")


async def test_by_its_digest(house: Household, alice: SignedIn) -> None:
    """It is in the storage; that it is shows neither in the one repository nor in the other."""
    by_token = await token_of_alice(house, f"repository:{OURS}:pull", f"repository:{THEIRS}:pull")
    requests = [("GET", {}), ("HEAD", {}), ("GET", {"Range": "bytes=0-3"}), ("DELETE", {})]
    for client in (alice, by_token):
        for method, headers in requests:
            for repository in (OURS, THEIRS, "acme/none"):
                secret, missing = [
                    comparable(
                        await client.request(method, f"/v2/{repository}/blobs/{digest}", None, headers),
                        digest,
                    )
                    for digest in (digest_of(SECRET), MISSING)
                ]
                assert secret == missing, (method, headers, repository)
                assert secret[0] in (401, 403, 404)


async def test_a_cached_blob_is_no_more_visible(house: Household, alice: SignedIn) -> None:
    """Small blobs are kept in memory by digest, whoever has read them."""
    path = f"blobs/{digest_of(SECRET)}"
    assert (await house.admin.get(f"/v2/{THEIRS}/{path}")).body == SECRET

    for headers in ({}, {"If-None-Match": f'"{digest_of(SECRET)}"'}):
        assert (await alice.get(f"/v2/{OURS}/{path}", headers)).refusal == (404, "BLOB_UNKNOWN")
        assert (await alice.get(f"/v2/{THEIRS}/{path}", headers)).refusal == (403, "DENIED")


@pytest.mark.parametrize("source", [THEIRS, "acme/none", "ACME/..", None])
async def test_by_a_mount(house: Household, alice: SignedIn, source: str | None) -> None:
    """As if there was no such blob: 202, and the client sends what it has."""
    origin = "" if source is None else f"&from={source}"
    by_token = await token_of_alice(house, f"repository:{OURS}:pull,push", f"repository:{THEIRS}:pull")
    for client in (alice, by_token):
        secret, missing = [
            comparable(await client.post(f"/v2/{OURS}/blobs/uploads/?mount={digest}{origin}"), digest)
            for digest in (digest_of(SECRET), MISSING)
        ]

        assert secret == missing
        assert secret[0] == 202
        assert (await alice.get(f"/v2/{OURS}/blobs/{digest_of(SECRET)}")).status == 404


async def test_by_a_manifest_that_cites_it(alice: SignedIn) -> None:
    await push_blob(alice, b"{}", OURS)
    for layer in (SECRET, b"what nobody holds"):
        answer = await push_manifest(alice, "latest", image(layers=[layer]), OURS)

        assert answer.refusal == (400, "MANIFEST_BLOB_UNKNOWN")
        assert [error["detail"] for error in answer.errors] == [{"digest": digest_of(layer)}]


async def test_pushing_the_bytes_shows_nothing_and_gives_the_right_to_them(alice: SignedIn) -> None:
    """Who has the bytes may have the blob: that it was here already does not show."""
    answers = []
    for content in (KNOWN, b"new to everybody!"):
        session = await start_upload(alice, OURS)
        sent = await alice.put(f"{session}?digest={digest_of(content)}", content)
        answers.append(comparable(sent, digest_of(content))[0])
        answer = await alice.get(f"/v2/{OURS}/blobs/{digest_of(content)}")
        assert answer.body == content

    assert answers == [201, 201]


async def test_a_wrong_digest_of_a_known_blob_is_refused(alice: SignedIn) -> None:
    """To claim a digest is not to have the bytes."""
    digest = digest_of(SECRET)

    whole = await alice.post(f"/v2/{OURS}/blobs/uploads/?digest={digest}", b"something else")
    session = await start_upload(alice, OURS)
    chunked = await alice.put(f"{session}?digest={digest}", chunks(b"something else"))
    empty = await alice.put(f"{await start_upload(alice, OURS)}?digest={digest}")

    for answer in (whole, chunked, empty):
        assert answer.refusal == (400, "DIGEST_INVALID")
    assert (await alice.head(f"/v2/{OURS}/blobs/{digest}")).status == 404


async def test_an_upload_of_another_repository_is_unknown(house: Household, alice: SignedIn) -> None:
    """An id is bound to its repository: theirs under our name does nothing, and theirs goes on."""
    session = await start_upload(house.admin, THEIRS)
    first = await house.admin.patch(session, SECRET)
    theirs = first.headers["Location"]
    ours = theirs.replace(THEIRS, OURS)
    made_up = "/v2/acme/ours/blobs/uploads/00000000-0000-4000-8000-000000000000.25"

    for method, query, body in (
        ("GET", "", None),
        ("HEAD", "", None),
        ("PATCH", "", b"spoilt"),
        ("PUT", f"?digest={digest_of(SECRET)}", None),
        ("DELETE", "", None),
    ):
        answer = await alice.request(method, ours + query, body)
        unknown = await alice.request(method, made_up + query, body)
        assert (answer.status, answer.headers.get("Content-Type")) == (
            unknown.status,
            unknown.headers.get("Content-Type"),
        )
        if method != "HEAD":
            assert answer.refusal == (404, "BLOB_UPLOAD_UNKNOWN"), method
        refused = await alice.request(method, theirs + query, body)
        assert refused.status == 403

    status = await house.admin.get(theirs)
    assert status.headers["Range"] == f"0-{len(SECRET) - 1}", "it is as it was"
    finished = await house.admin.put(f"{theirs}?digest={digest_of(SECRET)}")
    assert finished.status == 201


async def test_a_manifest_or_tag_of_another_repository_is_unknown(house: Household, alice: SignedIn) -> None:
    body = await push_image(house.admin, "latest", THEIRS, annotations={"of": "them"})
    await push_image(alice, "own", OURS)
    for reference in ("latest", digest_of(body)):
        for method in ("GET", "HEAD", "DELETE"):
            answer = await alice.request(method, f"/v2/{OURS}/manifests/{reference}")
            assert answer.status == 404
    nested = await push_manifest(
        alice,
        "nested",
        image(
            subject={
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest_of(body),
                "size": len(body),
            }
        ),
        OURS,
    )
    assert nested.status == 201, "a subject may be missing"
    assert (await house.admin.get(f"/v2/{THEIRS}/manifests/latest")).status == 200
    listed = await house.admin.get(f"/v2/{THEIRS}/referrers/{digest_of(body)}")
    assert listed.json["manifests"] == [], "what we say of theirs is in ours alone"


async def test_a_mount_from_what_the_token_does_not_carry(house: Household, alice: SignedIn) -> None:
    """The identity may, so the client is told what token to get: the needed repository first."""
    await house.grant("user:alice", "reader", THEIRS)
    narrow = await token_of_alice(house, f"repository:{OURS}:pull,push")
    path = f"/v2/{OURS}/blobs/uploads/?mount={digest_of(SECRET)}&from={THEIRS}"

    refused = await narrow.post(path)

    _, parameters = challenge_of(refused)
    assert parameters["scope"] == f"repository:{OURS}:pull,push repository:{THEIRS}:pull"
    assert parameters["error"] == "insufficient_scope"
    assert (await alice.head(f"/v2/{OURS}/blobs/{digest_of(SECRET)}")).status == 404
    wide = await token_of_alice(house, *parameters["scope"].split())
    assert (await wide.post(path)).status == 201
    assert (await alice.get(f"/v2/{OURS}/blobs/{digest_of(SECRET)}")).body == SECRET


async def test_a_mount_from_what_is_public(house: Household, alice: SignedIn) -> None:
    await house.configure(THEIRS, public=True)

    named = await alice.post(f"/v2/{OURS}/blobs/uploads/?mount={digest_of(SECRET)}&from={THEIRS}")
    anywhere = await alice.post(f"/v2/{OURS}/blobs/uploads/?mount={digest_of(KNOWN)}")

    assert (named.status, anywhere.status) == (201, 201)


async def test_a_mount_needs_push_where_it_goes_to(house: Household, alice: SignedIn) -> None:
    await house.configure(THEIRS, public=True)
    path = f"/v2/{THEIRS}/blobs/uploads/?mount={digest_of(SECRET)}&from={THEIRS}"

    assert (await alice.post(path)).refusal == (403, "DENIED")


async def test_a_limited_token_mounts_from_where_it_may_pull(house: Household, alice: SignedIn) -> None:
    await house.grant("user:alice", "reader", THEIRS)
    limited = await house.personal_token("alice", repositories=[OURS])
    client = SignedIn(house.client, basic("alice", limited.text))

    for origin in (f"&from={THEIRS}", ""):
        answer = await client.post(f"/v2/{OURS}/blobs/uploads/?mount={digest_of(SECRET)}{origin}")
        assert answer.status == 202, "its owner may, it may not"


async def test_a_mount_from_anywhere_goes_by_who_asks(house: Household, alice: SignedIn) -> None:
    """A client that does not know the source can ask no token for it."""
    await house.grant("user:alice", "reader", THEIRS)
    narrow = await token_of_alice(house, f"repository:{OURS}:pull,push")

    answer = await narrow.post(f"/v2/{OURS}/blobs/uploads/?mount={digest_of(SECRET)}")

    assert answer.status == 201
    assert (await alice.get(f"/v2/{OURS}/blobs/{digest_of(SECRET)}")).body == SECRET


async def test_a_quota_tells_nothing_of_what_others_hold(house: Household, alice: SignedIn) -> None:
    """`acme` is the quota of all; its refusal does not tell which repositories fill it."""
    await house.call("PUT", "/quotas/acme", {"bytes": 10})

    answer = await alice.post(f"/v2/{OURS}/blobs/uploads/")

    assert answer.refusal == (403, "DENIED")
    assert THEIRS.encode() not in answer.body
