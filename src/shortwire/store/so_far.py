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

from .schema import calls, events

__all__ = ["Turns", "stored_turns", "with_turns"]

Turns = Mapping[str, Sequence[Mapping[str, Any]]]
"""By call, in order."""

_EVENTS: Final = 20
"""Rows that are read between two rests, as in `sql.py`."""
_LIVES: Final = sa.text(f"calls.state <> '{CallState.ENDED.value}'")
_IS_TURN: Final = sa.text(f"events.kind = '{EventKind.TURN}'")
# Both written out, not bound: only then does the database see that the partial indexes fit. A range instead of the ids:
# two hundred of them are put into a statement for milliseconds, in which the interpreter does nothing else.
_LIVING: Final = sa.select(calls.c.id).where(
    _LIVES, calls.c.id.between(sa.bindparam("first", type_=sa.Text), sa.bindparam("last", type_=sa.Text))
)
_TURNS: Final = (
    sa.select(events.c.call_id, events.c.data)
    .where(_IS_TURN, events.c.call_id.in_(_LIVING))
    .order_by(events.c.call_id, events.c.seq)
)


def stored_turns(connection: Connection, records: Sequence[CallRecord]) -> Turns:
    """The turns so far of those that have not ended."""
    living = [record.id for record in records if record.state is not CallState.ENDED]
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    if living:
        rows = connection.execute(_TURNS, {"first": min(living), "last": max(living)})
        for portion in resting(rows.yield_per(_EVENTS).partitions()):
            for call_id, data in portion:
                found[call_id].append(data)
    return found


def with_turns(record: CallRecord, turns: Turns) -> CallRecord:
    """The record of a call that lives, with its turns so far."""
    told = None if record.state is CallState.ENDED else turns.get(record.id)
    return dataclasses.replace(record, turns=tuple(told)) if told else record
