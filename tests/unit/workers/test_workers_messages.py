"""What parent and worker say to each other, and the figures they make of it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from shortwire.call.options import Prewarm
from shortwire.settings import Settings
from shortwire.terms import Profile
from shortwire.workers.figures import together
from shortwire.workers.messages import Line, settings_from, settings_said

GIVEN: dict[str, Any] = {
    "elevenlabs_api_key": SecretStr("sk_test"),
    "elevenlabs_agent_id": "agent_1",
    "twilio_account_sid": "AC" + "1" * 32,
    "twilio_auth_token": SecretStr("s3cret-token"),
    "twilio_phone_number": "+14155550100",
    "server_url": "https://calls.example.com",
    "shortwire_api_key": SecretStr("k" * 32),
    "_env_file": None,
}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"shortwire_workers": 4, "allowed_countries": frozenset({"US", "CA"}), "shortwire_data_dir": Path("/a/b c")},
        {"shortwire_profile": Profile.BASELINE, "prewarm": Prewarm.OFF, "shortwire_port": 0, "inline_twiml": False},
        {"shortwire_database_url": SecretStr("postgresql://u:p@h/d"), "ngrok_authtoken": SecretStr("2abc")},
    ],
)
async def test_settings_arrive_as_they_were_whatever_the_environment_says(
    more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(**{**GIVEN, **more})
    # What the parent was not given stays not given.
    monkeypatch.setenv("INLINE_TWIML", "true")
    monkeypatch.setenv("NGROK_AUTHTOKEN", "another")
    monkeypatch.setenv("SERVER_URL", "https://elsewhere.example.com")
    ours, theirs = socket.socketpair()
    one, two = await Line.open(ours), await Line.open(theirs)
    one.say("begin", settings=settings_said(settings))
    heard = await two.heard()
    assert heard is not None
    assert settings_from(heard["settings"]) == settings
    await one.close()
    assert await two.heard() is None
    two.say("nobody hears this")
    await two.close()


async def test_a_line_that_breaks_in_a_word_has_ended() -> None:
    ours, theirs = socket.socketpair()
    line = await Line.open(ours)
    theirs.send(b'{"is": "figu')
    theirs.close()
    assert await line.heard() is None
    await line.close()


async def test_what_is_said_every_second_is_left_out_for_who_does_not_listen() -> None:
    ours, theirs = socket.socketpair()
    line = await Line.open(ours)
    with theirs:
        for _ in range(50):
            line.say("figures", may_drop=True, text="x" * 100_000)
        assert line._writer.transport.get_write_buffer_size() < 3_000_000
        line._writer.transport.abort()
    await line.close()


def figures(worker: int, **more: Any) -> dict[str, Any]:
    return {"worker": worker, "ready": True, "draining": False, "calls": 2, "tasks": 9, "loop_lag_ms": 0.5, **more}


def test_figures_of_all() -> None:
    found = together([figures(1, loop_lag_ms=7.5), figures(0, calls=3)])
    assert (found["calls"], found["tasks"], found["loop_lag_ms"]) == (5, 18, 7.5)
    assert (found["ready"], found["draining"]) == (True, False)
    assert [one["worker"] for one in found["workers"]] == [0, 1]


@pytest.mark.parametrize(
    ("states", "ready", "draining"),
    [
        ([(True, False), (False, True)], True, False),
        ([(False, True), (False, True)], False, True),
        ([], False, False),
    ],
)
def test_a_server_is_ready_while_anybody_is(states: list[tuple[bool, bool]], ready: bool, draining: bool) -> None:
    found = together(figures(n, ready=r, draining=d) for n, (r, d) in enumerate(states))
    assert (found["ready"], found["draining"]) == (ready, draining)


def test_a_worker_that_is_not_there_counts_for_nothing_and_is_shown() -> None:
    found = together([figures(0), {"worker": 1, "alive": False, "pid": 7}])
    assert found["calls"] == 2
    assert found["workers"][1] == {"worker": 1, "alive": False, "pid": 7}
