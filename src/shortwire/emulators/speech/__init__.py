"""Speech for the emulators: what a text sounds like on the telephone.

Committed fixtures first, so that everybody hears the same bytes; a synthesiser of this machine for
other texts; otherwise an error that says what to do. Reading fixtures needs the standard library only.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal

__all__ = ["FIXTURES", "VOICES", "SpeechMissing", "Voice", "speak"]

Voice = Literal["party", "agent"]

VOICES = ("party", "agent")

FIXTURES = Path(__file__).parent / "fixtures"
"""``index.json`` names one raw mu-law file per text and voice."""


class SpeechMissing(LookupError):
    """No fixture for this text, and no synthesiser on this machine."""

    def __init__(self, text: str, voice: str) -> None:
        super().__init__(
            f"no speech for {text!r} in the voice {voice!r}: install espeak-ng or flite, "
            "or add the text and run scripts/make_speech.py where one of them is installed"
        )


def speak(text: str, voice: str) -> bytes:
    """What the text sounds like: mu-law, 8 kHz, whole 20 ms frames, no silence around it. ``b""`` for no text.

    Raises:
        ValueError: an unknown voice.
        SpeechMissing: neither fixture nor synthesiser.
    """
    if voice not in VOICES:
        raise ValueError(f"unknown voice {voice!r}; known: {', '.join(VOICES)}")
    words = " ".join(text.split())
    if not words:
        return b""
    name = _index().get((voice, words))
    return (FIXTURES / name).read_bytes() if name else _synthesised(words, voice)


@cache
def _index() -> dict[tuple[str, str], str]:
    entries = json.loads((FIXTURES / "index.json").read_text(encoding="utf-8"))
    return {(entry["voice"], entry["text"]): entry["file"] for entry in entries}


@cache
def _synthesised(text: str, voice: str) -> bytes:
    """Live speech; kept in the temporary directory because engines take some tenths of a second."""
    try:
        from shortwire.emulators.speech import synthesis
    except ImportError:  # numpy is an extra
        raise SpeechMissing(text, voice) from None
    found = synthesis.engine_for(voice)
    if found is None:
        raise SpeechMissing(text, voice)
    name, engine = found
    key = hashlib.sha256(f"2|{name}|{voice}|{text}".encode()).hexdigest()[:24]
    kept = Path(tempfile.gettempdir()) / "shortwire-speech" / f"{key}.ulaw"
    if kept.is_file():
        return kept.read_bytes()
    ulaw = synthesis.synthesise(text, engine)
    try:
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        part = kept.with_suffix(f".{id(ulaw):x}")
        part.write_bytes(ulaw)
        part.replace(kept)  # another process may be writing the same one
    except OSError:
        pass  # a cache that cannot be written costs time, nothing else
    return ulaw
