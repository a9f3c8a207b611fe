"""What is set for repositories and holds on every path: immutable tags, and quotas."""

from collections.abc import Iterable
from functools import partial

from auth.patterns import TagPattern
from registry.index import Connection, Index, access, quotas, repositories, tags
from registry.oci.errors import QuotaExceeded, TagImmutable
from registry.services.access_cache import AccessCache, Epoch


def check_may_move(connection: Connection, repository: str, names: Iterable[str], digest: str) -> None:
    """Raise TagImmutable if one of these tags may not be pointed to this digest: it points elsewhere."""
    for name in held_immutable(connection, repository, names):
        current = tags.digest_of(connection, repository, name)
        if current is not None and current != digest:
            raise TagImmutable(repository, name)


def check_may_go(connection: Connection, repository: str, names: Iterable[str]) -> None:
    """Raise TagImmutable if one of these tags, which exist, may not be deleted."""
    for name in immutable(connection, repository, names):
        raise TagImmutable(repository, name)


def held_immutable(connection: Connection, repository: str, names: Iterable[str]) -> list[str]:
    """As `immutable`. Who asks for the same waits for the end of this transaction: of two first pushes, the
    second sees the first."""
    fixed = immutable(connection, repository, names)
    if fixed:
        repositories.lock(connection, repository)
    return fixed


def immutable(connection: Connection, repository: str, names: Iterable[str]) -> list[str]:
    """Those of the tags that a pattern of the repository makes immutable."""
    facts = access.facts(connection, repository)
    patterns = [] if facts is None else [TagPattern(text) for text in facts.immutable_tags]
    return [name for name in names if any(pattern.matches(name) for pattern in patterns)]


def check_quota(connection: Connection, repository: str, coming: int = 0) -> None:
    """Raise QuotaExceeded if below a prefix of the repository lies more than may, with `coming` bytes. In a
    transaction that took `quotas.lock_of_repository` first nobody else adds any."""
    for prefix, limit, used in quotas.of_repository(connection, repository):
        if used + coming > limit:
            raise QuotaExceeded(prefix, limit, coming)


class QuotaGate:
    """Refuses uploads that can't fit, before their bytes are sent. Whether a repository has a quota is
    remembered, so that the others pay nothing."""

    def __init__(self, index: Index, epoch: Epoch) -> None:
        self._index = index
        self._epoch = epoch
        self._limited: AccessCache[str, bool] = AccessCache(epoch, limit=50_000)

    async def check(self, repository: str, coming: int) -> None:
        """Raise QuotaExceeded if so many bytes can't fit. What is there already is counted again if it
        comes again: that is known only at the end."""
        if not self._epoch.is_current():
            await self._epoch.read()
        limited = self._limited.get(repository)
        if limited is None:
            epoch = self._epoch.value
            limits = await self._index.read(partial(quotas.of_repository, repository=repository))
            limited = bool(limits)
            self._limited.put(repository, limited, epoch)
        if limited:
            await self._index.read(partial(check_quota, repository=repository, coming=coming))
