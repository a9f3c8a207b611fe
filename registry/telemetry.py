"""Logs: lines for people, or JSON for programs, on standard error."""

import json
import logging
import sys
import time
from collections.abc import Callable, Container
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from auth.secrets import redacted

audit_log = logging.getLogger("entrepot.audit")
access_log = logging.getLogger("entrepot.access")


class TextFormatter(logging.Formatter):
    """`2026-11-01T12:00:00Z INFO registry.server: text`, in UTC. A secret that somebody put into a path, say,
    is not repeated."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%SZ"
    default_msec_format = ""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


class JsonFormatter(TextFormatter):
    """One JSON object a line; an access line has its fields in `request`, one of the audit in `audit`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for field in ("request", "audit"):
            if (value := getattr(record, field, None)) is not None:
                line[field] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return redacted(json.dumps(line))


PRINCIPAL = web.RequestKey("principal", str)
REQUEST_ID = web.RequestKey("request_id", str)
"""What handlers note on a request for its line in the log."""


class AccessLogger(AbstractAccessLogger):
    """A line for each request: who, what, how it ended, bytes sent and seconds taken.

    No header and no query is logged: they may hold secrets. `client_of` tells the address of a client.
    `probes` are paths that are asked for every few seconds: what is well there is for level debug.
    """

    def __init__(
        self,
        logger: logging.Logger,
        log_format: str,
        *,
        client_of: Callable[[web.BaseRequest], str],
        probes: Container[str] = (),
    ) -> None:
        super().__init__(logger, log_format)
        self._client_of = client_of
        self._probes = probes

    def log(self, request: web.BaseRequest, response: Any, time: float) -> None:
        fields = {
            "client": self._client_of(request),
            "principal": request.get(PRINCIPAL, "-"),
            "method": request.method,
            "path": request.raw_path.partition("?")[0],
            "status": response.status,
            "bytes": response.sent,
            "seconds": round(time, 6),
            "agent": request.headers.get("User-Agent", ""),
        }
        if REQUEST_ID in request:
            fields["request_id"] = request[REQUEST_ID]
        is_routine = fields["path"] in self._probes and response.status == 200
        self.logger.log(
            logging.DEBUG if is_routine else logging.INFO,
            "%s %s %s %s %d %d %.3fs %s",
            fields["client"],
            fields["principal"],
            fields["method"],
            ascii(fields["path"])[1:-1],
            fields["status"],
            fields["bytes"],
            time,
            ascii(fields["agent"]),
            extra={"request": fields},
        )


def configure_logging(level: str, form: str) -> None:
    """Send all logs to standard error, in the form `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def direct_audit(path: Path) -> None:
    """Send the audit to a file of its own, whatever the level: one JSON object a line.

    The file is opened anew when somebody has moved it away. Raises OSError when it can't be.
    """
    lines = WatchedFileHandler(path, encoding="utf-8")
    lines.setFormatter(logging.Formatter("%(message)s"))
    audit_log.handlers[:] = [lines]
    audit_log.setLevel(logging.INFO)
    audit_log.propagate = False
