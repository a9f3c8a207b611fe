"""Upload sessions as an administrator sees them: which there are, and to which repository each belongs."""

from collections.abc import Sequence
from functools import partial

from auth.actor import Actor
from registry.index import Index, uploads
from registry.index.uploads import UploadSummary
from registry.oci.errors import UploadUnknown
from registry.services.audit import Audit

__all__ = ["RunningUploads", "UploadSummary"]


class RunningUploads:
    """All sessions that have not ended."""

    def __init__(self, index: Index, audit: Audit) -> None:
        self._index = index
        self._audit = audit

    async def page(self, last: str | None, limit: int) -> tuple[Sequence[UploadSummary], bool]:
        """At most `limit` sessions after the id `last`, and whether more follow."""
        found = await self._index.read(partial(uploads.page, last=last, limit=limit + 1))
        return found[:limit], len(found) > limit

    async def get(self, upload_id: str) -> UploadSummary:
        """Raises UploadUnknown."""
        row = await self._index.read(partial(uploads.get, upload_id=upload_id))
        if row is None:
            raise UploadUnknown(upload_id)
        return row

    async def tell_cancelled(self, repository: str, upload_id: str, actor: Actor) -> None:
        """Enter into the audit that a session was cancelled; its row went before its bytes did."""
        await self._audit.note(actor, "upload.cancel", repository, detail={"upload": upload_id})
