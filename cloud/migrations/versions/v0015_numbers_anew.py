"""Numbers are written in another form: everything is counted anew at the next start."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forget that anything was counted."""
    _forget()


def downgrade() -> None:
    """Forget it again: an older version reads the older form."""
    _forget()


def _forget() -> None:
    op.execute("DELETE FROM tally")
    op.execute("DELETE FROM busy_source")
    op.execute("DELETE FROM cursor WHERE name = 'numbers'")
