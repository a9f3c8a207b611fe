"""`?at=` at a manifest: what a tag or a digest named at a time, deleted since or not."""

import re
import time

from registry.api.conditions import etag_matches
from registry.api.replies import Reply, head_block
from registry.api.requests import Request
from registry.management.units import parse_moment
from registry.oci.errors import RequestInvalid
from registry.services.history import History, said
from registry.services.manifests import Manifests


class Past:
    """Answers such requests. The manifest is the one of then, whatever the client says that it accepts."""

    def __init__(self, history: History, manifests: Manifests) -> None:
        self._history = history
        self._manifests = manifests

    async def get(self, request: Request, at: str) -> Reply:
        """GET and HEAD. What was deleted can't be had for ever, so nothing may be kept without asking."""
        repository = request.repository
        row, body = await self._history.find(repository, request.reference, moment_before_now(at))
        fields = [
            ("Docker-Content-Digest", row.digest),
            ("ETag", f'"{row.digest}"'),
            ("Cache-Control", "no-cache"),
        ]
        if etag_matches(request.headers.getall("If-None-Match", []), f'"{row.digest}"'):
            return Reply(304, head_block(fields))
        block = head_block([("Content-Type", row.media_type), ("Content-Length", str(row.size)), *fields])
        if request.method == "HEAD":
            return Reply(200, block)
        if body is None:
            self._manifests.note_pull(row)
            body = await self._manifests.body(repository, row)
        return Reply(200, block, body)


def moment_before_now(text: str) -> float:
    """Seconds since the epoch. Raises RequestInvalid."""
    now = time.time()
    try:
        # A plus that was not percent-encoded arrives as a space: 2026-11-01T12:00:00 01:00.
        at = parse_moment(re.sub(r"(?<=T)(\S+) (?=\d\d:?\d\d$)", r"\1+", text), now)
    except ValueError as error:
        raise RequestInvalid(f"at {error}") from error
    if at > now:
        raise RequestInvalid(f"at should be a time that has been: here it is {said(now)} now")
    return at
