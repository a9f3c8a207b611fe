"""A request to each operation of the management API, what it needs, and what it answers to who may.

Those that would change what the next one is asked about are about something that is not there, or is there
already: then who may hears so, and who may not hears nothing of it.
"""

from dataclasses import dataclass
from typing import Any

from auth.roles import Action
from registry.management.operation import Needs

Outcome = tuple[int, str]

SESSION = "00000000-0000-4000-8000-000000000000"
OK, MADE, DONE = (200, ""), (201, ""), (204, "")
NOT_FOUND, CONFLICT, INVALID = (404, "NOT_FOUND"), (409, "CONFLICT"), (400, "INVALID")
NO_DELETION = (405, "UNSUPPORTED")
"""The registry of the matrix has deleting switched off, so that its repositories stay."""
NO_REPOSITORY = (404, "NAME_UNKNOWN")

OF_A_REPOSITORY = "{repository}"


@dataclass(frozen=True)
class Row:
    """`needs` is an action on the repository in the path, or what the operation says it needs; SIGNED_IN
    also stands for operations that show each caller what is his."""

    needs: Action | Needs
    method: str
    path: str
    outcome: Outcome = OK
    document: Any = None
    absent: Outcome | None = None
    """For a repository that does not exist, where that is another answer."""
    makes: bool = False
    """It would make a repository that does not exist."""
    credentials: bool = False


ALL, SIGNED_IN = Needs.NOTHING, Needs.SIGNED_IN
ADMINISTRATOR, SELF = Needs.ADMINISTRATOR, Needs.SELF_OR_ADMINISTRATOR
PULL, DELETE, CONFIGURE, ADMINISTER = Action.PULL, Action.DELETE, Action.CONFIGURE, Action.ADMINISTER

RULE = {
    "name": "gitlab",
    "issuer": "https://gitlab.example",
    "audience": "entrepot",
    "claims": {"project_path": "acme/app"},
    "role": "reader",
    "pattern": "acme/app",
}
MEMBER = "/groups/builders/members/user:unknown"
REPOSITORY = "/repositories/{repository}"

ROWS = {
    "openapi": Row(ALL, "GET", "/openapi.json"),
    "account": Row(SIGNED_IN, "GET", "/account"),
    "user.list": Row(ADMINISTRATOR, "GET", "/users"),
    "user.create": Row(ADMINISTRATOR, "POST", "/users", CONFLICT, {"name": "reader"}, credentials=True),
    "user.get": Row(SELF, "GET", "/users/{name}"),
    "user.configure": Row(ADMINISTRATOR, "PATCH", "/users/reader", OK, {"description": "who reads"}),
    "user.remove": Row(ADMINISTRATOR, "DELETE", "/users/unknown", NOT_FOUND),
    "user.password": Row(SELF, "PUT", "/users/{name}/password", INVALID, {"password": 1}, credentials=True),
    "user.import": Row(
        ADMINISTRATOR, "POST", "/import/htpasswd", INVALID, {"text": "nonsense"}, credentials=True
    ),
    "token.list": Row(SELF, "GET", "/users/{name}/tokens"),
    "token.create": Row(SELF, "POST", "/users/{name}/tokens", MADE, {"expires": "1h"}, credentials=True),
    "token.revoke": Row(SELF, "DELETE", "/users/{name}/tokens/999999", NOT_FOUND),
    "group.list": Row(ADMINISTRATOR, "GET", "/groups"),
    "group.create": Row(ADMINISTRATOR, "POST", "/groups", CONFLICT, {"name": "builders"}),
    "group.get": Row(ADMINISTRATOR, "GET", "/groups/builders"),
    "group.configure": Row(ADMINISTRATOR, "PATCH", "/groups/builders", OK, {"description": "build"}),
    "group.remove": Row(ADMINISTRATOR, "DELETE", "/groups/unknown", NOT_FOUND),
    "group.add": Row(ADMINISTRATOR, "PUT", MEMBER, NOT_FOUND),
    "group.take": Row(ADMINISTRATOR, "DELETE", MEMBER, NOT_FOUND),
    "robot.list": Row(ADMINISTRATOR, "GET", "/robots"),
    "robot.create": Row(ADMINISTRATOR, "POST", "/robots", CONFLICT, {"name": "ci"}, credentials=True),
    "robot.get": Row(ADMINISTRATOR, "GET", "/robots/ci"),
    "robot.configure": Row(ADMINISTRATOR, "PATCH", "/robots/ci", OK, {"description": "builds"}),
    "robot.remove": Row(ADMINISTRATOR, "DELETE", "/robots/unknown", NOT_FOUND),
    "robot.secret": Row(ADMINISTRATOR, "POST", "/robots/unknown/secret", NOT_FOUND, {}, credentials=True),
    "grant.list": Row(SIGNED_IN, "GET", "/grants"),
    "grant.add": Row(
        ADMINISTER,
        "POST",
        "/grants",
        NOT_FOUND,
        {"principal": "user:unknown", "role": "reader", "pattern": OF_A_REPOSITORY},
    ),
    "grant.remove": Row(SIGNED_IN, "DELETE", "/grants/999999", NOT_FOUND),
    "trust.list": Row(ADMINISTRATOR, "GET", "/trust-rules"),
    "trust.add": Row(ADMINISTRATOR, "POST", "/trust-rules", CONFLICT, RULE, credentials=True),
    "trust.get": Row(ADMINISTRATOR, "GET", "/trust-rules/gitlab"),
    "trust.configure": Row(
        ADMINISTRATOR, "PATCH", "/trust-rules/unknown", NOT_FOUND, {"disabled": True}, credentials=True
    ),
    "trust.remove": Row(ADMINISTRATOR, "DELETE", "/trust-rules/unknown", NOT_FOUND),
    "repository.list": Row(ALL, "GET", "/repositories"),
    "repository.get": Row(PULL, "GET", REPOSITORY, absent=NO_REPOSITORY),
    "repository.configure": Row(CONFIGURE, "PATCH", REPOSITORY, OK, {"description": "an app"}, makes=True),
    "repository.delete": Row(DELETE, "DELETE", REPOSITORY, NO_DELETION),
    "tag.list": Row(PULL, "GET", f"{REPOSITORY}/-/tags", absent=NO_REPOSITORY),
    "usage.repository": Row(PULL, "GET", f"{REPOSITORY}/-/usage", absent=NO_REPOSITORY),
    "usage.registry": Row(ADMINISTRATOR, "GET", "/usage"),
    "why": Row(ALL, "GET", "/why/sha256:" + 64 * "0"),
    "tag.delete": Row(
        DELETE, "DELETE", f"{REPOSITORY}/-/tags/none", (404, "MANIFEST_UNKNOWN"), absent=NO_REPOSITORY
    ),
    "tag.history": Row(
        PULL, "GET", f"{REPOSITORY}/-/tags/none/history", (404, "MANIFEST_UNKNOWN"), absent=NO_REPOSITORY
    ),
    "tag.restore": Row(
        DELETE,
        "POST",
        f"{REPOSITORY}/-/tags/none/restore",
        (404, "MANIFEST_UNKNOWN"),
        {"at": "1h"},
        absent=NO_REPOSITORY,
    ),
    "manifest.restore": Row(
        DELETE,
        "POST",
        f"{REPOSITORY}/-/manifests/sha256:{64 * '0'}/restore",
        (404, "MANIFEST_UNKNOWN"),
        {},
        absent=NO_REPOSITORY,
    ),
    "repository.removed": Row(ALL, "GET", "/removed-repositories"),
    "repository.restore": Row(DELETE, "POST", f"{REPOSITORY}/-/restore", NOT_FOUND, {}),
    "quota.list": Row(SIGNED_IN, "GET", "/quotas"),
    "quota.remove": Row(CONFIGURE, "DELETE", "/quotas/{repository}", NOT_FOUND),
    "quota.set": Row(CONFIGURE, "PUT", "/quotas/{repository}", OK, {"bytes": "1TiB"}),
    "gc.status": Row(ADMINISTRATOR, "GET", "/gc"),
    "gc.preview": Row(ADMINISTRATOR, "GET", "/gc/preview?purge_removed=true"),
    "gc.run": Row(ADMINISTRATOR, "POST", "/gc/run", OK, {}),
    "retention.list": Row(SIGNED_IN, "GET", "/retention/rules"),
    "retention.get": Row(SIGNED_IN, "GET", "/retention/rules/unknown", NOT_FOUND),
    "retention.set": Row(
        CONFIGURE,
        "PUT",
        "/retention/rules/matrix",
        OK,
        {"repositories": OF_A_REPOSITORY, "keep_last": 1000},
    ),
    "retention.configure": Row(SIGNED_IN, "PATCH", "/retention/rules/unknown", NOT_FOUND, {"disabled": True}),
    "retention.remove": Row(SIGNED_IN, "DELETE", "/retention/rules/unknown", NOT_FOUND),
    "retention.preview": Row(CONFIGURE, "POST", "/retention/preview", OK, {"repositories": OF_A_REPOSITORY}),
    "retention.summary": Row(SIGNED_IN, "POST", "/retention/summary", OK, {}),
    "retention.run": Row(CONFIGURE, "POST", "/retention/run", OK, {"repositories": OF_A_REPOSITORY}),
    "in-use.list": Row(SIGNED_IN, "GET", "/in-use"),
    "in-use.report": Row(
        SIGNED_IN,
        "POST",
        "/in-use",
        OK,
        {
            "reporter": "matrix",
            "lease_seconds": 60,
            "digests": [f"{OF_A_REPOSITORY}@sha256:{64 * '0'}"],
        },
    ),
    "scrub.status": Row(ADMINISTRATOR, "GET", "/scrub"),
    "scrub.quarantined": Row(ADMINISTRATOR, "GET", "/scrub/quarantined"),
    "upload.list": Row(ADMINISTRATOR, "GET", "/uploads"),
    "upload.cancel": Row(ADMINISTRATOR, "DELETE", f"/uploads/{SESSION}", (404, "BLOB_UPLOAD_UNKNOWN")),
    "audit.list": Row(ADMINISTRATOR, "GET", "/audit?n=1"),
    "explain": Row(ADMINISTER, "GET", "/explain?principal=user:former&action=pull&repository={repository}"),
    "key.list": Row(ADMINISTRATOR, "GET", "/keys"),
    "key.rotate": Row(ADMINISTRATOR, "POST", "/keys/rotate", INVALID, {"at_once": 1}),
}
"""By the operation's id, in the order in which they are asked."""
