from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cloud.database import Database
from cloud.database.schema import metadata


def test_the_migrations_make_the_tables_of_the_code(desk_database: Database) -> None:
    def differences(connection: object) -> object:
        return compare_metadata(MigrationContext.configure(connection), metadata)  # type: ignore[arg-type]

    assert desk_database.run(differences) == []
