"""What can be wrong with a request, as facts. HTTP gives them codes and statuses (api/errors.py).

Every message says what was wrong and, where that helps, what would be right: it is shown to people.
"""

from collections.abc import Sequence


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


class ManifestInvalid(RegistryError):
    """The manifest breaks a rule of its own format."""


class ManifestTooLarge(RegistryError):
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


class StorageFull(RegistryError):
    """There is no room left for what came."""


class Unavailable(RegistryError):
    """Index or storage does not answer now; the same request may work later."""
