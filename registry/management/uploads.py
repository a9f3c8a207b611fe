"""Operations on upload sessions that are under way."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import Field

from registry.management.fields import Answer, Page, Time
from registry.management.operation import Call, Needs, Operation
from registry.management.units import moment
from registry.oci.errors import UploadUnknown
from registry.oci.name import RepositoryName
from registry.services.running_uploads import RunningUploads, UploadSummary
from registry.services.uploads import Uploads


class Upload(Answer):
    """A session."""

    id: str = Field(examples=["7c2ab2bc-8a8b-4c5c-9d37-6f0a3ed9a1f4"])
    repository: str
    bytes: int = Field(description="that came so far")
    created_at: Time | None
    created_by: str | None
    expires_at: Time | None


class UploadPage(Answer):
    """Sessions in the order of their ids. `next`: give it as `last` for more; null at the end."""

    uploads: list[Upload]
    next: str | None


class UploadOperations:
    """Everything about uploads but what clients do with their own."""

    def __init__(self, running: RunningUploads, uploads: Uploads) -> None:
        self._running = running
        self._uploads = uploads

    def operations(self) -> Sequence[Operation]:
        needs = Needs.ADMINISTRATOR
        return [
            Operation(
                "upload.list",
                "GET",
                "/uploads",
                "List uploads that are under way",
                needs,
                self.page,
                query=Page,
                answer=UploadPage,
            ),
            Operation(
                "upload.cancel",
                "DELETE",
                "/uploads/{id}",
                "Cancel an upload and drop its bytes",
                needs,
                self.cancel,
                status=204,
            ),
        ]

    async def page(self, call: Call) -> UploadPage:
        query: Page = call.query
        rows, more = await self._running.page(query.last, query.n)
        return UploadPage(
            uploads=[Upload(**upload_facts(row)) for row in rows], next=rows[-1].id if more else None
        )

    async def cancel(self, call: Call) -> None:
        upload_id = call.path["id"]
        try:
            UUID(upload_id)
        except ValueError:
            raise UploadUnknown(upload_id[:100]) from None
        repository = (await self._running.get(upload_id)).repository
        await self._uploads.cancel(RepositoryName(repository), upload_id)
        await self._running.tell_cancelled(repository, upload_id, call.actor)


def upload_facts(row: UploadSummary) -> dict[str, Any]:
    return {
        "id": row.id,
        "repository": row.repository,
        "bytes": row.offset,
        "created_at": moment(row.created_at),
        "created_by": row.created_by,
        "expires_at": moment(row.expires_at),
    }
