"""Alembic migrations of the alarm database; run by `cloud.database` at every start."""
