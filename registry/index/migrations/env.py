"""Alembic runs this file for each command; `upgrade` hands it the connection, in a transaction."""

from alembic import context

from registry.index.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by building it anew
)
context.run_migrations()
