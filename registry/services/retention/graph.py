"""What holds what in a repository: indexes what they list, subjects their referrers."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from registry.index.retention import ManifestFacts


class Graph:
    """Manifests by their digests. Of what they cite only what is here counts."""

    def __init__(self, manifests: Mapping[str, ManifestFacts]) -> None:
        self._manifests = manifests
        self._listed: dict[str, list[str]] = {}
        self._listers: dict[str, list[str]] = {}
        self._followers: dict[str, list[str]] = {}
        for digest, facts in manifests.items():
            for child in facts.children:
                if child in manifests:
                    self._listed.setdefault(digest, []).append(child)
                    self._listers.setdefault(child, []).append(digest)
            if facts.subject in manifests:
                self.follow(digest, str(facts.subject))

    def follow(self, digest: str, subject: str) -> None:
        """From now on a manifest goes with another one."""
        self._followers.setdefault(subject, []).append(digest)

    def holder(self, digest: str) -> str | None:
        """One of the manifests that hold another one: an index, else its subject."""
        if digest in self._listers:
            return self._listers[digest][0]
        subject = self._manifests[digest].subject
        return subject if subject in self._manifests else None

    def held_by(self, digest: str) -> Sequence[str]:
        """What a manifest holds directly."""
        return [*self._listed.get(digest, ()), *self._followers.get(digest, ())]

    def with_listers(self, digests: Iterable[str]) -> frozenset[str]:
        """Those of the digests that are here, and every index above them."""
        here = (digest for digest in digests if digest in self._manifests)
        return frozenset(digest for digest, _ in _walk(here, self._listers_of, set()))

    def pulled_at(self, digest: str) -> float | None:
        """The last pull of a manifest: of an index, also that of anything below it."""
        listed = (one for one, _ in _walk([digest], self._listed_by, set()))
        pulls = (self._manifests[one].pulled_at for one in listed)
        return max((at for at in pulls if at is not None), default=None)

    def spread(
        self, dropped: Mapping[str, str], kept: Collection[str]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """What goes when some manifests are `dropped`, each by a rule, unless they are `kept` as well.

        The first answer has each that goes, with its rule: what is dropped and all below it, without what
        stays and all below that. What has nothing to do with anything dropped stays. The second answer has
        those that stay only because another one holds them, with that one.
        """
        rules: dict[str, str] = {}
        seen: set[str] = set()
        for root in sorted(dropped):
            rules |= {digest: dropped[root] for digest, _ in _walk([root], self.held_by, seen)}
        staying = [digest for digest in self._manifests if digest not in rules or digest in kept]
        holders = dict(_walk(staying, self.held_by, set()))
        going = {digest: rule for digest, rule in rules.items() if digest not in holders}
        return going, {digest: holder for digest, holder in holders.items() if holder is not None}

    def _listed_by(self, digest: str) -> Sequence[str]:
        return self._listed.get(digest, ())

    def _listers_of(self, digest: str) -> Sequence[str]:
        return self._listers.get(digest, ())


def _walk(
    roots: Iterable[str], following: Callable[[str], Sequence[str]], seen: set[str]
) -> Iterator[tuple[str, str | None]]:
    """Each digest that can be reached and was not `seen`, once, and from where; roots first, from nowhere."""
    waiting: list[tuple[str, str | None]] = []
    for root in roots:
        if root not in seen:
            seen.add(root)
            waiting.append((root, None))
    for digest, origin in waiting:
        yield digest, origin
        for other in following(digest):
            if other not in seen:
                seen.add(other)
                waiting.append((other, digest))
