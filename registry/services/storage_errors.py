"""The storage drivers' errors as the registry's own."""

from collections.abc import Iterator
from contextlib import contextmanager

import storage_drivers
from registry.oci.errors import StorageFull, Unavailable
from storage_drivers import NoSpace, StorageError


@contextmanager
def translated_errors() -> Iterator[None]:
    """NoSpace becomes StorageFull, any other storage error Unavailable. A driver's message may tell of
    paths and hosts, so it goes to the log (as the cause) and not to the client."""
    try:
        yield
    except NoSpace as error:
        raise StorageFull("the storage has no room left") from error
    except StorageError as error:
        retry_after = error.retry_after if isinstance(error, storage_drivers.Unavailable) else None
        raise Unavailable("the storage can't be used now", retry_after) from error
