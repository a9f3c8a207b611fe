"""What can be wrong with a request, as facts. HTTP gives them codes and statuses (api/errors.py).

Every message says what was wrong and, where that helps, what would be right: it is shown to people.
"""

from collections.abc import Sequence

from registry.oci.quoting import quoted
from registry.oci.sizes import said_size


class RegistryError(Exception):
    """The root. `detail` is any JSON value that a program could use."""

    def __init__(self, message: str, detail: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class NameInvalid(RegistryError):
    """The repository name does not follow the grammar."""


class TagInvalid(RegistryError):
    """The tag does not follow the grammar."""


class DigestInvalid(RegistryError):
    """The digest does not follow the grammar, or its algorithm is not supported."""


class DigestMismatch(RegistryError):
    """The bytes do not have the digest that was claimed."""

    def __init__(self, claimed: str, actual: str) -> None:
        super().__init__(
            f"the content has the digest {actual}, not {claimed} as claimed",
            {"claimed": claimed, "actual": actual},
        )


class SizeInvalid(RegistryError):
    """A length that was declared is not the length that came."""


class RepositoryUnknown(RegistryError):
    """No such repository, or none that the caller may see."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no repository is called {name!r}", {"name": name})


class BlobUnknown(RegistryError):
    """The blob is not in this repository."""

    def __init__(self, repository: str, digest: str) -> None:
        super().__init__(f"{repository} holds no blob {digest}", {"digest": digest})


class ManifestUnknown(RegistryError):
    """Neither tag nor digest is in this repository."""

    def __init__(self, repository: str, reference: str) -> None:
        super().__init__(f"{repository} holds no manifest {reference}", {"reference": reference})


class NotKept(ManifestUnknown):
    """What was there at that time, if anything was, is not to be had any more. The message says which."""

    def __init__(self, message: str, reference: str) -> None:
        RegistryError.__init__(self, message, {"reference": reference})


class ManifestInvalid(RegistryError):
    """The manifest breaks a rule of its own format."""


class BodyTooLarge(RegistryError):
    """The body is larger than is taken here."""


class ManifestTooLarge(BodyTooLarge):
    """The manifest is larger than this registry takes."""


class ManifestBlobsUnknown(RegistryError):
    """The manifest cites content that its repository does not hold."""

    def __init__(self, digests: Sequence[str]) -> None:
        super().__init__(f"the manifest cites {len(digests)} digest(s) that this repository does not hold")
        self.digests = tuple(digests)


class TooManyTags(RegistryError):
    """More `tag=` parameters than one request may carry."""


class UploadUnknown(RegistryError):
    """No such upload session in this repository: it ended, expired or never was."""

    def __init__(self, upload_id: str) -> None:
        super().__init__("no such upload session; start a new one with POST", {"upload": upload_id})


class WrongOffset(RegistryError):
    """The bytes do not start where the session ends. Nothing was taken; `offset` is the session's end."""

    def __init__(self, upload_id: str, offset: int, message: str) -> None:
        super().__init__(message, {"offset": offset})
        self.upload_id = upload_id
        self.offset = offset


class RangeInvalid(RegistryError):
    """No byte of the requested range exists; `size` is the length of the content in bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the range lies outside the content of {size} bytes", {"size": size})
        self.size = size


class TooManyRanges(RegistryError):
    """More byte ranges than one request may ask for."""


class PaginationInvalid(RegistryError):
    """`n` is not a number of entries."""


class PreconditionFailed(RegistryError):
    """`If-Match` names another manifest than the tag now points to."""


class NotAllowed(RegistryError):
    """The method is not for this path, now or ever; `allowed` are those that are."""

    allowed: Sequence[str] = ()


class DeletionDisabled(NotAllowed):
    """Deleting this kind of thing is switched off here."""


class StillReferenced(NotAllowed):
    """The thing to delete is part of something that stays."""


class RequestInvalid(RegistryError):
    """The HTTP request itself is malformed or ambiguous."""


class NoSuchPath(RegistryError):
    """Nothing is served at this path."""


class MethodNotAllowed(NotAllowed):
    """The path exists, but not for this method."""

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        super().__init__(f"{method} is not possible here; {', '.join(allowed)} would be")
        self.allowed = tuple(allowed)


class Unauthenticated(RegistryError):
    """Nobody is signed in, or what was shown does not count. `scopes` are what a token would need, as
    `repository:acme/app:pull`; `problem` is `invalid_token`, `insufficient_scope` or empty (RFC 6750
    section 3.1). The api adds `challenge`, which depends on how the client reaches the registry."""

    def __init__(
        self, message: str, scopes: Sequence[str] = (), problem: str = "", detail: object = None
    ) -> None:
        super().__init__(message, detail)
        self.scopes = tuple(scopes)
        self.problem = problem
        self.challenge = ""


class Denied(RegistryError):
    """Who is signed in may not do this."""


class TagImmutable(Denied):
    """The tag exists, and a pattern of its repository says that it stays as it is."""

    def __init__(self, repository: str, tag: str) -> None:
        super().__init__(
            f"the tag {tag} of {repository} is immutable: it can neither be moved nor deleted; push under "
            "another tag",
            {"repository": repository, "tag": tag},
        )


class QuotaExceeded(Denied):
    """What came would not fit into a quota; all in bytes, which the message says rounded."""

    def __init__(self, prefix: str, limit: int, coming: int) -> None:
        """What is used is not told: below the prefix may be repositories that the client must not know of."""
        room = f"no room for {said_size(coming)} more" if coming else "no room left"
        super().__init__(
            f"the quota of {prefix} is {said_size(limit)}, and there is {room}: delete something, or ask for "
            "more",
            {"prefix": prefix, "quota": limit, "coming": coming},
        )


class TooManyRequests(RegistryError):
    """Too many failed tries to sign in; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unknown(RegistryError):
    """Nothing of this kind is called that, or nothing that the caller may see."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"no {kind} is called {quoted(name)}", {"kind": kind, "name": name})


class AlreadyExists(RegistryError):
    """Something else has that name."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"a {kind} called {quoted(name)} is there already", {"kind": kind, "name": name})


class Conflict(RegistryError):
    """It can't be done as things are; the message says what to do first."""


class InputInvalid(RegistryError):
    """What was given is not what is taken. `problems` are pairs of a field and what it should be; the field
    is empty for the whole."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__(
            "; ".join(f"{field}: {problem}" if field else problem for field, problem in problems),
            {"fields": [{"field": field, "problem": problem} for field, problem in problems]},
        )


class StorageFull(RegistryError):
    """There is no room left for what came."""


class Unavailable(RegistryError):
    """Index or storage does not answer now; the same request may work later. `retry_after`: the seconds after
    which the storage itself wants to be asked again, if it said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Damaged(Unavailable):
    """What is stored is not what was pushed, or not all of it."""
