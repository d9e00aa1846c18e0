"""What Alembic runs: our tables, on the connection and in the transaction that `migrate.py` opened."""

from __future__ import annotations

from alembic import context

from shortwire.store.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # SQLite has it, although Alembic does not assume so
    render_as_batch=True,  # SQLite alters tables by copying them
)
with context.begin_transaction():
    context.run_migrations()
