"""A process dies with a call: what it told of turns is in the record when the next one has settled it."""

from __future__ import annotations

from pathlib import Path

from live_house import OURS, THEIRS, open_house

from shortwire.records import CallEvent, CallRecord, EventKind
from shortwire.terms import AgentId, CallDirection, CallId, CallState, HangupCause, Profile


async def test_turns_are_made_of_the_events(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        context = house.desk.context
        left = CallRecord(
            id=CallId("call_left_open"),
            direction=CallDirection.OUTBOUND,
            state=CallState.CONNECTED,
            profile=Profile.OPTIMIZED,
            number=THEIRS,
            our_number=OURS,
            agent_id=AgentId("agent_demo"),
            created_at=context.clock.wall_s() - 60,
            node=context.options.node,
        )
        await context.store.create(left)
        told = [{"index": index, "kind": "reply", "response_gap_ms": 900.0 + index} for index in range(3)]
        context.store.update(left.id, {"turns": told[:1]})  # as far as the record was kept
        for seq, turn in enumerate(told, 1):
            context.store.append(CallEvent(left.id, seq, context.clock.wall_s(), EventKind.TURN, turn))
        await context.store.flush()
        house.desk._settler.settle(await house.desk._settler.left_open())
        await house.until(lambda: not house.desk._settler._tasks, "the call to be settled")
        settled = await house.desk.get(left.id)
        assert (settled.state, settled.cause) == (CallState.ENDED, HangupCause.CARRIER_UNKNOWN)  # no such call there
        assert list(settled.turns) == told
