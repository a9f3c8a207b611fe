"""An Entrepot with accounts, for the suites: the settings that make it, and how they sign in."""

import json
import secrets

from conformance.authorization import Authorization
from conformance.client import Client

USERNAME = "admin"
"""He is made at the first start, and may do everything."""

PASSWORD = secrets.token_urlsafe()

ENVIRONMENT = {"ENTREPOT_AUTH__MODE": "accounts", "ENTREPOT_AUTH__ADMIN_PASSWORD": PASSWORD}


def personal_token(url: str) -> str:
    """A new personal token of that user. Checking his password for each token of the registry would take
    half of the time: it is slow on purpose."""
    client = Client(url, Authorization(USERNAME, PASSWORD))
    target = f"/api/v1/users/{USERNAME}/tokens"
    answer = client.request("POST", target, b"{}", {"Content-Type": "application/json"})
    assert answer.status == 201, f"no token was made: {answer}"
    return str(json.loads(answer.body)["secret"])
