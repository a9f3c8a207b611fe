"""What can be set for the S3 driver."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from urllib.parse import urlsplit

from storage_drivers.s3_parts import SMALLEST_PART

MEBIBYTE = 1 << 20
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class S3Settings:
    """The table `[storage.s3]`. docs/s3.md says what each of them means."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    endpoint_public: str = ""
    region: str = ""
    path_style: bool = False
    access_key: str = ""
    secret_key: str = ""
    session_token: str = ""
    ca_file: str = ""
    sse: str = ""
    sse_key: str = ""
    storage_class: str = ""
    redirect: str = "auto"
    redirect_seconds: int = 1200
    memory_bytes: int = 256 * MEBIBYTE
    part_bytes: int = 8 * MEBIBYTE
    equal_parts: bool = False
    connections: int = 32
    attempts: int = 5

    @classmethod
    def parse(cls, given: Mapping[str, object]) -> "S3Settings":
        """From values as a TOML file or the environment has them. Raises ValueError, naming the setting."""
        known = {field.name: field.type for field in fields(cls)}
        values: dict[str, str | int | bool] = {}
        for key, value in given.items():
            if key not in known:
                raise ValueError(f"the s3 driver has no setting {key!r}; it takes {', '.join(known)}")
            if value == "":  # as an orchestrator passes what is not set
                continue
            values[key] = _of_kind(key, str(known[key]), value)
        if "bucket" not in values:
            raise ValueError("the s3 driver needs `bucket`, the name of the bucket where objects are kept")
        settings = cls(**values)  # type: ignore[arg-type]  # _of_kind made them what they should be
        settings._check()
        return settings

    def redirected_networks(self) -> Sequence[Network]:
        """Whose clients are sent to the storage itself."""
        if self.redirect in ("on", "auto"):
            # A server of one's own is often one that only the registry reaches: there it has to be said.
            reachable = self.redirect == "on" or not self.endpoint or bool(self.endpoint_public)
            return [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")] if reachable else []
        if self.redirect == "off":
            return []
        return [ipaddress.ip_network(entry) for entry in self.redirect.replace(",", " ").split()]

    def _check(self) -> None:
        for key in ("endpoint", "endpoint_public"):
            url = getattr(self, key)
            parts = urlsplit(url)
            if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query):
                raise ValueError(
                    f"{key} should be http:// or https:// and a host, like https://s3.example.com"
                )
        if self.prefix and (
            self.prefix.startswith("/") or "//" in self.prefix or not self.prefix.isprintable()
        ):
            raise ValueError("prefix should be a path like registry/ that doesn't start with a slash")
        if bool(self.access_key) != bool(self.secret_key):
            raise ValueError("access_key and secret_key belong together: set both, or neither of them")
        if self.session_token and not self.access_key:
            raise ValueError("session_token belongs to an access_key and a secret_key")
        if self.sse not in ("", "AES256", "aws:kms"):
            raise ValueError("sse should be AES256 or aws:kms")
        if self.sse_key and self.sse != "aws:kms":
            raise ValueError("sse_key is the name of a key for sse = aws:kms")
        try:
            self.redirected_networks()
        except ValueError as error:
            raise ValueError(f"redirect should be on, off, auto or networks of clients: {error}") from None
        ranges = {
            "part_bytes": (SMALLEST_PART, 1 << 30),
            "memory_bytes": (4 * self.part_bytes, 1 << 40),
            "redirect_seconds": (60, 604_800),
            "connections": (1, 1000),
            "attempts": (1, 20),
        }
        for key, (least, most) in ranges.items():
            if not least <= getattr(self, key) <= most:
                raise ValueError(f"{key} should be from {least} to {most}")


def _of_kind(key: str, kind: str, value: object) -> str | int | bool:
    """A value as the type that a field has. Raises ValueError."""
    if key == "redirect" and isinstance(value, bool):
        return "on" if value else "off"
    if key == "redirect" and isinstance(value, list | tuple):
        return " ".join(map(str, value))
    if kind == "<class 'bool'>":
        truth = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in truth:
            return truth[value.lower()]
        raise ValueError(f"{key} should be true or false")
    if kind == "<class 'int'>":
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and value.isascii() and value.isdecimal():
            return int(value)
        raise ValueError(f"{key} should be a whole number")
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"{key} should be text")
    return value
