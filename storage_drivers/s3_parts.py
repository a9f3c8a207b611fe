"""How an upload to S3 is cut into parts, and what is remembered of it between two requests.

An object of up to one part is put whole when it is committed. A larger one is a multipart upload straight
to its final key. What does not fill a part yet and has to be durable, the *tail*, waits beside it in
objects of its own, the *segments*:

    <prefix>blobs/<two digits>/<token>.<attempt>    an object; below prefix: its location
    <prefix>staging/<token>/<start>                 a segment: bytes of the upload from offset <start> on

`begin` draws the token, each multipart upload and each put of a whole object draws an attempt. So whoever
commits the same upload a second time, on another machine too, can't overwrite what the first one made.
"""

import hashlib
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from storage_drivers.base import NoSpace, NotFound, Upload

SMALLEST_PART = 5 << 20
"""Bytes that every part has at least, but for the last one (S3, "multipart upload limits")."""

MOST_PARTS = 10_000
PARTS_BEFORE_DOUBLING = 1000

_TOKEN = re.compile(r"[0-9a-f]{32}")
_LOCATION = re.compile(r"blobs/[0-9a-f]{2}/[0-9a-f]{32}\.[0-9a-f]{16}")
_NUMBERS = re.compile(r"([0-9]{1,15}( [0-9]{1,15})*)?")


@dataclass(frozen=True, slots=True)
class PartPlan:
    """How large parts are, in bytes: `first`, doubled after each 1,000 parts until `largest` is reached.

    With 8 MiB and a largest one of 64 MiB, 10,000 parts hold 492 GiB. If they are `equal`, all are `first`.
    """

    first: int
    largest: int
    equal: bool = False

    def size(self, number: int) -> int:
        """The bytes of part `number`, from 1 up. Raises NoSpace for one that S3 would not take."""
        if number > MOST_PARTS:
            raise NoSpace(f"the object has more than {MOST_PARTS} parts: raise memory_bytes or part_bytes")
        if self.equal:
            return self.first
        doublings = min((number - 1) // PARTS_BEFORE_DOUBLING, 40)
        return max(self.first, min(self.first << doublings, self.largest))

    def least(self, number: int) -> int:
        """The bytes from which the end of a request is sent as part `number`, instead of waiting for more.

        Not where that would use up the numbers.
        """
        return self.size(number) if self.equal or number > PARTS_BEFORE_DOUBLING else SMALLEST_PART


@dataclass(frozen=True, slots=True)
class Staged:
    """An upload's state. `parts` parts with `sent` bytes are in the multipart upload `multipart` to `key`;
    `chain` is a hash over their ETags. `tail` are the sizes of the segments from offset `sent` on.
    `spent` are the starts of segments that the state before this one still needed.
    """

    token: str
    multipart: str = ""
    key: str = ""
    parts: int = 0
    sent: int = 0
    chain: str = ""
    tail: tuple[int, ...] = ()
    spent: tuple[int, ...] = ()

    @classmethod
    def of(cls, upload: Upload, kept: int) -> "Staged":
        """Read an upload's state; `kept` of its bytes are stored. Raises NotFound if it isn't one of ours."""
        state = upload.state
        text = {key: state.get(key, "") for key in ("token", "multipart", "key", "chain", "tail", "spent")}
        counts = [state.get(key, 0) for key in ("parts", "sent")]
        texts = [value for value in text.values() if isinstance(value, str)]
        whole = [value for value in counts if isinstance(value, int) and value >= 0]
        if len(texts) == len(text) and len(whole) == len(counts):
            token, multipart, key, chain, tail, spent = texts
            fits = _TOKEN.fullmatch(token) and (not key or key.startswith(f"{place_of(token)}."))
            if fits and (not key or _LOCATION.fullmatch(key)) and bool(key) == bool(multipart):
                staged = cls(token, multipart, key, whole[0], whole[1], chain, _sizes(tail), _sizes(spent))
                if staged.offset == kept:
                    return staged
        raise NotFound("the state of this upload is not one of the s3 driver")

    @property
    def offset(self) -> int:
        return self.sent + sum(self.tail)

    def state(self) -> dict[str, str | int | None]:
        """As the index keeps it: only what is not empty."""
        texts = {"tail": " ".join(map(str, self.tail)), "spent": " ".join(map(str, self.spent))}
        values = {
            name: getattr(self, name) for name in ("token", "multipart", "key", "parts", "sent", "chain")
        }
        return {name: value for name, value in {**values, **texts}.items() if value}

    def segments(self) -> Iterator[tuple[int, int]]:
        """(start, size) of each segment of the tail."""
        start = self.sent
        for size in self.tail:
            yield start, size
            start += size

    def with_parts(self, etags: Sequence[str], size: int) -> "Staged":
        """After parts with these ETags and `size` bytes in all, which took the tail in."""
        spent = {start for start, _ in self.segments()}
        return replace(
            self,
            parts=self.parts + len(etags),
            sent=self.sent + size,
            chain=chained(self.chain, etags),
            tail=(),
            spent=tuple(sorted({*self.spent, *spent})),
        )


def chained(chain: str, etags: Sequence[str]) -> str:
    """The hash over all ETags so far: the parts that are completed must be those that were acknowledged."""
    for etag in etags:
        chain = hashlib.sha256(f"{chain} {etag}".encode()).hexdigest()[:32]
    return chain


def place_of(token: str) -> str:
    """What the keys of all objects of an upload start with."""
    return f"blobs/{token[:2]}/{token}"


def new_location(token: str) -> str:
    return f"{place_of(token)}.{secrets.token_hex(8)}"


def segment_key(token: str, start: int | str) -> str:
    """With no start: what the keys of all segments of an upload start with."""
    return f"staging/{token}/{start}"


def staged_token(key: str) -> str:
    """The token of the upload that a key belongs to, whether it is a segment's or an object's."""
    found = re.fullmatch(r"staging/([0-9a-f]{32})/[0-9]+|blobs/[0-9a-f]{2}/([0-9a-f]{32})\.[0-9a-f]{16}", key)
    return "" if found is None else found[1] or found[2]


def is_location(location: str) -> bool:
    return _LOCATION.fullmatch(location) is not None


def _sizes(text: str) -> tuple[int, ...]:
    if not _NUMBERS.fullmatch(text):
        raise NotFound("the state of this upload is not one of the s3 driver")
    return tuple(map(int, text.split()))
