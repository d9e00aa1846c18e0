"""The turns of calls that live. Their rows have none before the end: each turn is stored once, as an event."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shortwire.beside import resting
from shortwire.records import CallRecord, EventKind
from shortwire.terms import CallState

from .schema import events

__all__ = ["Turns", "stored_turns", "with_turns"]

Turns = Mapping[str, Sequence[Mapping[str, Any]]]
"""By call, in order."""

_CALLS: Final = 200
"""Asked for with one statement: a database takes only so many values."""
_EVENTS: Final = 20
"""Rows that are read between two rests, as in `sql.py`."""
# Written out, not bound: only then does the database see that the partial index fits.
_IS_TURN: Final = sa.text(f"events.kind = '{EventKind.TURN}'")


def stored_turns(connection: Connection, records: Sequence[CallRecord]) -> Turns:
    """The turns so far of those that have not ended."""
    living = [record.id for record in records if record.state is not CallState.ENDED]
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for at in range(0, len(living), _CALLS):
        query = (
            sa.select(events.c.call_id, events.c.data)
            .where(_IS_TURN, events.c.call_id.in_(living[at : at + _CALLS]))
            .order_by(events.c.call_id, events.c.seq)
        )
        for rows in resting(connection.execute(query).yield_per(_EVENTS).partitions()):
            for call_id, data in rows:
                found[call_id].append(data)
    return found


def with_turns(record: CallRecord, turns: Turns) -> CallRecord:
    """The record of a call that lives, with its turns so far."""
    told = turns.get(record.id)
    return dataclasses.replace(record, turns=tuple(told)) if told else record
