"""The corpus, and messages bent out of the shape of its rows, for the wire's tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

__all__ = ["AGENT", "PHONE", "SID", "Row", "agent_messages", "mutations", "phone_messages"]

FOLDER = Path(__file__).parents[2] / "fixtures" / "corpus"
SID = "MZ5174584e1127285e2b015e720b3d9e68"


@dataclass(frozen=True)
class Row:
    """One line of a corpus file."""

    kind: str
    raw: bytes
    parsed: dict[str, Any]

    def __repr__(self) -> str:
        return f"{self.kind} {self.raw[:60]!r}"


def _rows(name: str) -> list[Row]:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return [Row(r["kind"], r["raw"].encode(), json.loads(r["raw"])) for r in map(json.loads, lines)]


PHONE = _rows("twilio-stream.jsonl")
AGENT = _rows("elevenlabs-server.jsonl")

_B64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
payloads = st.text(_B64, max_size=24)
digits = st.integers(0, 10**13).map(str)

phone_messages = st.builds(
    '{{"event":"media","sequenceNumber":"{}","media":{{"track":"inbound","chunk":"{}","timestamp":"{}",'
    '"payload":"{}"}},"streamSid":"{}"}}'.format,
    digits,
    digits,
    digits,
    payloads,
    st.just(SID),
).map(str.encode)

_alignments = st.text(max_size=4).flatmap(
    lambda text: st.sampled_from(
        [
            ',"alignment":' + json.dumps({"chars": list(text)}, ensure_ascii=ascii_, separators=(",", ":"))
            for ascii_ in (True, False)
        ]
    )
)
_after = st.one_of(st.just(""), st.sampled_from([',"is_final":false', ',"is_final":true', ',"x":null']), _alignments)
agent_messages = st.builds(
    '{{"audio_event":{{"audio_base_64":"{}","event_id":{}{}}},"type":"audio"}}'.format,
    payloads,
    st.integers(-3, 10**16),
    _after,
).map(lambda text: text.encode("utf-8", "surrogatepass"))

# What has fooled, or could fool, somebody who looks for keys in text.
_SPLINTERS = [
    b'"payload":"BBBB"',
    b',"payload":"BBBB"',
    b',"payload":""',
    b'"audio_base_64":"BBBB"',
    b',"audio_base_64":""',
    b',"audio_base_64":0',
    b',"audio_\\u0062ase_64":"BBBB"',
    b',"audio_event":{"audio_base_64":"","event_id":6}',
    b',"audio_event":{"audio_base_64":"BBBB","event_id":6}',
    b',"audio_event":{"event_id":6}',
    b',"audio_event":null',
    b',"nested":{"audio_base_64":"BBBB","payload":"BBBB","event_id":9,"type":"audio"}',
    b',"event_id":7',
    b',"event_id":007',
    b',"event_id":"7"',
    b',"event_id":7.0',
    b',"event_id":1e999',
    b',"type":"ping"',
    b',"type":"audio"',
    b',"event":"stop"',
    b',"track":"outbound"',
    b',"streamSid":"MZother"',
    b'},"type":"audio"}',
    b'"},"streamSid":"' + SID.encode() + b'"}',
    b"\\/",
    b"\\u002f",
    b"\\ud800",
    b"\\",
    b'"',
    b'\\"',
    b"\xff",
    b"\xc3\xa9",
    b"\x00",
    b"\x1f",
    b"\x7f",
    b"\n",
    b" ",
    b"=",
    b"-",
    b"_",
    b"{",
    b"}",
    b"[",
    b",",
    b":",
    b"0",
    b"NaN",
    b"null",
    b"\xef\xbb\xbf",
    b"{}",
    b'{"a":' * 3,
]
_pieces = st.one_of(st.sampled_from(_SPLINTERS), st.binary(min_size=1, max_size=3))
_places = st.floats(0, 1)


@st.composite
def mutations(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """A message with up to three things wrong with it: inserted, deleted, doubled, overwritten, cut off."""
    message = draw(messages)
    for _ in range(draw(st.integers(0, 3))):
        at = int(draw(_places) * len(message))
        if draw(st.booleans()):
            # Most of what matters happens where members meet, so half of the places are there.
            at = next((i for i in range(at, len(message)) if message[i] in b'",:{}'), at)
        length = draw(st.integers(0, 12))
        match draw(st.sampled_from(["insert", "append", "delete", "double", "overwrite", "cut"])):
            case "insert":
                message = message[:at] + draw(_pieces) + message[at:]
            case "append":
                message += draw(_pieces)
            case "delete":
                message = message[:at] + message[at + length :]
            case "double":
                message = message[: at + length] + message[at:]
            case "overwrite":
                piece = draw(_pieces)
                message = message[:at] + piece + message[at + len(piece) :]
            case _:
                message = message[:at]
    return message
