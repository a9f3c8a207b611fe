"""Where the client thinks it is: what a reverse proxy in front says, if it may be believed.

Sources: RFC 7239 (Forwarded) and the X-Forwarded-* fields that came before it.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from auth import addresses
from registry.config import Network

_PAIR = re.compile(r'\s*([A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))\s*')
_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")


@dataclass(frozen=True, slots=True)
class Origin:
    """`base` goes in front of every path that the server tells a client: a prefix such as `/registry`, or
    with absolute locations `https://host/registry`. `prefix` is its path alone. `client` is an address."""

    base: str
    prefix: str
    client: str


class Origins:
    """Finds the origin of requests, as configured."""

    def __init__(
        self,
        external_url: str | None,
        path_prefix: str,
        trusted_proxies: Sequence[Network],
        *,
        relative_locations: bool,
    ) -> None:
        self._external_url = external_url
        self._prefix = path_prefix
        self._trusted = tuple(trusted_proxies)
        self._relative = relative_locations

    def of(self, request: web.BaseRequest) -> Origin:
        """The origin of a request. A proxy that is not trusted is a client like any other."""
        peer = request.protocol.peername if request.protocol is not None else None
        client = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self._trusted or not self._trusts(client):
            return self._origin(request, client, {})
        return self._origin(request, client, self._forwarded(request))

    def url(self, request: web.BaseRequest) -> str:
        """The whole address of this server as the client has it, prefix included."""
        peer = request.protocol.peername if request.protocol is not None else None
        client = str(peer[0]) if isinstance(peer, tuple) else ""
        told = self._forwarded(request) if self._trusted and self._trusts(client) else {}
        return self._absolute(request, told) + told.get("prefix", self._prefix)

    def _absolute(self, request: web.BaseRequest, told: dict[str, str]) -> str:
        host = told.get("host") or request.headers.get("Host", "")
        return self._external_url or f"{told.get('proto', request.scheme)}://{host}"

    def _origin(self, request: web.BaseRequest, client: str, told: dict[str, str]) -> Origin:
        prefix = told.get("prefix", self._prefix)
        if self._relative:
            return Origin(prefix, prefix, told.get("for", client))
        return Origin(self._absolute(request, told) + prefix, prefix, told.get("for", client))

    def _trusts(self, address: str) -> bool:
        parsed = addresses.parse(address)
        return parsed is not None and any(parsed in network for network in self._trusted)

    def _forwarded(self, request: web.BaseRequest) -> dict[str, str]:
        """What the proxies tell: `Forwarded` if it is there, or else X-Forwarded-*. Nonsense is left out."""
        told = forwarded_elements(request.headers.getall("Forwarded", []))
        if told:
            clients = [element.get("for", "") for element in told]
            first = {key: told[0][key] for key in ("proto", "host") if key in told[0]}
        else:
            clients = split(request.headers.getall("X-Forwarded-For", []))
            first = {
                key: split(request.headers.getall(f"X-Forwarded-{key.capitalize()}", [""]))[0]
                for key in ("proto", "host")
            }
        prefix = request.headers.get("X-Forwarded-Prefix", "").rstrip("/")
        found = {
            "proto": first.get("proto", "").lower(),
            "host": first.get("host", ""),
            "prefix": prefix,
            "for": self._client(clients),
        }
        valid = {
            "proto": found["proto"] in ("http", "https"),
            "host": _HOST.fullmatch(found["host"]) is not None,
            "prefix": _PREFIX.fullmatch(prefix) is not None,
            "for": bool(found["for"]),
        }
        return {key: value for key, value in found.items() if valid[key]}

    def _client(self, clients: Sequence[str]) -> str:
        """The last address that no trusted proxy has: those in front of it could have been made up."""
        for client in reversed(clients):
            address = node_address(client)
            if not self._trusts(address):
                return address
        return ""


def forwarded_elements(lines: Sequence[str]) -> list[dict[str, str]]:
    """The elements of `Forwarded`, each as its pairs; names in lower case."""
    elements = []
    for element in re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+', ",".join(lines)):
        pairs = {}
        for pair in re.findall(r'(?:[^;"]|"(?:[^"\\]|\\.)*")+', element):
            if match := _PAIR.fullmatch(pair):
                pairs[match[1].lower()] = (
                    re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3]
                )
        elements.append(pairs)
    return elements


def split(lines: Sequence[str]) -> list[str]:
    return [element.strip() for line in lines for element in line.split(",")]


def node_address(node: str) -> str:
    """The address in `192.0.2.1`, `192.0.2.1:4711` or `[2001:db8::1]:4711`; empty for anything else."""
    bare = node[1:].partition("]")[0] if node.startswith("[") else node
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return ""
