"""What an adoption did, and how far it is."""

from dataclasses import dataclass, field
from typing import NamedTuple


class Problem(NamedTuple):
    """What was left out: `what` is a repository, `repository:tag` or `repository@digest`."""

    what: str
    reason: str


@dataclass(slots=True)
class Report:
    """Counts of one run. `all_manifests` is how many the tree holds; `bytes_read` were read to verify them.

    In a dry run `..._added` is what would be. Tags that are `newer_here`, and manifests that were
    `deleted_here`, were left as they are.
    """

    repositories: int = 0
    all_manifests: int = 0
    manifests_added: int = 0
    manifests_known: int = 0
    deleted_here: int = 0
    blobs_added: int = 0
    bytes_added: int = 0
    bytes_read: int = 0
    tags_added: int = 0
    tags_moved: int = 0
    tags_unchanged: int = 0
    newer_here: int = 0
    problems: list[Problem] = field(default_factory=list)
    left_out: int = 0

    def leave_out(self, what: str, reason: str, manifests: int = 0) -> None:
        """Note what can't be adopted, and how many of the manifests that is."""
        self.problems.append(Problem(what, reason))
        self.left_out += manifests

    @property
    def manifests_done(self) -> int:
        return self.manifests_added + self.manifests_known + self.deleted_here + self.left_out
