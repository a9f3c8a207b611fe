"""Reading what retention decides about."""

from collections.abc import Sequence

from auth.patterns import TagPattern
from registry.index import Connection, in_use, retention, retention_rules
from registry.index.repositories import RepositoryRow
from registry.index.retention_rules import RetentionRuleRow
from registry.services.retention.decision import Contents


def rules_of(
    connection: Connection, repository: str, tried: RetentionRuleRow | None = None
) -> list[RetentionRuleRow]:
    """The rules that are for a repository and count; with `tried` as if it had been set."""
    rules = [one for one in retention_rules.enabled(connection) if tried is None or one.name != tried.name]
    if tried is not None and not tried.disabled:
        rules.append(tried)
    return [rule for rule in rules if rule.repositories.matches(repository)]


def contents(
    connection: Connection, repository: RepositoryRow, rules: Sequence[RetentionRuleRow], now: float
) -> Contents:
    """A repository, read in batches: what changes meanwhile may be seen in part."""
    tags = list(retention.all_tags(connection, repository.id))
    manifests = {facts.digest: facts for facts in retention.all_manifests(connection, repository.id)}
    asked = any(rule.untagged_seconds is not None for rule in rules)
    return Contents(
        tags=[tag for tag in tags if tag.digest in manifests],
        manifests=manifests,
        untagged_since=retention.untagged_since(connection, repository.id) if asked else {},
        immutable=tuple(map(TagPattern, repository.immutable_tags)),
        in_use=in_use.of_repository(connection, repository.name, now),
        rules=rules,
    )
