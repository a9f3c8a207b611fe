"""Triggers that keep `quotas.used`, in the transaction of whoever changes what repositories hold.

In the database and not in the code: so nothing that writes can pass them by, nor a process of the version
before beside this one. The figure is the bytes of the manifests below a quota's prefix and of the blobs that
are held there, each once. A link that comes or goes changes it if no other repository below the prefix holds
the blob; the holders of the blob are walked until one is found. A quota that is entered is counted once.

Nothing is left to the planner: scalar queries are run for each row, by the index on what they compare. What
is joined, PostgreSQL may begin with a table as a whole, and it keeps the plan for calls to come.
"""

from collections.abc import Iterator

# ruff: noqa: S608 - the names are those below
BELOW = "({name} = {prefix} OR substr({name}, 1, length({prefix}) + 1) = {prefix} || '/')"

IN_RANGE = "({name} = {prefix} OR ({name} >= {prefix} || '/' AND {name} < {prefix} || '0'))"
"""The same, of all names, by their index: "0" is the character behind "/"."""

REPOSITORY_IS_BELOW = f"""
    (SELECT {BELOW.format(name="repositories.name", prefix="{prefix}")}
       FROM repositories WHERE repositories.id = {{repository_id}})"""

NOBODY_ELSE_HOLDS = f"""
    (SELECT 1 FROM repository_blobs AS other
      WHERE other.blob_id = {{blob_id}} AND other.repository_id <> {{all_but}}
        AND {REPOSITORY_IS_BELOW.format(prefix="{prefix}", repository_id="other.repository_id")}
      LIMIT 1) IS NULL"""

COUNT = f"""
    (SELECT coalesce(sum(blobs.size), 0) FROM blobs WHERE blobs.id IN
        (SELECT repository_blobs.blob_id FROM repository_blobs
           JOIN repositories ON repositories.id = repository_blobs.repository_id
          WHERE {IN_RANGE.format(name="repositories.name", prefix="{prefix}")}))
    + (SELECT coalesce(sum(manifests.size), 0) FROM manifests
         JOIN repositories ON repositories.id = manifests.repository_id
        WHERE {IN_RANGE.format(name="repositories.name", prefix="{prefix}")})"""


def statements(dialect: str) -> Iterator[str]:
    """What makes the triggers, and then counts the quotas that are there."""
    yield from _on_sqlite() if dialect == "sqlite" else _on_postgresql()
    yield f"UPDATE quotas SET used = {COUNT.format(prefix='quotas.prefix')}"


EVENTS = (("made", "INSERT", "NEW", "+"), ("gone", "DELETE", "OLD", "-"))


def _on_sqlite() -> Iterator[str]:
    """A trigger runs behind each row, before the next one is changed."""
    for name, event, row, sign in EVENTS:
        below = REPOSITORY_IS_BELOW.format(prefix="quotas.prefix", repository_id=f"{row}.repository_id")
        alone = NOBODY_ELSE_HOLDS.format(
            prefix="quotas.prefix", blob_id=f"{row}.blob_id", all_but=f"{row}.repository_id"
        )
        yield f"""
            CREATE TRIGGER quotas_link_{name} AFTER {event} ON repository_blobs
            WHEN EXISTS (SELECT 1 FROM quotas)
            BEGIN
                UPDATE quotas
                   SET used = used {sign} (SELECT size FROM blobs WHERE blobs.id = {row}.blob_id)
                 WHERE CASE WHEN {below} THEN {alone} ELSE 0 END;
            END"""
        yield f"""
            CREATE TRIGGER quotas_manifest_{name} AFTER {event} ON manifests
            WHEN EXISTS (SELECT 1 FROM quotas)
            BEGIN
                UPDATE quotas SET used = used {sign} {row}.size WHERE {below};
            END"""
    yield f"""
        CREATE TRIGGER quotas_begin AFTER INSERT ON quotas
        BEGIN
            UPDATE quotas SET used = {COUNT.format(prefix="NEW.prefix")} WHERE prefix = NEW.prefix;
        END"""


def _on_postgresql() -> Iterator[str]:
    """A trigger runs once behind a statement: it updates a quota once, and not once for each of a hundred
    thousand links of a repository that goes, for each update has to pass those before it.

    A quota is locked before it is looked what others hold: so each sees what the one before it brought. The
    lock on the table holds up a quota that is set meanwhile, and the one that sets it holds up these: it
    counts what is committed, and what is not counts itself.
    """
    is_below = REPOSITORY_IS_BELOW.format(prefix="quota.prefix", repository_id="changed.repository_id")
    alone = NOBODY_ELSE_HOLDS.format(
        prefix="quota.prefix", blob_id="link.blob_id", all_but="ALL (link.repository_ids)"
    )
    of_links = f"""
        SELECT sum((SELECT size FROM blobs WHERE blobs.id = link.blob_id)) INTO amount
          FROM (SELECT changed.blob_id, array_agg(changed.repository_id) AS repository_ids
                  FROM changed WHERE {is_below} GROUP BY changed.blob_id) AS link
         WHERE {alone}"""
    of_manifests = f"SELECT sum(changed.size) INTO amount FROM changed WHERE {is_below}"
    for table, singular, measure in (
        ("repository_blobs", "link", of_links),
        ("manifests", "manifest", of_manifests),
    ):
        yield f"""
            CREATE FUNCTION quotas_follow_{singular}s() RETURNS trigger LANGUAGE plpgsql AS $$
            DECLARE
                quota record;
                amount bigint;
            BEGIN
                FOR quota IN
                    WITH named AS MATERIALIZED (
                        SELECT (SELECT name FROM repositories WHERE id = one.repository_id) AS name
                          FROM (SELECT DISTINCT repository_id FROM changed) AS one)
                    SELECT prefix FROM quotas
                     WHERE EXISTS (SELECT 1 FROM named
                                    WHERE {BELOW.format(name="named.name", prefix="quotas.prefix")})
                     ORDER BY prefix
                       FOR NO KEY UPDATE OF quotas
                LOOP
                    {measure};
                    IF amount <> 0 THEN
                        UPDATE quotas
                           SET used = used + CASE TG_OP WHEN 'INSERT' THEN amount ELSE -amount END
                         WHERE prefix = quota.prefix;
                    END IF;
                END LOOP;
                RETURN NULL;
            END $$"""
        for name, event, row, _ in EVENTS:
            yield f"""
                CREATE TRIGGER quotas_{singular}_{name} AFTER {event} ON {table}
                REFERENCING {row} TABLE AS changed
                FOR EACH STATEMENT EXECUTE FUNCTION quotas_follow_{singular}s()"""
    yield f"""
        CREATE FUNCTION quotas_begin() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            LOCK TABLE quotas IN EXCLUSIVE MODE;
            UPDATE quotas SET used = {COUNT.format(prefix="NEW.prefix")} WHERE prefix = NEW.prefix;
            RETURN NULL;
        END $$"""
    yield """
        CREATE TRIGGER quotas_begin AFTER INSERT ON quotas
        FOR EACH ROW EXECUTE FUNCTION quotas_begin()"""
