"""What every `CallStore` must do. The same tests for memory, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import dataclasses
from types import MappingProxyType

import pytest

from shortwire.errors import Conflict, StoreError
from shortwire.ports import CallStore
from shortwire.records import CallRecord, EventKind, StoreHealth
from shortwire.terms import CallId, CallSid, CallState, Disposition, HangupCause

FULL = {
    "state": CallState.ENDED,
    "cause": HangupCause.AGENT_ENDED,
    "cause_detail": "the agent's words: „tschüß“ 👋",
    "disposition": Disposition.ANSWERED,
    "call_sid": CallSid("CA" + "0" * 32),
    "stream_sid": "MZ1",
    "conversation_id": "conv_1",
    "dialed_at": 1_800_000_001.123456,
    "ringing_at": 1_800_000_002.0,
    "answered_at": 1_800_000_003.5,
    "connected_at": 1_800_000_003.75,
    "ended_at": 1_800_000_060.0,
    "request": {"prompt": "Be kind.", "dynamic_variables": {"n": 1, "x": 1.5, "yes": True, "name": "Ana"}},
    "metadata": {"nested": {"list": [1, "two", None]}, "": "empty key"},
    "turns": ({"speaker": "party", "text": "hello"}, {"speaker": "agent", "gap_ms": 412.5}),
    "latencies": {"response_gap_ms": {"p50": 400, "p95": None}},
    "node": "node-1",
}


def test_it_is_a_call_store(store):
    port: CallStore = store
    for name in ("create", "update", "append", "get", "by_call_sid", "list", "events", "unfinished", "flush", "close"):
        assert callable(getattr(port, name))


async def test_a_created_call_is_found_as_it_was(store, make_call):
    call = make_call(**FULL)
    assert await store.create(call) == call
    found = await store.get(call.id)
    assert found == call
    assert isinstance(found.state, CallState)
    assert isinstance(found.cause, HangupCause)
    assert isinstance(found.turns, tuple)


async def test_a_call_with_only_the_required_fields(store, make_call):
    call = make_call()
    assert await store.create(call) == call
    assert await store.get(call.id) == call


async def test_what_does_not_exist_is_none_or_empty(store):
    assert await store.get(CallId("call_nobody")) is None
    assert await store.get(CallId("nul \0 and half a pair \ud800")) is None
    assert await store.by_call_sid(CallSid("CA1")) is None
    assert list(await store.list()) == []
    assert list(await store.list(state="no such state", before=CallId("\0"))) == []
    assert list(await store.events(CallId("call_nobody"))) == []
    assert list(await store.unfinished()) == []


async def test_a_read_sees_every_update_before_it(store, make_call):
    call = await store.create(make_call())
    store.update(call.id, {"state": CallState.DIALING, "call_sid": CallSid("CA7")})
    store.update(call.id, {"state": CallState.RINGING, "ringing_at": 5.5})
    found = await store.get(call.id)
    assert (found.state, found.call_sid, found.ringing_at) == (CallState.RINGING, "CA7", 5.5)
    store.update(call.id, {"state": CallState.ENDED, "cause": HangupCause.BUSY, "turns": ({"a": 1},)})
    assert list(await store.unfinished()) == []
    assert (await store.by_call_sid(CallSid("CA7"))).turns == ({"a": 1},)
    store.update(call.id, {"cause": None})
    assert (await store.get(call.id)).cause is None


async def test_the_turns_of_a_call_that_lives_are_those_that_were_told(store, make_call, make_event):
    quiet, talks, over = [
        await store.create(make_call(number, state=CallState.CONNECTED, call_sid=CallSid(f"CA{number}")))
        for number in (1, 2, 3)
    ]
    for call in (talks, over):
        store.append(make_event(call, 1, EventKind.TURN, index=0, party="hello"))
        store.append(make_event(call, 2, EventKind.PARTY_SAID, text="hello"))
        store.append(make_event(call, 3, EventKind.TURN, index=1))
    told = ({"index": 0, "party": "hello"}, {"index": 1})
    store.update(over.id, {"state": CallState.ENDED, "turns": (*told, {"index": 2})})
    assert (await store.get(talks.id)).turns == told
    assert (await store.by_call_sid(CallSid("CA2"))).turns == told
    assert [(call.id, call.turns) for call in await store.unfinished()] == [(quiet.id, ()), (talks.id, told)]
    assert [call.turns for call in await store.list()] == [(*told, {"index": 2}), told, ()]


async def test_all_fields_but_id_and_birth_can_change(store, make_call):
    call = await store.create(make_call())
    store.update(call.id, FULL)
    assert await store.get(call.id) == dataclasses.replace(call, **FULL)
    assert store.health().dropped == 0


async def test_values_are_taken_when_they_are_given(store, make_call):
    metadata = {"k": 1}
    call = await store.create(make_call())
    store.update(call.id, {"metadata": metadata})
    metadata["k"] = 2
    assert (await store.get(call.id)).metadata == {"k": 1}


async def test_text_no_database_likes_is_made_harmless(store, make_call, make_event):
    nasty = "nul \0, half a pair \ud83d, quote ' \" \\u0000 \\ ; DROP TABLE calls; --\n\x1b[31m"
    clean = nasty.replace("\0", "�").replace("\ud83d", "�")
    call = await store.create(make_call(cause_detail=nasty, metadata={nasty: [nasty]}))
    store.append(make_event(call, 1, EventKind.PARTY_SAID, text=nasty))
    found = await store.get(call.id)
    assert found.cause_detail == clean
    assert found.metadata == {clean: [clean]}
    assert (await store.events(call.id))[0].data == {"text": clean}


async def test_views_and_numbers_that_json_lacks(store, make_call):
    call = await store.create(make_call(request=MappingProxyType({"a": (1, 2)}), latencies={"ms": float("nan")}))
    found = await store.get(call.id)
    assert found.request == {"a": [1, 2]}
    assert found.latencies == {"ms": None}


@pytest.mark.parametrize(
    "changes",
    [
        {"no_such_field": 1},
        {"id": "call_other"},
        {"created_at": 1.0},
        {"state": "no such state"},
        {"state": None},
        {"ended_at": "yesterday"},
        {"ended_at": float("inf")},
        {"number": 14155550123},
        {"metadata": {"object": object()}},
    ],
    ids=lambda changes: "-".join(map(str, changes)),
)
async def test_a_change_that_cannot_be_is_counted_and_changes_nothing(store, make_call, changes):
    call = await store.create(make_call())
    store.update(call.id, changes)
    assert await store.get(call.id) == call
    assert store.health().dropped == 1


async def test_a_call_that_cannot_be_stored_is_an_error(store, make_call):
    with pytest.raises(StoreError):
        await store.create(make_call(metadata={"object": object()}))
    assert list(await store.list()) == []


async def test_events_come_in_their_order_and_after_a_number(store, make_call, make_event):
    call, other = await store.create(make_call(1)), await store.create(make_call(2))
    told = [make_event(call, seq, text=f"number {seq}", ms=seq / 3) for seq in range(1, 8)]
    store.append(make_event(other, 1))
    for event in told:
        store.append(event)
    assert list(await store.events(call.id)) == told
    assert list(await store.events(call.id, after=5)) == told[5:]
    assert list(await store.events(call.id, after=7)) == []


async def test_an_event_told_twice_is_kept_once(store, make_call, make_event):
    call = await store.create(make_call())
    store.append(make_event(call, 1, text="first"))
    await store.flush()
    store.append(make_event(call, 1, text="second"))
    store.append(make_event(call, 2))
    assert [event.data for event in await store.events(call.id)] == [{"text": "first"}, {}]
    assert store.health().dropped == 1


async def test_what_belongs_to_no_call_is_dropped_and_harms_nothing_else(store, make_call, make_event):
    call, stranger = await store.create(make_call(1)), make_call(2)
    for seq in range(1, 10):
        store.append(make_event(call, seq))
        if seq in (3, 4, 8):
            store.append(make_event(stranger, seq))
    store.update(stranger.id, {"state": CallState.ENDED})
    store.update(call.id, {"state": CallState.RINGING})
    await store.flush()
    assert [event.seq for event in await store.events(call.id)] == [*range(1, 10)]
    assert (await store.get(call.id)).state is CallState.RINGING
    assert store.health() == StoreHealth(pending=0, dropped=4, last_error="")


async def test_an_event_that_is_no_data_is_counted(store, make_call, make_event):
    call = await store.create(make_call())
    store.append(make_event(call, 1, what=object()))
    assert list(await store.events(call.id)) == []
    assert store.health().dropped == 1


async def test_the_list_is_newest_first_and_pages(store, make_call):
    made = [await store.create(make_call(number)) for number in (3, 1, 5, 2, 4)]
    ids = sorted((call.id for call in made), reverse=True)
    assert [call.id for call in await store.list()] == ids
    first = await store.list(limit=2)
    assert [call.id for call in first] == ids[:2]
    assert [call.id for call in await store.list(limit=2, before=first[-1].id)] == ids[2:4]
    assert [call.id for call in await store.list(limit=2, before=ids[3])] == ids[4:]
    assert list(await store.list(limit=0)) == []


async def test_order_is_by_bytes_whatever_the_locale(store, make_call):
    ids = ["call_0a", "call_0B", "call_1", "call_a", "call_A"]
    for call_id in ids:
        await store.create(make_call(id=CallId(call_id)))
    assert [call.id for call in await store.list()] == sorted(ids, reverse=True)
    assert [call.id for call in await store.list(before=CallId("call_A"))] == ["call_1", "call_0a", "call_0B"]


async def test_the_list_filters_by_state(store, make_call):
    for number in range(1, 7):
        state = CallState.ENDED if number % 2 else CallState.CONNECTED
        await store.create(make_call(number, state=state))
    assert [int(call.id[5:]) for call in await store.list(state="ended")] == [5, 3, 1]
    assert [int(call.id[5:]) for call in await store.list(state=CallState.CONNECTED, limit=2)] == [6, 4]


async def test_unfinished_is_all_but_ended_oldest_first(store, make_call):
    for number, state in enumerate(CallState, start=1):
        await store.create(make_call(number, state=state))
    found = await store.unfinished()
    assert [call.state for call in found] == [state for state in CallState if state is not CallState.ENDED]


async def test_the_newest_call_wins_for_a_repeated_sid(store, make_call):
    for number in (1, 3, 2):
        await store.create(make_call(number, call_sid=CallSid("CA1")))
    assert (await store.by_call_sid(CallSid("CA1"))).id == make_call(3).id


async def test_the_same_id_twice(store, make_call):
    call = await store.create(make_call())
    assert await store.create(make_call()) == call  # told again: nothing new
    with pytest.raises(Conflict):
        await store.create(make_call(number=1, agent_id="agent_2"))
    assert [*await store.list()] == [call]


async def test_an_idempotency_key_gives_the_earlier_call(store, make_call):
    first = await store.create(make_call(1), idempotency_key="k", fingerprint="f")
    store.update(first.id, {"state": CallState.RINGING})
    again = await store.create(make_call(2), idempotency_key="k", fingerprint="f")
    assert again == dataclasses.replace(first, state=CallState.RINGING)
    with pytest.raises(Conflict, match="Idempotency-Key"):
        await store.create(make_call(3), idempotency_key="k", fingerprint="another request")
    other = await store.create(make_call(4), idempotency_key="K" * 10_000, fingerprint="f")
    assert [call.id for call in await store.list()] == [other.id, first.id]


async def test_the_same_key_at_the_same_moment_makes_one_call(store, make_call):
    made = await asyncio.gather(
        *(store.create(make_call(number), idempotency_key="k", fingerprint="f") for number in range(1, 21))
    )
    assert len({call.id for call in made}) == 1
    assert len(await store.list()) == 1


async def test_a_key_is_kept_for_a_day(store, make_call, hand_clock):
    first = await store.create(make_call(1), idempotency_key="k", fingerprint="f")
    hand_clock.wall += 24 * 3600 - 1
    assert (await store.create(make_call(2), idempotency_key="k", fingerprint="f")).id == first.id
    hand_clock.wall += 2
    assert (await store.create(make_call(3), idempotency_key="k", fingerprint="g")).id == make_call(3).id
    assert (await store.create(make_call(4), idempotency_key="k", fingerprint="g")).id == make_call(3).id


async def test_a_conflict_harms_no_neighbour(store, make_call):
    await store.create(make_call(1), idempotency_key="k", fingerprint="f")
    results = await asyncio.gather(
        store.create(make_call(2)),
        store.create(make_call(3), idempotency_key="k", fingerprint="other"),
        store.create(make_call(4)),
        return_exceptions=True,
    )
    assert isinstance(results[1], Conflict)
    assert [result.id for result in results if isinstance(result, CallRecord)] == [make_call(2).id, make_call(4).id]
    assert len(await store.list()) == 3


async def test_after_close_nothing_is_accepted_and_everything_says_so(store, make_call, make_event):
    call = await store.create(make_call())
    await store.close()
    await store.close()
    store.update(call.id, {"state": CallState.ENDED})
    store.append(make_event(call, 1))
    assert store.health().dropped == 2
    for attempt in (store.create(make_call(2)), store.get(call.id), store.list(), store.flush(), store.unfinished()):
        with pytest.raises(StoreError, match="closed"):
            await attempt
