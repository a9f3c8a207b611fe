"""Answers as these tests look at them, and what holds for every answer whatever was asked."""

import json
from dataclasses import dataclass
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy

Headers = CIMultiDict[str] | CIMultiDictProxy[str]


@dataclass(frozen=True)
class Answer:
    """A status, header fields and the whole body."""

    status: int
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The entries of an error body (distribution-spec, "Error Codes"); fails unless it is one."""
        assert self.headers["Content-Type"] == "application/json", self
        document = self.json
        assert list(document) == ["errors"], document
        entries: list[dict[str, Any]] = document["errors"]
        assert entries, "an empty list of errors crashes clients"
        for entry in entries:
            assert set(entry) <= {"code", "message", "detail"}, entry
            assert isinstance(entry["code"], str), entry
            assert entry["code"] == entry["code"].upper(), entry
            assert isinstance(entry["message"], str), entry
            assert entry["message"], entry
        return entries

    @property
    def code(self) -> str:
        """The code of an error; of several entries, the one that all have."""
        codes = {entry["code"] for entry in self.errors}
        assert len(codes) == 1, codes
        return str(codes.pop())

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and code, to be compared in one line."""
        return self.status, self.code


def check_invariants(method: str, answer: Answer) -> None:
    """What no answer may break: framing, the form of errors, bytes that are never encoded."""
    headers = answer.headers
    assert "Date" in headers, answer
    assert "Content-Encoding" not in headers, "digests are of the bytes that were sent"
    assert len(headers.getall("Content-Length", [])) <= 1, answer
    if method == "HEAD" or answer.status in (204, 304):
        assert answer.body == b"", answer
    else:
        assert headers["Content-Length"] == str(len(answer.body)), answer
    if answer.status == 204:
        assert "Content-Length" not in headers, "RFC 9110 section 8.6"
    if answer.status == 405:
        assert headers.get("Allow"), "RFC 9110 section 15.5.6"
    if answer.status >= 400 and method != "HEAD":
        assert answer.errors
