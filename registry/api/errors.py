"""The one table from the registry's errors to HTTP (distribution-spec, "Error Codes").

Handlers raise; `reply_to` renders. The codes are those of the specification's table. TAG_INVALID was in it
once, and clients know it; for a 5xx, UNKNOWN and UNAVAILABLE say what no code of the table does.
"""

import math

from registry.api.replies import Reply, json_content
from registry.oci import errors

Rendered = tuple[int, str]

TABLE: dict[type[errors.RegistryError], Rendered] = {
    errors.NameInvalid: (400, "NAME_INVALID"),
    errors.TagInvalid: (400, "TAG_INVALID"),
    errors.DigestInvalid: (400, "DIGEST_INVALID"),
    errors.DigestMismatch: (400, "DIGEST_INVALID"),
    errors.SizeInvalid: (400, "SIZE_INVALID"),
    errors.RepositoryUnknown: (404, "NAME_UNKNOWN"),
    errors.BlobUnknown: (404, "BLOB_UNKNOWN"),
    errors.ManifestUnknown: (404, "MANIFEST_UNKNOWN"),
    errors.ManifestInvalid: (400, "MANIFEST_INVALID"),
    errors.ManifestTooLarge: (413, "MANIFEST_INVALID"),
    errors.BodyTooLarge: (413, "SIZE_INVALID"),
    errors.ManifestBlobsUnknown: (400, "MANIFEST_BLOB_UNKNOWN"),
    errors.TooManyTags: (414, "UNSUPPORTED"),
    errors.UploadUnknown: (404, "BLOB_UPLOAD_UNKNOWN"),
    errors.WrongOffset: (416, "BLOB_UPLOAD_INVALID"),
    errors.RangeInvalid: (416, "SIZE_INVALID"),
    errors.TooManyRanges: (400, "UNSUPPORTED"),
    errors.PaginationInvalid: (400, "UNSUPPORTED"),
    errors.PreconditionFailed: (412, "DENIED"),
    errors.DeletionDisabled: (405, "UNSUPPORTED"),
    errors.StillReferenced: (405, "DENIED"),
    errors.RequestInvalid: (400, "UNSUPPORTED"),
    errors.NoSuchPath: (404, "UNSUPPORTED"),
    errors.MethodNotAllowed: (405, "UNSUPPORTED"),
    errors.Unauthenticated: (401, "UNAUTHORIZED"),
    errors.Denied: (403, "DENIED"),
    errors.TooManyRequests: (429, "TOOMANYREQUESTS"),
    errors.Unknown: (404, "NOT_FOUND"),
    errors.AlreadyExists: (409, "CONFLICT"),
    errors.Conflict: (409, "CONFLICT"),
    errors.InputInvalid: (400, "INVALID"),
    errors.StorageFull: (507, "UNAVAILABLE"),
    errors.Unavailable: (503, "UNAVAILABLE"),
}

RETRY_AFTER_SECONDS = 5


def reply_to(error: errors.RegistryError) -> Reply:
    """The answer for an error: always `{"errors": [...]}` with at least one entry."""
    status, code = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    if isinstance(error, errors.ManifestBlobsUnknown):
        entries = [
            entry(code, f"this repository does not hold {digest}", {"digest": digest})
            for digest in error.digests
        ]
    else:
        entries = [entry(code, error.message, error.detail)]
    return json_content(status, {"errors": entries}, fields_for(error))


def fields_for(error: errors.RegistryError) -> dict[str, str]:
    if isinstance(error, errors.RangeInvalid):
        return {"Content-Range": f"bytes */{error.size}"}
    if isinstance(error, errors.NotAllowed):
        return {"Allow": ", ".join(error.allowed)}
    if isinstance(error, errors.Unauthenticated):
        return {"WWW-Authenticate": error.challenge} if error.challenge else {}
    if isinstance(error, errors.TooManyRequests):
        return {"Retry-After": str(math.ceil(error.retry_after))}
    if isinstance(error, errors.Unavailable):
        return {"Retry-After": str(max(RETRY_AFTER_SECONDS, math.ceil(error.retry_after or 0)))}
    return {}


def entry(code: str, message: str, detail: object = None) -> dict[str, object]:
    return {"code": code, "message": message} | ({} if detail is None else {"detail": detail})


def refuse(status: int, reason: BaseException | None) -> Reply:
    """The answer to a request that could not be parsed, or whose handler failed. Its bytes, which may be
    anything, are not repeated."""
    if status >= 500:
        message = "the registry failed; its log tells why"
        return json_content(500, {"errors": [entry("UNKNOWN", message)]})
    too_long = type(reason).__name__ == "LineTooLong"
    message = (
        "the request line or a header field is too long" if too_long else "this is not a valid HTTP request"
    )
    return json_content(431 if too_long else 400, {"errors": [entry("UNSUPPORTED", message)]})
