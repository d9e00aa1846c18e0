"""Make the speech fixtures again: every text of every scenario, in both voices, and a few more.

Needs espeak-ng (the party) and flite (the agent): on Debian ``apt-get install espeak-ng flite``. The
result depends on their versions, so it is committed; run this after changing a text.

    python scripts/make_speech.py            write src/shortwire/emulators/speech/fixtures/
    python scripts/make_speech.py --check    exit 1 if a text has no fixture or a fixture no text
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from shortwire.emulators import scenario
from shortwire.emulators.speech import FIXTURES, VOICES

SCENARIOS = Path(scenario.__file__).parent / "scenarios"

EXTRA = (
    "Hello.",
    "Hello, how can I help you?",
    "Hi Ann, how are you?",
    "Are you still there?",
    "One moment, please.",
    "Sorry, could you say that again?",
    "Yes.",
    "No, thank you.",
    "What are your opening hours?",
    "We are open from nine in the morning until ten at night, every day of the week.",
    "Goodbye.",
)
"""For tests, and for what an agent says that is in no scenario."""


def wanted() -> list[tuple[str, str]]:
    """(voice, text), each once, in order."""
    texts: list[str] = []
    for path in sorted(SCENARIOS.glob("*.toml")):
        played = scenario.load(path)
        texts += [say.text for say in played.party.says]
        texts += [played.agent.first_message, *(reply.text for reply in played.agent.replies)]
    texts += EXTRA
    unique = dict.fromkeys(" ".join(text.split()) for text in texts if text.strip())
    return [(voice, text) for voice in VOICES for text in unique]


def file_name(voice: str, text: str) -> str:
    return f"{voice}-{re.sub(r'[^a-z0-9]+', '-', text.lower()).strip('-')[:48]}.ulaw"


def check() -> int:
    """Both directions: texts without speech, and speech without a text."""
    index = {(e["voice"], e["text"]): e["file"] for e in json.loads((FIXTURES / "index.json").read_text("utf-8"))}
    missing = [pair for pair in wanted() if pair not in index or not (FIXTURES / index[pair]).is_file()]
    unused = set(index) - set(wanted())
    for voice, text in missing:
        print(f"no fixture: {voice}: {text}")
    for voice, text in sorted(unused):
        print(f"not used: {voice}: {text}")
    return 1 if missing or unused else 0


def make() -> int:
    """Write every file and the index; files of former texts go away."""
    from shortwire.emulators.speech.synthesis import VOICES as ENGINES
    from shortwire.emulators.speech.synthesis import engine_for, synthesise

    for voice in VOICES:
        found = engine_for(voice)
        first = ENGINES[voice][0][0]
        if found is None or found[0] != first:
            print(f"the voice {voice!r} needs {first}: install it and run this again", file=sys.stderr)
            return 1
    FIXTURES.mkdir(exist_ok=True)
    for old in FIXTURES.glob("*.ulaw"):
        old.unlink()
    index = []
    for voice, text in wanted():
        ulaw = synthesise(text, ENGINES[voice][0][1])
        name = file_name(voice, text)
        (FIXTURES / name).write_bytes(ulaw)
        index.append({"voice": voice, "text": text, "file": name, "ms": len(ulaw) // 8})
        print(f"{len(ulaw) / 8000:6.2f} s  {voice}: {text}")
    (FIXTURES / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the speech fixtures again.")
    parser.add_argument("--check", action="store_true", help="only compare the fixtures with the texts")
    return check() if parser.parse_args().check else make()


if __name__ == "__main__":
    sys.exit(main())
