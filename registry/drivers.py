"""Find the storage drivers that are installed: ours, and those of the entry-point group."""

import functools
from importlib.metadata import EntryPoint, entry_points

from storage_drivers import StorageDriver

GROUP = "entrepot.storage_drivers"

_OURS = (
    EntryPoint("filesystem", "storage_drivers.filesystem:FilesystemDriver", GROUP),
    EntryPoint("memory", "storage_drivers.memory:MemoryDriver", GROUP),
    EntryPoint("s3", "storage_drivers.s3:S3Driver", GROUP),
)
"""Named here as well, so that they are found in a checkout that was never installed."""


@functools.cache
def _installed() -> dict[str, EntryPoint]:
    """All of them. It looks at every package that is installed, which takes a while."""
    return {point.name: point for point in (*entry_points(group=GROUP), *_OURS)}


def driver_names() -> list[str]:
    """What `storage.driver` may be, sorted."""
    return sorted(_installed())


def driver_class(name: str) -> type[StorageDriver]:
    """The driver that configuration calls `name`.

    Raises ValueError, in words for whoever configures, if there is none or if it can't be imported.
    """
    point = next((ours for ours in _OURS if ours.name == name), None) or _installed().get(name)
    if point is None:
        raise ValueError(f"no storage driver is called {name!r}; installed: {', '.join(driver_names())}")
    try:
        found = point.load()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"the storage driver {name!r} ({point.value}) can't be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, StorageDriver)):
        raise ValueError(f"the storage driver {name!r} ({point.value}) is no StorageDriver")  # noqa: TRY004 - a wrong setting
    return found


def check_delay(delay_seconds: float, driver: StorageDriver) -> None:
    """Raise ValueError when collected bytes would go before the URLs that clients were given for them."""
    if delay_seconds < driver.url_seconds:
        raise ValueError(
            f"gc.delay_seconds ({delay_seconds:g}) should be at least {driver.url_seconds:g}: for so long "
            "the URLs are good that clients are sent to"
        )
