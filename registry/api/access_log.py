"""The access log: a line for each request."""

import logging
from collections.abc import Callable, Container
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

access_log = logging.getLogger("entrepot.access")

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
