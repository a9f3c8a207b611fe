"""A week of an organisation, on paper: what it adds to each table, what goes again, and what it asks for.

Rows for a push and bytes for a row are those of the filled index; the rest are the assumptions below.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

WEEK = 7 * 86400
YEAR_WEEKS = 52


@dataclass(frozen=True)
class Organisation:
    """300 developers whose CI builds ten images a working day for each of them, and who run what they build.

    `pulled` is how often a push is pulled, `signed_in` how many tokens are asked for by a push or a pull,
    `busiest` how much more than on average is asked for in the busiest hour. `kept_days`: how long an image
    of CI stays before a retention rule takes it; `kept_share` of the images stay for good.
    """

    pushes: int = 15_000
    pulled: int = 20
    signed_in: float = 1.0
    busiest: float = 10.0
    kept_days: int = 30
    kept_share: float = 0.05
    audit_days: int = 90
    undo_days: int = 7

    @property
    def pulls(self) -> int:
        return self.pushes * self.pulled

    @property
    def audit_rows(self) -> int:
        """Each push is entered, and each sign-in."""
        return round(self.pushes + (self.pushes + self.pulls) * self.signed_in)


CONTENT = ("blobs", "repository_blobs", "manifests", "manifest_blobs", "manifest_children", "tags")


class Growth(NamedTuple):
    """A table in this organisation: rows a week, how many of them go again, rows after a year, their bytes
    (on PostgreSQL, indexes included), and what limits the table."""

    table: str
    added: float
    removed: float
    after_a_year: float
    bytes: float
    limit: str


def growth(
    organisation: Organisation, rows: Mapping[str, int], bytes_of: Mapping[str, tuple[int, int]]
) -> Iterator[Growth]:
    """Of each table, the filled index's `rows` and `bytes_of` (rows, indexes) being given."""
    pushes = rows["tag_history"]  # each is entered there

    def of(table: str, added: float, removed: float, after: float, limit: str) -> Growth:
        return Growth(table, added, removed, after, after * sum(bytes_of[table]) / rows[table], limit)

    weeks_kept = organisation.kept_days / 7
    for table in CONTENT:
        added = organisation.pushes * rows[table] / pushes
        stays = added * organisation.kept_share
        after = stays * YEAR_WEEKS + (added - stays) * weeks_kept
        yield of(table, added, added - stays, after, "retention rules, then collection")
    history = float(organisation.pushes)
    yield of("tag_history", history, 0.0, history * YEAR_WEEKS, "nothing: a row for each move of a tag")
    audit = float(organisation.audit_rows)
    yield of("audit", audit, audit, audit * organisation.audit_days / 7, "`audit.keep_seconds`")
    sessions = organisation.pushes * rows["blobs"] / pushes
    hours = WEEK / 3600
    busiest = sessions / hours * organisation.busiest
    yield of("uploads", sessions, sessions, busiest, "`uploads.tombstone_seconds`: those of one hour")


class Demand(NamedTuple):
    """Requests a second, on average over the week and in the busiest hour."""

    what: str
    average: float
    busiest: float


def demand(
    organisation: Organisation, blobs_of_push: float, requests_of_pull: float = 9.0
) -> Sequence[Demand]:
    """What the organisation asks for. A pull is a manifest and its blobs; the bytes of blobs come on top."""
    pushes, pulls = organisation.pushes / WEEK, organisation.pulls / WEEK
    requests_of_push = 3 * blobs_of_push + 2
    return [
        Demand("pushes of images", pushes, pushes * organisation.busiest),
        Demand("pulls of images", pulls, pulls * organisation.busiest),
        Demand(
            "requests",
            pushes * requests_of_push + pulls * requests_of_pull,
            (pushes * requests_of_push + pulls * requests_of_pull) * organisation.busiest,
        ),
    ]
