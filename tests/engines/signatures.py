"""Signing with cosign and a key, offline."""

import json
from pathlib import Path

from tests.engines.clients import Client

TRUSTED_ROOT = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
"""Without a root of its own cosign asks its TUF server for one, even to verify with a key."""

AS_REFERRER = {"COSIGN_EXPERIMENTAL": "1"}

VERIFY = ("verify", "--key", "cosign.pub", "--insecure-ignore-tlog", "--trusted-root", "root.json")


def with_key(home: Path) -> Client:
    """cosign with a new key."""
    client = Client.found("cosign", home, COSIGN_PASSWORD="", COSIGN_YES="true", **AS_REFERRER)
    client("generate-key-pair")
    (home / "root.json").write_text(json.dumps(TRUSTED_ROOT))
    return client


def sign(cosign: Client, name: str, *options: str) -> None:
    cosign("sign", "--key", "cosign.key", "--tlog-upload=false", "--allow-http-registry", *options, name)


def verify(cosign: Client, name: str, *options: str) -> list[str]:
    """The digests that the signatures found are about."""
    found = json.loads(cosign(*VERIFY, "--allow-http-registry", "--output", "json", *options, name))
    return [each["critical"]["image"]["docker-manifest-digest"] for each in found]
