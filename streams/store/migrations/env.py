"""What Alembic runs around migrations: they go through the connection, and so the transaction, that it is handed."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
