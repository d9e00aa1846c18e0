"""Verbs that make the party hear something or wait for it: Say, Play, Pause, Gather, Record (pages "twiml/say" ...).

What they play goes through the line, so it is in the recording and the party reacts to it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from ..ulaw import SILENCE, tone
from .recording import Recording
from .sound import SoundError, to_ulaw
from .verbs import Gather, Pause, Play, Record, Say
from .webhooks import Unanswered

if TYPE_CHECKING:
    from .call import Call

__all__ = ["gather", "prompt", "record"]

_FOREVER = 1000
"""How often loop=0 repeats."""


async def prompt(call: Call, verb: Say | Play | Pause, base_url: str) -> None:
    """Until it was heard."""
    assert call.line is not None, "verbs run on answered calls only"
    if isinstance(verb, Pause):
        await asyncio.sleep(verb.length_s)
        return
    if isinstance(verb, Play) and verb.digits:
        await call.line.press_out(verb.digits)
        return
    ulaw = await (_said(call, verb.text) if isinstance(verb, Say) else _fetched(call, verb, base_url))
    for _ in range(verb.loop or _FOREVER):
        await call.line.play_out(ulaw)


async def _said(call: Call, text: str) -> bytes:
    try:
        return await call.spoken(text)
    except LookupError as error:  # no fixture, no synthesiser on this machine
        call.ledger.add("not_imitated", call.sid, what="the voice of a Say", text=text, reason=str(error))
        return bytes([SILENCE]) * (len(text) * call.config.choices.say_ms_per_character * 8)


async def _fetched(call: Call, verb: Play, base_url: str) -> bytes:
    """The file as mu-law. One that cannot be played is silence, and a line in the account's log."""
    url = urljoin(base_url, verb.url)
    try:
        answer = await call.webhooks.fetch_document(url, "GET", [])
        return await asyncio.to_thread(to_ulaw, answer.body, answer.content_type)
    except (Unanswered, SoundError) as error:
        call.notify(error.code, str(error))
        return bytes([SILENCE]) * (call.config.choices.play_ms * 8)


async def gather(call: Call, verb: Gather, base_url: str) -> dict[str, str] | None:
    """Fields of the action request, or None: nothing came, the next verb runs."""
    line = call.line
    assert line is not None
    keys: list[str] = []
    news = asyncio.Event()

    def pressed(key: str) -> None:
        keys.append(key)
        news.set()

    first_utterance = len(line.party.utterances)
    if "dtmf" in verb.input:
        line.key_taps.append(pressed)
    prompts = asyncio.ensure_future(_prompts(call, verb, base_url))
    try:
        return await _gathered(call, verb, keys, news, prompts=prompts, first=first_utterance)
    finally:
        prompts.cancel()
        await asyncio.wait({prompts})
        if pressed in line.key_taps:
            line.key_taps.remove(pressed)


async def _prompts(call: Call, verb: Gather, base_url: str) -> None:
    for item in verb.prompts:
        await prompt(call, item, base_url)


async def _gathered(
    call: Call, verb: Gather, keys: list[str], news: asyncio.Event, *, prompts: asyncio.Future[None], first: int
) -> dict[str, str] | None:
    loop = asyncio.get_running_loop()
    deadline: float | None = None
    while True:
        if keys:
            prompts.cancel()
        if keys and verb.finish_on_key and keys[-1] == verb.finish_on_key:
            return _digits(verb, keys[:-1], keys[-1])
        if verb.num_digits and len(keys) >= verb.num_digits:
            return _digits(verb, keys[: verb.num_digits], "")
        if not keys and "speech" in verb.input and (words := _words(call, verb, first)):
            return {"SpeechResult": words, "Confidence": "0.9"}
        if (prompts.done() or keys) and deadline is None:
            deadline = loop.time() + verb.timeout_s
        if deadline is not None and loop.time() >= deadline and not _listening(call, verb, first):
            return _digits(verb, keys, "")
        news.clear()
        count = len(keys)
        with contextlib.suppress(TimeoutError):  # looks again at the party, who may have spoken
            await asyncio.wait_for(news.wait(), 0.05)
        if len(keys) > count:
            deadline = loop.time() + verb.timeout_s


def _digits(verb: Gather, keys: list[str], finished_on: str) -> dict[str, str] | None:
    if not keys and not verb.action_on_empty_result:
        return None
    fields = {"Digits": "".join(keys)}
    return {**fields, "FinishedOnKey": finished_on} if finished_on else fields


def _words(call: Call, verb: Gather, first: int) -> str:
    """What the party said since the verb began, once it has been silent for the speech timeout."""
    assert call.line is not None
    party = call.line.party
    said = [utterance for utterance in party.utterances[first:] if utterance.text]
    if not said or party.speaking or call.line.now_ms < said[-1].end_ms + verb.speech_timeout_s * 1000:
        return ""
    return " ".join(utterance.text for utterance in said)


def _listening(call: Call, verb: Gather, first: int) -> bool:
    """Somebody is speaking to a Gather that takes speech: it does not time out in the middle of a sentence."""
    assert call.line is not None
    return "speech" in verb.input and any(utterance.text for utterance in call.line.party.utterances[first:])


async def record(call: Call, verb: Record) -> Mapping[str, str]:
    """Record the party until silence, a key or the longest length. Gives the fields of the action request."""
    line = call.line
    assert line is not None
    if verb.play_beep:
        await line.play_out(tone(1000, 500))
    recording = Recording(
        line,
        call_sid=call.sid,
        source="RecordVerb",
        track="inbound",
        trim=verb.trim == "trim-silence",
        callback=(verb.status_callback, verb.status_callback_method),
    )
    call.add_recording(recording)
    detector = call.new_detector()
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    silent_frames = frames = 0

    def heard(spoken: bytes, _: bytes) -> None:
        nonlocal silent_frames, frames
        frames += 1
        silent_frames = 0 if detector.feed(spoken) else silent_frames + 1
        if not done.done() and (silent_frames * 20 >= verb.timeout_s * 1000 or frames * 20 >= verb.max_length_s * 1000):
            done.set_result("")

    def pressed(key: str) -> None:
        if key in verb.finish_on_key and not done.done():
            done.set_result(key)

    line.taps.append(heard)
    line.key_taps.append(pressed)
    try:
        key = await done
    finally:
        if heard in line.taps:
            line.taps.remove(heard)
            line.key_taps.remove(pressed)
        await call.finish_recording(recording)
    return {
        "RecordingUrl": call.recording_url(recording),
        "RecordingSid": recording.sid,
        "RecordingDuration": str(round(recording.length_ms / 1000)),
        "Digits": key,
    }
