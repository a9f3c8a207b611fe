"""What the journal asks of the index each minute costs by what is new, and not by what is there."""

import pytest

from registry.index import Connection, Index
from registry.index.journal import NEW_MANIFESTS, NEW_REPOSITORIES, NEW_TAGS
from registry.index.statements import Statement


@pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("statement", "used"),
    [
        (NEW_REPOSITORIES, "ix_repositories_journaled"),
        (NEW_MANIFESTS, "ix_manifests_journaled"),
        (NEW_TAGS, "ix_tag_history_journaled"),
    ],
)
async def test_only_what_is_new_is_looked_at(index: Index, statement: Statement, used: str) -> None:
    def plan(connection: Connection) -> str:
        statement.all(connection, {"limit": 1})
        compiled = statement._compiled["sqlite"]
        given = compiled.given({"limit": 1})
        driver = connection.connection.driver_connection
        assert driver is not None
        return str(driver.execute(f"EXPLAIN QUERY PLAN {compiled.text}", given).fetchall())

    told = await index.read(plan)
    assert used in told, told
