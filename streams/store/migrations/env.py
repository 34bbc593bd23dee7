"""What Alembic runs around migrations: they go through the connection, and so the transaction, that it is handed."""

from alembic import context

from streams.store.outbox import tables as sink_tables

context.configure(
    connection=context.config.attributes["connection"],
    # The tables of the sink are in the same metadata once their module was imported.
    target_metadata=sink_tables.endpoints.metadata,
)
with context.begin_transaction():
    context.run_migrations()
