"""A behaviour from a file: everything can be said in it, and a typo is refused with the place it is in."""

from __future__ import annotations

import pytest

from shortwire.emulators.elevenlabs.behaviour_file import load_behaviour
from shortwire.emulators.elevenlabs.config import Behaviour, McpServer, ScriptedEvent, ScriptedTool

GOOD = """
pacing = "realtime"
chunk_ms = [500, 1000]
eagerness = {patient = 2.0, normal = 1.0, eager = 0.5}

[[tools]]
before_reply = 0
tool_name = "look_up"
parameters = {what = "hours"}

[[events]]
before_reply = -1
kind = "guardrail_triggered"
payload = {guardrail_name = "g"}

[[mcp_servers]]
integration_id = "m"
"""


def test_a_file_is_a_behaviour(tmp_path):
    path = tmp_path / "b.toml"
    path.write_text(GOOD)
    assert load_behaviour(path) == Behaviour(
        pacing="realtime",
        chunk_ms=(500, 1000),
        eagerness={"patient": 2.0, "normal": 1.0, "eager": 0.5},
        tools=(ScriptedTool(0, "look_up", {"what": "hours"}),),
        events=(ScriptedEvent(-1, "guardrail_triggered", {"guardrail_name": "g"}),),
        mcp_servers=(McpServer("m"),),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pace = 1", "behaviour: unknown key 'pace'"),
        ("[[tools]]\ntool = 'x'", r"tools\[0\]: unknown key 'tool'"),
        ("[[tools]]\ntool_name = 'x'", r"tools\[0\]: .*before_reply"),
        ("[[events]]\nbefore_reply = 0\nkind = 'audio'", r"events\[0\]: 'audio' cannot be scripted"),
        ("= 1", "b.toml"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, text, words):
    path = tmp_path / "b.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        load_behaviour(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"none\.toml"):
        load_behaviour(tmp_path / "none.toml")
