"""What can be set for accounts: who signs in how, tokens, a directory, the audit."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from auth.addresses import is_loopback
from auth.passwords import check_password_strength
from auth.principals import check_name
from registry.config.values import (
    UNLESS_EMPTY,
    Seconds,
    Section,
    WholeSeconds,
    from_json,
    listed,
    split_url,
)

OptionalText = Annotated[str | None, UNLESS_EMPTY]
OptionalPath = Annotated[Path | None, UNLESS_EMPTY]
OptionalSecret = Annotated[SecretStr | None, UNLESS_EMPTY]

DAY = 86400


class IssuerSettings(Section):
    """Another token server. Its keys come from a file of PEM or from its JWKS, and never from both."""

    issuer: str = Field(min_length=1, description="`iss` of its tokens")
    audience: str = Field(min_length=1, description="`aud` of its tokens that are for this registry")
    keys_file: OptionalPath = Field(None, description="its public keys or certificates, PEM")
    jwks_url: OptionalText = Field(None, description="where it publishes its keys")

    @field_validator("jwks_url")
    @classmethod
    def _check_jwks_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = split_url(url, ("http", "https"), "https://auth.example.com/jwks.json")
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ValueError("should be https://: whoever stands between could give keys of their own")
        return url

    @model_validator(mode="after")
    def _check_one_source(self) -> "IssuerSettings":
        if (self.keys_file is None) == (self.jwks_url is None):
            raise ValueError("should have one of keys_file and jwks_url")
        return self


class AuthSettings(Section):
    """Accounts and tokens."""

    mode: Literal["accounts", "open"] = Field(
        "accounts", description="`open`: no accounts, whoever can connect may do everything"
    )
    insecure_open: bool = Field(False, description="serve without accounts, on any address")
    admin_password: OptionalSecret = Field(
        None, description="the first password of `admin`; without it a random one is made and printed once"
    )
    service: str = Field(
        "entrepot", max_length=255, description="the registry's name in tokens, their audience"
    )
    realm: OptionalText = Field(None, description="the URL of another token server, to send clients to")
    token_seconds: int = Field(300, ge=60, le=3600, description="how long a token is good")
    refresh_seconds: WholeSeconds = Field(30 * DAY, description="how long a refresh token is good")
    revocation_seconds: int = Field(
        60,
        ge=1,
        le=3600,
        description="how long a right that was taken away may still be used, at most",
    )
    algorithm: Literal["ES256", "EdDSA"] = Field("ES256", description="of new signing keys")
    key_files: Annotated[tuple[Path, ...], BeforeValidator(listed)] = Field(
        (),
        description="private keys, PEM, instead of keys in the index: the first signs, all of them verify",
    )
    issuers: Annotated[tuple[IssuerSettings, ...], BeforeValidator(partial(from_json, empty=()))] = Field(
        (), description="other token servers whose tokens are accepted"
    )

    @field_validator("admin_password")
    @classmethod
    def _check_admin_password(cls, password: SecretStr | None) -> SecretStr | None:
        if password is not None:
            check_password_strength(password.get_secret_value())
        return password

    @field_validator("service")
    @classmethod
    def _check_service(cls, service: str) -> str:
        if not re.fullmatch(r"[!-~]([ -~]*[!-~])?", service) or set(service) & {'"', "\\"}:
            raise ValueError("should be printable ASCII without quotes and backslashes, like entrepot")
        if re.search("bearer|basic", service, re.IGNORECASE):
            raise ValueError(
                'should not hold "bearer" or "basic": clients look for these words in the whole challenge'
            )
        return service

    @field_validator("realm")
    @classmethod
    def _check_realm(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if not re.fullmatch("[!-~]+", url) or set(url) & {'"', "\\"}:
            raise ValueError("should be a URL of ASCII without blanks, quotes and backslashes")
        split_url(url, ("http", "https"), "https://auth.example.com/token")
        return url

    @field_validator("issuers")
    @classmethod
    def _check_issuers(cls, issuers: tuple[IssuerSettings, ...]) -> tuple[IssuerSettings, ...]:
        names = [entry.issuer for entry in issuers]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"should name each issuer once, and names {twice} twice")
        return issuers


class LdapSettings(Section):
    """The directory that people sign in with. There is none without `url`."""

    url: OptionalText = Field(None, description="ldaps://host or ldap://host")
    start_tls: bool = Field(False, description="encrypt an ldap:// connection before anything is said")
    ca_file: OptionalPath = Field(None, description="certificates to trust, PEM, instead of the system's")
    insecure: bool = Field(False, description="send passwords to an ldap:// server in clear")
    bind_dn: OptionalText = Field(None, description="who looks people up; without it anonymously")
    bind_password: OptionalSecret = Field(None, description="the password of bind_dn")
    user_base: OptionalText = Field(None, description="the entry below which people are")
    user_filter: str = Field("(uid={name})", description="which of them signs in by a name")
    group_base: OptionalText = Field(
        None, description="the entry below which groups are; without it none is looked for"
    )
    group_filter: str = Field(
        "(member={dn})", description="which of them a person is in, by {dn} or {name} of the person"
    )
    group_mapping: Annotated[dict[str, str], BeforeValidator(partial(from_json, empty={}))] = Field(
        {}, description="the local group for a group's DN or cn; when empty, a cn is the local name itself"
    )
    timeout_seconds: Seconds = Field(5, description="how long the server may take to answer")

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = split_url(url, ("ldaps", "ldap"), "ldaps://ldap.example.com")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("should end after the host and port; where people are is ldap.user_base")
        return url.rstrip("/")

    @field_validator("user_filter")
    @classmethod
    def _check_user_filter(cls, text: str) -> str:
        return _check_filter(text, "{name}")

    @field_validator("group_filter")
    @classmethod
    def _check_group_filter(cls, text: str) -> str:
        return _check_filter(text, "{dn}", "{name}")

    @field_validator("group_mapping")
    @classmethod
    def _check_group_mapping(cls, mapping: dict[str, str]) -> dict[str, str]:
        for local in mapping.values():
            check_name(local)
        return mapping

    @model_validator(mode="after")
    def _check_together(self) -> "LdapSettings":
        problems = list(self._useless() if self.url is None else self._unfit(self.url))
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _useless(self) -> Iterator[str]:
        fields = type(self).model_fields
        keys = [f"ldap.{key}" for key, field in fields.items() if getattr(self, key) != field.default]
        if keys:
            yield (
                f"ldap.url is not set, so that {', '.join(keys)} would change nothing: name the server, like "
                "ldap.url = ldaps://ldap.example.com, or remove the rest of [ldap]"
            )

    def _unfit(self, url: str) -> Iterator[str]:
        parts = split_url(url, ("ldaps", "ldap"), "")
        in_clear = parts.scheme == "ldap" and not self.start_tls
        if self.user_base is None:
            yield (
                "ldap.url is set without ldap.user_base: say where people are, like "
                "ou=people,dc=example,dc=com"
            )
        if (self.bind_dn is None) != (self.bind_password is None):
            yield (
                "ldap.bind_dn and ldap.bind_password belong together: set both, or neither to look people "
                "up anonymously"
            )
        if self.group_mapping and self.group_base is None:
            yield (
                "ldap.group_mapping is set without ldap.group_base: say where groups are, like "
                "ou=groups,dc=example,dc=com"
            )
        if parts.scheme == "ldaps" and self.start_tls:
            yield (
                "ldap.start_tls is for ldap:// and ldap.url is ldaps://, which is encrypted from the "
                "beginning: remove ldap.start_tls"
            )
        if in_clear and self.ca_file is not None:
            yield (
                "ldap.ca_file is set, but the connection is not encrypted: use ldaps:// or "
                "ldap.start_tls = true, or remove ldap.ca_file"
            )
        if in_clear and not self.insecure and not is_loopback(parts.hostname or ""):
            yield (
                f"ldap.url is {url}, so that passwords would cross the network in clear: use ldaps:// or "
                "ldap.start_tls = true, or say ldap.insecure = true if that is what you want"
            )


def _check_filter(text: str, *allowed: str) -> str:
    """A search filter (RFC 4515) with one of these placeholders at least and no other. Raises ValueError."""
    found = set(re.findall(r"\{[^{}]*\}", text))
    if not found or not found <= set(allowed):
        raise ValueError(
            f"should hold {' or '.join(allowed)}, where the person's is put in, and no other braces"
        )
    if not (text.startswith("(") and text.endswith(")") and text.count("(") == text.count(")")):
        raise ValueError("should be an LDAP filter in its parentheses, like (uid={name})")
    return text


class AuditSettings(Section):
    """What is kept of who did what."""

    keep_seconds: WholeSeconds = Field(90 * DAY, description="how long an entry is kept in the index")
    file: OptionalPath = Field(None, description="JSON lines go to this file instead of standard error")
