"""What a driver may offer beyond the protocol: to show files that others left in its place.

So blobs of another registry can be served from where they lie. Their locations are those that `files` tells;
`stat`, `read`, `locate` and `delete` take them like any other. `scan` leaves them out: it lists what `commit`
made.
"""

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from storage_drivers.base import Object


@runtime_checkable
class Adoptable(Protocol):
    """A driver in whose place others can have left files."""

    def files(self, under: str) -> AsyncIterator[Object]:
        """Every file below the folder `under`, in any order; none if there is no such folder.

        Links are not followed. Raises NotFound for a folder that is not in the driver's place.
        """
        ...
