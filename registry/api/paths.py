"""Paths of the registry, parsed by hand and from the right.

From the right, because `blobs`, `manifests` and `uploads` are legal components of a repository name; by
hand, because a regular expression for each route costs more than the rest of a small request.
"""

from typing import NamedTuple
from urllib.parse import unquote

from registry.oci.errors import NameInvalid, NoSuchPath


class Path(NamedTuple):
    """`kind` names a row of the route table; `name` and `argument` are decoded and not yet validated."""

    kind: str
    name: str = ""
    argument: str = ""


BASE = Path("base")
CATALOG = Path("catalog")
TOKEN = Path("token")
KEYS = Path("keys")
ALIVE = Path("alive")
READY = Path("ready")

TOKEN_PATH = "/v2/token"  # noqa: S105 - below /v2/, so that a proxy which forwards that forwards this, too
KEYS_PATHS = ("/v2/token/keys", "/.well-known/jwks.json")
API_PATH = "/api/v1/"
ALIVE_PATH = "/healthz"
READY_PATH = "/readyz"


def parse_path(path: str) -> Path:
    """Tell what a path (without query) is. Raises NoSuchPath."""
    if not path.startswith("/v2/"):
        if path.startswith(API_PATH):
            return Path("api", "", path[len(API_PATH) - 1 :])
        if path == "/v2":
            return BASE
        if path in KEYS_PATHS:
            return KEYS
        if path == ALIVE_PATH:
            return ALIVE
        if path == READY_PATH:
            return READY
        raise NoSuchPath("the registry's API is below /v2/, the one for its management below /api/v1/")
    if path == "/v2/":
        return BASE
    if path == "/v2/_catalog":
        return CATALOG
    if path == TOKEN_PATH:
        return TOKEN
    if path in KEYS_PATHS:
        return KEYS
    head, _, last = path.rpartition("/")
    name, _, kind = head.rpartition("/")
    if kind == "manifests" or kind == "referrers":
        return Path(kind, repository(name), decoded(last))
    if kind == "uploads" and name.endswith("/blobs"):
        return Path("upload" if last else "uploads", repository(name[:-6]), decoded(last))
    if kind == "blobs":
        if last == "uploads":
            return Path("uploads", repository(name))
        return Path(kind, repository(name), decoded(last))
    if kind == "tags" and last == "list":
        return Path("tags", repository(name))
    raise NoSuchPath(
        "nothing is served at this path; see the endpoints of the OCI distribution specification"
    )


def repository(path: str) -> str:
    """The name in `/v2/<name>`. An encoded slash is not taken for a separator: proxies differ there."""
    name = path[4:]
    if "%" in name:
        if "%2f" in name.lower():
            raise NameInvalid("a repository name has plain slashes, not encoded ones")
        return decoded(name)
    return name


def decoded(text: str) -> str:
    """A percent-encoded part of a path; bytes that are not UTF-8 become U+FFFD, which no grammar allows."""
    return unquote(text, errors="replace") if "%" in text else text
