"""Logs: lines for people, or JSON for programs, on standard error."""

import json
import logging
import sys
import time
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from auth.secrets import redacted

audit_log = logging.getLogger("entrepot.audit")


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
