"""Immutable tags and quotas hold on every path: each that could move a tag, take it away, or bring bytes."""

import asyncio

import pytest

from tests.http.accounts.household import PASSWORD, Household
from tests.http.accounts.signing import SignedIn, basic
from tests.http.answers import Answer
from tests.http.content import (
    EMPTY_CONFIG,
    chunks,
    digest_of,
    image,
    push_blob,
    push_image,
    push_manifest,
    start_upload,
)

APP = "acme/app"
MANIFESTS = f"/v2/{APP}/manifests"
DENIED = (403, "DENIED")
OTHER = image(annotations={"of": "another build"})


@pytest.fixture
async def writer(house: Household) -> SignedIn:
    """A maintainer: who may delete, and may not what the policies forbid."""
    await house.user("alice", ("maintainer", "acme/**"))
    return SignedIn(house.client, basic("alice", PASSWORD))


class TestImmutableTags:
    """`v*` and `stable` of acme/app are; v1 and latest point to one image."""

    @pytest.fixture
    async def body(self, house: Household, writer: SignedIn) -> bytes:
        await house.configure(APP, immutable_tags=["v*", "stable"])
        body = await push_image(writer, "v1", APP)
        await push_manifest(writer, "latest", body, APP)
        return body

    async def stays(self, writer: SignedIn, body: bytes, answer: Answer) -> None:
        assert answer.refusal == DENIED
        assert answer.errors[0]["detail"] == {"repository": APP, "tag": "v1"}
        assert (await writer.get(f"{MANIFESTS}/v1")).body == body
        assert (await writer.get(f"{MANIFESTS}/{digest_of(body)}")).body == body
        assert (await writer.get(f"/v2/{APP}/tags/list")).json["tags"] == ["latest", "v1"]

    async def test_put_by_tag(self, writer: SignedIn, body: bytes) -> None:
        await self.stays(writer, body, await push_manifest(writer, "v1", OTHER, APP))
        assert (await writer.head(f"{MANIFESTS}/{digest_of(OTHER)}")).status == 404, "nothing is kept of it"

    async def test_put_by_digest_with_tags(self, writer: SignedIn, body: bytes) -> None:
        for query in ("?tag=v1", "?tag=new&tag=v1", "?tag=v1&tag=new"):
            answer = await push_manifest(writer, digest_of(OTHER) + query, OTHER, APP)
            await self.stays(writer, body, answer)

    async def test_put_with_if_match(self, writer: SignedIn, body: bytes) -> None:
        headers = {
            "If-Match": f'"{digest_of(body)}"',
            "Content-Type": "application/vnd.oci.image.manifest.v1+json",
        }
        await self.stays(writer, body, await writer.put(f"{MANIFESTS}/v1", OTHER, headers))

    async def test_delete_by_tag(self, writer: SignedIn, body: bytes) -> None:
        await self.stays(writer, body, await writer.delete(f"{MANIFESTS}/v1"))

    async def test_delete_by_digest(self, writer: SignedIn, body: bytes) -> None:
        """It would take the tag along."""
        await self.stays(writer, body, await writer.delete(f"{MANIFESTS}/{digest_of(body)}"))

    async def test_delete_by_the_api(self, writer: SignedIn, body: bytes) -> None:
        await self.stays(writer, body, await writer.delete(f"/api/v1/repositories/{APP}/-/tags/v1"))

    async def test_delete_the_repository(self, writer: SignedIn, body: bytes) -> None:
        await self.stays(writer, body, await writer.delete(f"/api/v1/repositories/{APP}"))

    async def test_a_blob_of_it_stays(self, writer: SignedIn, body: bytes) -> None:
        answer = await writer.delete(f"/v2/{APP}/blobs/{digest_of(EMPTY_CONFIG)}")

        assert answer.refusal == (405, "DENIED")
        assert (await writer.get(f"{MANIFESTS}/v1")).body == body

    async def test_the_same_digest_again_is_fine(self, writer: SignedIn, body: bytes) -> None:
        """A retry of the push that made it."""
        for reference in ("v1", digest_of(body), f"{digest_of(body)}?tag=v1&tag=v2"):
            assert (await push_manifest(writer, reference, body, APP)).status == 201

    async def test_new_ones_can_be_made_and_others_moved(self, writer: SignedIn, body: bytes) -> None:
        for tag in ("v2", "stable", "latest", "V1"):
            assert (await push_manifest(writer, tag, OTHER, APP)).status == 201
        assert (await writer.delete(f"{MANIFESTS}/latest")).status == 202
        assert (await writer.delete(f"{MANIFESTS}/stable")).refusal == DENIED

    async def test_it_counts_for_everybody(self, house: Household, body: bytes) -> None:
        """An administrator changes the setting first, which the audit shows."""
        await self.stays(house.admin, body, await push_manifest(house.admin, "v1", OTHER, APP))
        await self.stays(house.admin, body, await house.admin.delete(f"{MANIFESTS}/v1"))

    async def test_until_it_is_changed(self, house: Household, writer: SignedIn, body: bytes) -> None:
        await house.configure(APP, immutable_tags=[])

        assert (await push_manifest(writer, "v1", OTHER, APP)).status == 201
        assert (await writer.delete(f"/api/v1/repositories/{APP}")).status == 204

    async def test_a_writer_can_not_change_it(self, house: Household, body: bytes) -> None:
        await house.user("bob", ("writer", "acme/**"))
        bob = SignedIn(house.client, basic("bob", PASSWORD))

        answer = await bob.patch(f"/api/v1/repositories/{APP}", b'{"immutable_tags": []}')

        assert answer.refusal == DENIED


async def test_two_pushes_of_one_immutable_tag_at_once(house: Household, writer: SignedIn) -> None:
    """One wins, whichever; the tag never moves afterwards."""
    await house.configure(APP, immutable_tags=["*"])
    await push_blob(writer, EMPTY_CONFIG, APP)
    bodies = [image(annotations={"build": str(number)}) for number in range(8)]

    answers = await asyncio.gather(*(push_manifest(writer, "v1", body, APP) for body in bodies))

    assert sorted(answer.status for answer in answers) == [201, *7 * [403]]
    (winner,) = (body for body, answer in zip(bodies, answers, strict=True) if answer.status == 201)
    assert (await writer.get(f"{MANIFESTS}/v1")).body == winner


class TestQuotas:
    """1,000 bytes for `acme`: for the repository of that name and all below it."""

    @pytest.fixture(autouse=True)
    async def quota(self, house: Household, writer: SignedIn) -> None:
        await house.call("PUT", "/quotas/acme", {"bytes": 1000})

    def exceeded(self, answer: Answer, prefix: str = "acme") -> dict[str, int]:
        assert answer.refusal == DENIED
        detail: dict[str, int] = answer.errors[0]["detail"]
        assert detail["prefix"] == prefix
        assert "quota" in answer.errors[0]["message"]
        return detail

    async def test_a_whole_upload_is_refused_before_its_bytes(self, writer: SignedIn) -> None:
        content = 1001 * b"x"

        answer = await writer.post(f"/v2/{APP}/blobs/uploads/?digest={digest_of(content)}", content)

        assert self.exceeded(answer) == {"prefix": "acme", "quota": 1000, "coming": 1001}
        assert (await writer.head(f"/v2/{APP}/blobs/{digest_of(content)}")).status == 404

    async def test_a_put_with_its_length_is_refused(self, writer: SignedIn) -> None:
        content = 1001 * b"x"
        session = await start_upload(writer, APP)

        answer = await writer.put(f"{session}?digest={digest_of(content)}", content)

        self.exceeded(answer)
        assert (await writer.head(f"/v2/{APP}/blobs/{digest_of(content)}")).status == 404

    async def test_post_is_refused_when_nothing_fits(self, writer: SignedIn) -> None:
        await push_blob(writer, 1000 * b"x", APP)
        await writer.post(f"/v2/{APP}/blobs/uploads/")  # full, and not above it

        answer = await writer.post(f"/v2/{APP}/blobs/uploads/?digest={digest_of(b'y')}", b"y")

        assert self.exceeded(answer) == {"prefix": "acme", "quota": 1000, "coming": 1}

    async def test_chunks_of_unknown_length_are_refused_when_they_end(
        self, house: Household, writer: SignedIn
    ) -> None:
        """It can be known no earlier. Nothing is left of them, and what was there is not spoilt."""
        await push_blob(writer, EMPTY_CONFIG, APP)
        layer = 2000 * b"x"
        session = await start_upload(writer, APP)
        sent = await writer.patch(session, chunks(layer))

        answer = await writer.put(f"{sent.headers['Location']}?digest={digest_of(layer)}")

        self.exceeded(answer)
        assert (await writer.get(sent.headers["Location"])).status == 404, "the session is over"
        assert (await writer.head(f"/v2/{APP}/blobs/{digest_of(layer)}")).status == 404
        (quota,) = (await house.call("GET", "/quotas"))["quotas"]
        assert quota["used"] == len(EMPTY_CONFIG)
        assert (await push_manifest(writer, "latest", image(), APP)).status == 201

    async def test_manifests_count(self, writer: SignedIn) -> None:
        await push_blob(writer, EMPTY_CONFIG, APP)
        small = image()
        assert (await push_manifest(writer, "small", small, APP)).status == 201

        answer = await push_manifest(writer, "large", image(annotations={"a": 900 * "x"}), APP)

        self.exceeded(answer)
        assert (await writer.get(f"/v2/{APP}/tags/list")).json["tags"] == ["small"]

    async def test_a_mount_counts(self, house: Household, writer: SignedIn) -> None:
        await push_blob(house.admin, 2000 * b"x", "other/app")
        await house.grant("user:alice", "reader", "other/app")

        answer = await writer.post(f"/v2/{APP}/blobs/uploads/?mount={digest_of(2000 * b'x')}&from=other/app")

        self.exceeded(answer)
        assert (await writer.head(f"/v2/{APP}/blobs/{digest_of(2000 * b'x')}")).status == 404

    async def test_a_blob_counts_once_below_a_prefix(self, writer: SignedIn) -> None:
        content = 900 * b"x"
        await push_blob(writer, content, APP)

        mounted = await writer.post(f"/v2/acme/second/blobs/uploads/?mount={digest_of(content)}&from={APP}")

        assert mounted.status == 201
        await push_blob(writer, 90 * b"y", "acme/second")

    @pytest.mark.parametrize("repository", ["acme/app", "acme/deep/er/app"])
    async def test_it_counts_for_all_below(self, house: Household, writer: SignedIn, repository: str) -> None:
        content = 1001 * b"x"
        path = "blobs/uploads/?digest=" + digest_of(content)

        self.exceeded(await writer.post(f"/v2/{repository}/{path}", content))
        assert (await house.admin.post(f"/v2/acmes/app/{path}", content)).status == 201, "a neighbour"

    async def test_all_on_the_way_count(self, house: Household, writer: SignedIn) -> None:
        await house.configure("acme/deep/er", quota="10B")
        content = 11 * b"x"
        path = "blobs/uploads/?digest=" + digest_of(content)

        self.exceeded(await writer.post(f"/v2/acme/deep/er/{path}", content), "acme/deep/er")
        assert (await writer.post(f"/v2/acme/deep/{path}", content)).status == 201

    async def test_many_at_once_do_not_fit_where_one_does(self, writer: SignedIn) -> None:
        await push_blob(writer, EMPTY_CONFIG, APP)
        bodies = [image(annotations={"a": str(number) + 300 * "x"}) for number in range(6)]

        answers = await asyncio.gather(
            *(push_manifest(writer, f"t{number}", body, APP) for number, body in enumerate(bodies))
        )

        pushed = [answer for answer in answers if answer.status == 201]
        assert 1 <= len(pushed) * len(bodies[0]) <= 1000
        for answer in answers:
            if answer.status != 201:
                self.exceeded(answer)

    async def test_pulling_and_deleting_go_on(self, house: Household, writer: SignedIn) -> None:
        body = await push_image(writer, "latest", APP)
        await house.call("PUT", "/quotas/acme", {"bytes": 1})

        assert (await writer.get(f"{MANIFESTS}/latest")).status == 200
        assert (await writer.delete(f"{MANIFESTS}/{digest_of(body)}")).status == 202

    async def test_a_lifted_quota_counts_no_more(self, house: Household, writer: SignedIn) -> None:
        content = 1001 * b"x"
        path = f"/v2/{APP}/blobs/uploads/?digest={digest_of(content)}"
        self.exceeded(await writer.post(path, content))

        await house.call("DELETE", "/quotas/acme", status=204)

        assert (await writer.post(path, content)).status == 201
