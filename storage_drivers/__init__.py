"""Where blob bytes live. Knows nothing of digests' meaning, of repositories or of HTTP."""

from storage_drivers.adoptable import Adoptable
from storage_drivers.base import (
    Defective,
    Interrupted,
    LocalFile,
    NoSpace,
    NotFound,
    Object,
    Observer,
    Run,
    SignedUrl,
    Stat,
    StorageDriver,
    StorageError,
    Unavailable,
    Upload,
)

__all__ = [
    "Adoptable",
    "Defective",
    "Interrupted",
    "LocalFile",
    "NoSpace",
    "NotFound",
    "Object",
    "Observer",
    "Run",
    "SignedUrl",
    "Stat",
    "StorageDriver",
    "StorageError",
    "Unavailable",
    "Upload",
]
