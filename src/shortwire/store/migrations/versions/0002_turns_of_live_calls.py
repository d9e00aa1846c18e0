"""An index on turns among the events: the turns of a call that lives are read from there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    turns = sa.text("kind = 'turn'")
    op.create_index("ix_events_turns", "events", ["call_id", "seq"], sqlite_where=turns, postgresql_where=turns)


def downgrade() -> None:
    op.drop_index("ix_events_turns", "events")
