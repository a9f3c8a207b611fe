"""The hot queries, each by the functions of registry.index that the services call, in their order.

A query draws its keys first (`draw`, not timed), then asks (`ask`), and must find something.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from benchmarks.scale.sample import Sample, Tagged
from benchmarks.scale.shape import SIGNATURE, user_name
from registry.index import (
    access,
    audit,
    blobs,
    credentials,
    grants,
    manifests,
    quotas,
    referrers,
    repositories,
    tags,
    uploads,
)

PAGE = 101
"""Rows of a page of 100: one more tells whether there are more."""


@dataclass(frozen=True)
class Query:
    """`grows` tells with what its cost grows, where it does, and who pays for it."""

    label: str
    ask: Callable[[Connection, Any], object]
    draw: Callable[[Connection, Sample], Any]
    grows: str | None = None


def set_quota(connection: Connection, prefix: str, now: float) -> object:
    quotas.set(connection, prefix, 1 << 50, now, "user:admin")
    return True


def tagged(_: Connection, sample: Sample) -> Tagged:
    found: Tagged = sample.choice(sample.tags)
    return found


def of_largest(_: Connection, sample: Sample) -> Tagged:
    found: Tagged = sample.choice(sample.tags_of_largest)
    return found


def deep(_: Connection, sample: Sample) -> Tagged:
    """A tag in the last tenth of the largest repository, with a page behind it where there is one."""
    names = sample.tags_of_largest
    return names[max(0, min(len(names) * 9 // 10, len(names) - PAGE - 1))]


def nothing(_: Connection, sample: Sample) -> Sample:
    return sample


def page_of_audit(**wanted: object) -> Callable[[Connection, Any], object]:
    def ask(connection: Connection, changing: dict[str, object]) -> object:
        return audit.page(connection, **{**wanted, **changing}, limit=PAGE)  # type: ignore[arg-type]

    return ask


def any_hash(_: Connection, sample: Sample) -> str:
    name = user_name(sample.choice(range(sample.scale.users)))
    return hashlib.sha256(f"{name}/1".encode()).hexdigest()


PULLS = (
    Query(
        "a manifest by tag",
        lambda connection, key: manifests.find_by_tag(connection, key.repository, key.tag),
        tagged,
    ),
    Query(
        "a manifest by tag, largest repository",
        lambda connection, key: manifests.find_by_tag(connection, key.repository, key.tag),
        of_largest,
    ),
    Query(
        "a manifest by digest",
        lambda connection, key: manifests.find_by_digest(connection, key.repository, key.digest),
        tagged,
    ),
    Query("a manifest's bytes", lambda connection, key: manifests.body(connection, key.manifest_id), tagged),
    Query(
        "a blob in a repository",
        lambda connection, key: blobs.find(connection, key.repository, key.digest),
        lambda _, sample: sample.choice(sample.blobs),
    ),
    Query(
        "the most common layer in a repository",
        lambda connection, key: blobs.find(connection, key.repository, key.digest),
        lambda _, sample: sample.choice(sample.holders),
    ),
    Query(
        "referrers of a manifest",
        lambda connection, key: referrers.page(connection, key.repository, key.digest, (), None, 1000),
        lambda _, sample: sample.choice(sample.subjects),
    ),
    Query(
        "referrers of one type",
        lambda connection, key: referrers.page(
            connection, key.repository, key.digest, [SIGNATURE], None, 1000
        ),
        lambda _, sample: sample.choice(sample.subjects),
    ),
)

LISTS = (
    Query(
        "100 tags of the largest repository, start",
        lambda connection, sample: tags.page(connection, sample.largest_id, None, PAGE),
        nothing,
    ),
    Query(
        "100 tags of the largest repository, deep",
        lambda connection, key: tags.page(connection, key.repository_id, key.tag, PAGE),
        deep,
    ),
    Query(
        "100 tags with digests, deep",
        lambda connection, key: tags.details(connection, key.repository_id, key.tag, PAGE),
        deep,
    ),
    Query(
        "100 repositories, start",
        lambda connection, _: repositories.page_visible(connection, None, PAGE, None),
        nothing,
    ),
    Query(
        "100 repositories, deep",
        lambda connection, name: repositories.page_visible(connection, name, PAGE, None),
        lambda _, sample: sample.choice(sample.repositories[:-1]),
    ),
    Query(
        "500 repositories for one who may see two teams and what is public",
        lambda connection, sample: repositories.page_visible(
            connection, None, 500, [f"{sample.organisation}/team-1/", f"{sample.organisation}/team-3/"]
        ),
        nothing,
        grows="repositories: all names are read, in order, until the page is full",
    ),
    Query(
        "repositories by a part of their names",
        lambda connection, _: repositories.page_visible(connection, None, PAGE, None, "app-00001"),
        nothing,
        grows="repositories: all names are read, in order, until the page is full",
    ),
)

RIGHTS = (
    Query(
        "what decides about a repository",
        lambda connection, name: access.facts(connection, name),
        lambda _, sample: sample.choice(sample.repositories),
    ),
    Query(
        "the grants and groups of a user",
        lambda connection, id: grants.of_identity(connection, id),
        lambda _, sample: sample.choice(sample.users),
    ),
    Query(
        "a credential by its hash",
        lambda connection, hash: credentials.find_by_hash(connection, hash),
        any_hash,
    ),
)


MANAGING = (
    Query("the audit, newest page", page_of_audit(), lambda *_: {}),
    Query(
        "the audit, deep",
        page_of_audit(),
        lambda _, sample: {"before": sample.choice(range(PAGE, sample.newest_entry))},
    ),
    Query(
        "the audit of a repository that is used much",
        page_of_audit(),
        lambda _, sample: {"target": sample.largest},
    ),
    Query(
        "the audit of a repository that is seldom used",
        page_of_audit(),
        lambda _, sample: {"target": sample.seldom},
    ),
    Query(
        "the audit of a user",
        page_of_audit(),
        lambda _, sample: {"actor": f"user:{user_name(0)}"},
    ),
    Query(
        "the audit, a rare action",
        page_of_audit(),
        lambda *_: {"action": "grant.add"},
        grows="the audit: all is read, from its newest entry on, until the page is full",
    ),
    Query(
        "what the largest repository holds",
        lambda connection, sample: repositories.counts(connection, sample.largest_id),
        nothing,
        grows="the repository: its manifests and blobs are summed up",
    ),
    Query(
        "set a quota",
        lambda connection, sample: set_quota(connection, sample.organisation, sample.now),
        nothing,
        grows="what lies below the prefix: it is counted, once",
    ),
    Query(
        "set a quota, largest organisation",
        lambda connection, sample: set_quota(connection, sample.large_organisation, sample.now),
        nothing,
        grows="what lies below the prefix: it is counted, once",
    ),
    Query(
        "running uploads, a page",
        lambda connection, _: uploads.page(connection, None, PAGE),
        nothing,
        grows="running uploads and tombstones of the last hour or so",
    ),
    Query(
        "states of running uploads",
        lambda connection, _: uploads.states(connection),
        nothing,
        grows="running uploads and tombstones of the last hour or so",
    ),
)


def all_queries() -> Sequence[Query]:
    """In the order of the page."""
    from benchmarks.scale.changes import CHANGES
    from benchmarks.scale.collecting import COLLECTION

    return (*PULLS, *LISTS, *RIGHTS, *CHANGES, *COLLECTION, *MANAGING)
