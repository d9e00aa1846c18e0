"""`<Dial>`: legs to other parties, rung together or one after the other, and the bridge between two of them.

Page "twiml/dial". A leg is a call of its own with its own party, line, callbacks and status.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .fields import E164
from .recording import Recording
from .verbs import Dial, Number

if TYPE_CHECKING:
    from .call import Call

__all__ = ["dial"]


async def dial(call: Call, verb: Dial, base_url: str) -> dict[str, str]:
    """Until the dialled side has ended. Gives the fields of the action request."""
    if verb.conference is not None:
        return await _confer(call, verb)
    valid = [number for number in verb.numbers if _valid(number.address)]
    for number in verb.numbers:
        if number not in valid:
            call.notify(13224, f"not a number that can be dialled: {number.address}")
    if not valid:
        return _fields("failed", None, bridged=False)
    groups = [[number] for number in valid] if verb.sequential else [valid]
    legs: list[Call] = []
    try:
        for group in groups:
            answered = await _ring(call, verb, group, base_url, legs)
            if answered is not None:
                return await _bridge(call, answered, verb)
    finally:
        for leg in legs:
            leg.hang_up("dial")
    return _fields(legs[-1].status, legs[-1], bridged=False)


def _valid(address: str) -> bool:
    return address.startswith(("client:", "sip:")) or bool(E164.fullmatch(address))


def _fields(status: str, leg: Call | None, *, bridged: bool) -> dict[str, str]:
    fields = {"DialCallStatus": status, "DialBridged": "true" if bridged else "false"}
    if leg is None:
        return fields
    return {**fields, "DialCallSid": leg.sid, "DialCallDuration": str(leg.duration_s or 0)}


async def _ring(call: Call, verb: Dial, numbers: Sequence[Number], base_url: str, legs: list[Call]) -> Call | None:
    """The leg that answers first; the others stop ringing. None when nobody does."""
    ringing = [call.exchange.dial_leg(call, verb, number, base_url) for number in numbers]
    legs += ringing
    waiting = {asyncio.ensure_future(_outcome(leg)) for leg in ringing}
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for answer in (task.result() for task in done):
                if answer is not None:
                    for other in ringing:
                        if other is not answer:
                            other.hang_up("dial")
                    return answer
        return None
    finally:
        for task in waiting:
            task.cancel()


async def _outcome(leg: Call) -> Call | None:
    joinable = asyncio.ensure_future(leg.joinable.wait())
    ended = asyncio.ensure_future(leg.ended())
    try:
        await asyncio.wait({joinable, ended}, return_when=asyncio.FIRST_COMPLETED)
        return leg if leg.joinable.is_set() and not leg.ending_soon else None
    finally:
        joinable.cancel()
        ended.cancel()


async def _bridge(call: Call, leg: Call, verb: Dial) -> dict[str, str]:
    ours, theirs = call.line, leg.line
    assert ours is not None
    assert theirs is not None

    def to_them(spoken: bytes, _: bytes) -> None:
        theirs.play(spoken)

    def to_us(spoken: bytes, _: bytes) -> None:
        ours.play(spoken)

    def star(key: str) -> None:
        if key == "*" and verb.hangup_on_star:
            leg.hang_up("dial")

    recording = _recording(call, verb)
    ours.taps.append(to_them)
    theirs.taps.append(to_us)
    ours.key_taps.append(star)
    leg.set_time_limit(verb.time_limit_s)
    try:
        await leg.ended()
    finally:
        for line, tap in ((ours, to_them), (theirs, to_us)):
            if tap in line.taps:
                line.taps.remove(tap)
        if star in ours.key_taps:
            ours.key_taps.remove(star)
        ours.ignore_queue()
        if recording is not None:
            call.recordings.finish(recording)
    fields = _fields("completed", leg, bridged=True)
    return {**fields, "RecordingUrl": call.recording_url(recording)} if recording is not None else fields


def _recording(call: Call, verb: Dial) -> Recording | None:
    """`record-from-ringing` begins with the bridge too: while it rings this line is silent."""
    if verb.record == "do-not-record" or call.line is None:
        return None
    recording = Recording(
        call.line,
        call_sid=call.sid,
        source="DialVerb",
        channels=2 if verb.record.endswith("-dual") else 1,
        trim=verb.trim,
        callback=(verb.recording_callback, verb.recording_callback_method),
    )
    call.add_recording(recording)
    return recording


async def _confer(call: Call, verb: Dial) -> dict[str, str]:
    noun = verb.conference
    assert noun is not None
    began_ms = call.line.now_ms if call.line else 0.0
    room = call.exchange.room(noun.name)
    star: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def pressed(key: str) -> None:
        if key == "*" and verb.hangup_on_star and not star.done():
            star.set_result(key)

    assert call.line is not None
    call.line.key_taps.append(pressed)
    staying = asyncio.ensure_future(
        room.stay(call, muted=noun.muted, starts_it=noun.start_on_enter, ends_it=noun.end_on_exit)
    )
    either: set[asyncio.Future[Any]] = {staying, star}
    try:
        await asyncio.wait(either, timeout=verb.time_limit_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        staying.cancel()
        await asyncio.wait({staying})
        call.line.ignore_queue()
        if pressed in call.line.key_taps:
            call.line.key_taps.remove(pressed)
        call.exchange.leave_room(room)
    seconds = round((call.line.now_ms - began_ms) / 1000)
    return {"DialCallStatus": "answered", "DialCallSid": call.sid, "DialCallDuration": str(seconds),
            "DialBridged": "true"}  # fmt: skip
