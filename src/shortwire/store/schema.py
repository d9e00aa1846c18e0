"""The tables, once, for SQLite and PostgreSQL. Migrations must lead to exactly this; a test compares.

Ids are text and sort by time of creation, instants are seconds since the epoch. A later table (an
attempt of a campaign) joins by `calls.id`.
"""

from __future__ import annotations

import sqlalchemy as sa

__all__ = ["VERSION_TABLE", "calls", "events", "idempotency_keys", "metadata"]

VERSION_TABLE = "shortwire_schema"
"""Alembic's own table under our name: a PostgreSQL database may also hold somebody else's migrations."""

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> sa.types.TypeEngine[str]:
    # Compared byte by byte: paging is by id, and a locale's order differs from machine to machine.
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


calls = sa.Table(
    "calls",
    metadata,
    sa.Column("id", _id(), primary_key=True),
    sa.Column("direction", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("profile", sa.Text, nullable=False),
    sa.Column("number", sa.Text, nullable=False),
    sa.Column("our_number", sa.Text, nullable=False),
    sa.Column("agent_id", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("cause", sa.Text),
    sa.Column("cause_detail", sa.Text, nullable=False),
    sa.Column("disposition", sa.Text),
    sa.Column("call_sid", sa.Text),
    sa.Column("stream_sid", sa.Text),
    sa.Column("conversation_id", sa.Text),
    sa.Column("dialed_at", sa.Double),
    sa.Column("ringing_at", sa.Double),
    sa.Column("answered_at", sa.Double),
    sa.Column("connected_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Column("request", sa.JSON, nullable=False),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("turns", sa.JSON, nullable=False),
    sa.Column("latencies", sa.JSON, nullable=False),
    sa.Column("node", sa.Text, nullable=False),
    sa.Index("ix_calls_call_sid", "call_sid"),
    sa.Index("ix_calls_state_id", "state", "id"),
    # What a restart asks for; tiny, because almost every call has ended.
    sa.Index(
        "ix_calls_unfinished",
        "id",
        sqlite_where=sa.text("state <> 'ended'"),
        postgresql_where=sa.text("state <> 'ended'"),
    ),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("call_id", _id(), sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    # What a reader of a call that lives asks for (`so_far.py`).
    sa.Index(
        "ix_events_turns",
        "call_id",
        "seq",
        sqlite_where=sa.text("kind = 'turn'"),
        postgresql_where=sa.text("kind = 'turn'"),
    ),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    # SHA-256 of the key: bounded whatever the client sends, and nothing of the client's to leak.
    sa.Column("key_hash", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("call_id", _id(), sa.ForeignKey("calls.id", ondelete="CASCADE"), nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Index("ix_idempotency_keys_created_at", "created_at"),
    sa.Index("ix_idempotency_keys_call_id", "call_id"),
)
