"""A tape through this build's session: what would it have sent, and is that what was sent then?

Sans-I/O. The tape is the clock: every instant the session is told is one of the call's. Inputs are the messages
read, the driver's notes and ticks; everything else on the tape is what the session did, and is compared byte by
byte with what it does now. Agent audio that had been converted is replayed as the mu-law that was written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import SequenceMatcher
from typing import Any

from ..errors import UsageError
from ..terms import HangupCause
from .options import Limits
from .session import CallSession, SessionOptions
from .side import SideLog
from .tape import Kind, Record, Tape

__all__ = ["Difference", "Replay", "Sent", "replay", "replay_options", "sent_then"]

_AUDIO_OUT = (Kind.DOWNLINK_AUDIO, Kind.DOWNLINK_DROPPED)


@dataclass(frozen=True, slots=True)
class Sent:
    """One message to one side."""

    to: str
    """"phone" or "agent"."""
    what: str
    """"audio" (data: its payload, base64) or "message" (data: its text)."""
    data: bytes
    at_ns: int = field(compare=False, default=0)


@dataclass(frozen=True, slots=True)
class Difference:
    """Where this build would have sent something else. One of the two is empty where something was left out."""

    then: tuple[Sent, ...]
    now: tuple[Sent, ...]

    @property
    def at_ns(self) -> int:
        return (self.then or self.now)[0].at_ns


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it."""

    sent: int
    """Messages that this build sent."""
    differences: tuple[Difference, ...]
    cause: HangupCause | None
    """Why the call ended, as this build sees it."""
    converted: bool
    """Whether agent audio had to be replayed as it was written."""

    @property
    def same(self) -> bool:
        return not self.differences


def replay_options(options: SessionOptions) -> dict[str, Any]:
    """What a tape's header has to say of a session so that it can be replayed; the first message is on the tape."""
    limits = {f.name: getattr(options.limits, f.name) for f in fields(Limits)}
    return {"splice": options.splice, "open_agent_early": options.open_agent_early, "limits": limits}


def replay(tape: Tape, log: SideLog | None = None) -> Replay:
    """Feed a tape through `CallSession`. A damaged tape is replayed as far as it is sound.

    Args:
        log: takes what the session leaves in its side log, if somebody wants to make figures of it.

    Raises `UsageError` for a tape that does not hold what the session was told.
    """
    records = tape.records
    if tape.header is None or not any(_input(record) for record in records):
        raise UsageError(
            "this tape cannot be replayed",
            details="it does not say what the call's session was told: it is empty, cut off too early, "
            "or was written by a Shortwire that did not record that yet",
        )
    player = _Player(_session_options(tape.header.more.get("options") or {}, records))
    for index, record in enumerate(records):
        player.feed(record, records, index)
        if log is not None:
            log += player.session.side
    then, now = sent_then(records), player.sent
    return Replay(len(now), _differences(then, now), player.session.cause, player.converted)


def sent_then(records: Sequence[Record]) -> list[Sent]:
    """What the tape says was sent, in order."""
    sent: list[Sent] = []
    kept: list[bytes] = []
    for record in records:
        match record.kind:
            case Kind.DOWNLINK_AUDIO:
                sent.append(Sent("phone", "audio", record.data, record.at_ns))
            case Kind.TO_PHONE:
                sent.append(Sent("phone", "message", record.data, record.at_ns))
            case Kind.TO_AGENT:
                sent.append(Sent("agent", "message", record.data, record.at_ns))
            case Kind.UPLINK_AUDIO:
                sent.append(Sent("agent", "audio", record.data, record.at_ns))
            case Kind.UPLINK_KEPT:
                kept.append(record.data)
            case Kind.NOTE if early := int(record.value.get("early", 0)):
                sent += (Sent("agent", "audio", payload, record.at_ns) for payload in kept[-early:])
            case _:
                pass
    return sent


def _input(record: Record) -> str:
    """The name of the session's method that a note says was called."""
    return str(record.value.get("input", "")) if record.kind is Kind.NOTE else ""


def _session_options(more: Mapping[str, Any], records: Sequence[Record]) -> SessionOptions:
    known = {f.name for f in fields(Limits)}
    limits = {name: value for name, value in (more.get("limits") or {}).items() if name in known}
    return SessionOptions(
        client_data=next((r.data for r in records if r.kind is Kind.TO_AGENT), b""),
        converters=lambda _input_format, _output_format: (None, None),
        limits=Limits(**limits),
        splice=bool(more.get("splice", True)),
        open_agent_early=bool(more.get("open_agent_early", True)),
    )


class _Player:
    """The driver of a replayed session."""

    def __init__(self, options: SessionOptions) -> None:
        self.session = CallSession(options)
        self.sent: list[Sent] = []
        self.converted = False
        self._now_ns = 0
        self._stream_sid = ""
        self._frame = 0
        self._event_id = 0
        self._media_ns = -1
        """When a media message of the phone was fed as it came: its audio record is not another one."""
        self._audio_ns = -1

    def feed(self, record: Record, records: Sequence[Record], index: int) -> None:
        """One record, if it is an input."""
        session, now_ns = self.session, record.at_ns
        self._now_ns = now_ns
        session.facts.clear()
        session.wishes.clear()
        session.side.clear()
        match record.kind:
            case Kind.TICK:
                session.tick(now_ns)
            case Kind.NOTE:
                self._note(record.value, now_ns)
            case Kind.FROM_PHONE:
                self._from_phone(record)
            case Kind.UPLINK_AUDIO | Kind.UPLINK_KEPT:
                if self._media_ns != now_ns:
                    session.phone_message(self._media(record.data), now_ns)
                self._media_ns = -1
            case Kind.FROM_AGENT:
                if _is(record.data, "type", "audio"):
                    self._audio_ns = now_ns
                self._from_agent(record.data, records, index)
            case Kind.AGENT_AUDIO:
                self._agent_audio(record, records, index)
            case Kind.DOWNLINK_AUDIO if self.converted and not _continues(records, index):
                self._from_agent(_audio(_pieces(records, index), self._event_id), records, index)
            case _:
                pass

    def _note(self, note: Mapping[str, Any], now_ns: int) -> None:
        session = self.session
        calls: dict[str, Callable[[], None]] = {
            "phone_opened": lambda: session.phone_opened(self._sender("phone"), now_ns),
            "phone_closed": lambda: session.phone_closed(
                note["code"], note["reason"], now_ns, ours=bool(note.get("ours", False))
            ),
            "phone_paused": lambda: session.phone_paused(note["paused"], now_ns),
            "phone_binary": lambda: session.phone_binary(now_ns),
            "agent_opened": lambda: session.agent_opened(self._sender("agent"), now_ns),
            "agent_closed": lambda: session.agent_closed(
                note["code"], note["reason"], now_ns, ours=bool(note.get("ours", False))
            ),
            "agent_paused": lambda: session.agent_paused(note["paused"], now_ns),
            "agent_binary": lambda: session.agent_binary(now_ns),
            "finish": lambda: session.finish(HangupCause(note["cause"]), now_ns, note["detail"]),
        }
        if call := calls.get(str(note.get("input", ""))):
            call()

    def _from_phone(self, record: Record) -> None:
        if _is(record.data, "event", "media"):
            self._media_ns = record.at_ns
        elif _is(record.data, "event", "start") and not self._stream_sid:
            self._stream_sid = str(json.loads(record.data).get("streamSid", ""))
        self.session.phone_message(record.data, record.at_ns)

    def _media(self, payload: bytes) -> bytes:
        """A media message as live ones are (protocols/twilio.md section 1.2); its counters are not on the tape."""
        self._frame = n = self._frame + 1
        head = f'{{"event":"media","sequenceNumber":"{n + 1}","media":{{"track":"inbound","chunk":"{n}",'
        head += f'"timestamp":"{n * 20}","payload":"'
        return head.encode() + payload + f'"}},"streamSid":"{self._stream_sid}"}}'.encode()

    def _agent_audio(self, record: Record, records: Sequence[Record], index: int) -> None:
        found = record.value
        self._event_id = int(found["event_id"])
        if self._audio_ns == record.at_ns:
            self._audio_ns = -1  # fed as it came, before
            return
        if found.get("converted"):
            self.converted = True
            return
        payload = str(found["payload"]).encode() if "payload" in found else _pieces(records, index + 1)
        self._from_agent(_audio(payload, self._event_id), records, index)

    def _from_agent(self, message: bytes, records: Sequence[Record], index: int) -> None:
        now_ns = self._now_ns
        if self.session.agent_message(message, now_ns):
            self.session.phone_written(now_ns, _written_ns(records, index))

    def _sender(self, to: str) -> Callable[[bytes], None]:
        def send(message: bytes) -> None:
            payload = _audio_of(message, to)
            what, data = ("message", message) if payload is None else ("audio", payload)
            self.sent.append(Sent(to, what, data, self._now_ns))

        return send


def _is(message: bytes, key: str, value: str) -> bool:
    try:
        return bool(json.loads(message)[key] == value)
    except (ValueError, TypeError, LookupError, RecursionError):
        return False


def _audio(payload: bytes, event_id: int) -> bytes:
    return b'{"audio_event":{"audio_base_64":"%b","event_id":%d},"type":"audio"}' % (payload, event_id)


def _audio_of(message: bytes, to: str) -> bytes | None:
    """The payload of one of our own audio messages."""
    found = json.loads(message)
    payload = found.get("user_audio_chunk") if to == "agent" else (found.get("media") or {}).get("payload")
    return payload.encode() if isinstance(payload, str) else None


def _pieces(records: Sequence[Record], index: int) -> bytes:
    """The audio of one agent message: the pieces of one instant, with the marks between them left out."""
    at_ns = records[index - 1].at_ns if index and records[index - 1].kind is Kind.AGENT_AUDIO else records[index].at_ns
    pieces = []
    for record in records[index:]:
        if record.at_ns != at_ns or record.kind not in (*_AUDIO_OUT, Kind.TO_PHONE):
            break
        if record.kind in _AUDIO_OUT:
            pieces.append(record.data)
    return b"".join(pieces)


def _continues(records: Sequence[Record], index: int) -> bool:
    """Whether an audio record is a further piece of the message before."""
    for record in reversed(records[:index]):
        if record.kind is Kind.TO_PHONE and record.at_ns == records[index].at_ns:
            continue
        return record.kind is Kind.DOWNLINK_AUDIO and record.at_ns == records[index].at_ns
    return False


def _written_ns(records: Sequence[Record], index: int) -> int:
    """When what was written for an agent message had been handed over, where the tape says it."""
    for record in records[index + 1 :]:
        if record.kind in (Kind.WRITTEN, Kind.BARGE_IN):
            return record.at_ns
        if record.kind not in (*_AUDIO_OUT, Kind.TO_PHONE, Kind.TO_AGENT, Kind.AGENT_AUDIO):
            break
    return records[index].at_ns


def _differences(then: Sequence[Sent], now: Sequence[Sent]) -> tuple[Difference, ...]:
    """Each direction by itself: which of two messages to different sides came first harms nobody."""
    found = []
    for to in ("phone", "agent"):
        old, new = [s for s in then if s.to == to], [s for s in now if s.to == to]
        start = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        old, new = old[start:], new[start:]
        for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if tag != "equal":
                found.append(Difference(tuple(old[i:j]), tuple(new[k:m])))
    return tuple(sorted(found, key=lambda difference: difference.at_ns))
