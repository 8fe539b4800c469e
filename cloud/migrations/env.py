"""Alembic's entry: migrate on the connection that `Database.migrate` opened and locked."""

from alembic import context

from cloud.database.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
