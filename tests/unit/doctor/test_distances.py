"""Pairs, their price, the complaint at start, and which pair the credentials open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from shortwire.doctor import pinned
from shortwire.doctor.bench import Bench
from shortwire.doctor.measure import Distances, measure, pairs
from shortwire.doctor.pin import best_usable
from shortwire.doctor.pinned import complaint, pinned_choice_is_worse
from shortwire.errors import AgentError, CarrierRefused
from shortwire.net.probes import Series
from shortwire.net.vendor_hosts import AGENT_HOSTS, carrier_points, region_near, voice_base_url
from shortwire.settings import Settings

POINTS = carrier_points()
NEAR = {"ashburn.us1": 5.0, "dublin.us1": 80.0, "dublin.ie1": 82.0, "sydney.au1": 200.0}
AGENTS = {"global": 10.0, "us": 60.0, "eu-residency": 90.0}


def series(ms: float | None) -> Series:
    return Series((ms, ms)) if ms is not None else Series((), 2, "no answer")


def distances(agent: dict[str, float], carrier: dict[str, float]) -> Distances:
    return Distances(
        {host.name: series(agent.get(host.name)) for host in AGENT_HOSTS},
        {point.name: series(carrier.get(point.name)) for point in POINTS},
    )


def settings(**changes: Any) -> Settings:
    given = {
        "elevenlabs_api_key": SecretStr("sk_x"),
        "elevenlabs_agent_id": "agent_1",
        "twilio_account_sid": "AC" + "1" * 32,
        "twilio_auth_token": SecretStr("0" * 32),
        "twilio_phone_number": "+14155550100",
        "server_url": "https://calls.example.com",
        "shortwire_api_key": SecretStr("k" * 20),
        **changes,
    }
    return Settings(**{"_env_file": None, **given})


def test_a_turn_costs_one_round_trip_to_each_and_the_edge_only_dialling() -> None:
    ranked = pairs(AGENT_HOSTS, POINTS, distances(AGENTS, {**NEAR, "dublin.us1": 1.0}))
    best = ranked[0]
    assert (best.region, best.agent.name, best.turn_ms) == ("us1", "global", 15.0)
    assert (best.edge, best.edge_ms) == ("dublin", 1.0)
    assert [pair.turn_ms for pair in ranked] == sorted(pair.turn_ms for pair in ranked)
    assert {pair.region for pair in ranked} == {"us1", "ie1", "au1"}


def test_what_did_not_answer_is_no_pair() -> None:
    assert pairs(AGENT_HOSTS, POINTS, distances({}, NEAR)) == []
    assert {pair.region for pair in pairs(AGENT_HOSTS, POINTS, distances(AGENTS, {"ashburn.us1": 5.0}))} == {"us1"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"elevenlabs_base_url": "https://api.us.elevenlabs.io"},
            "ELEVENLABS_BASE_URL=https://api.elevenlabs.io is 50 ms",
        ),
        ({"twilio_edge": "dublin", "twilio_region": "us1"}, "TWILIO_EDGE=ashburn is 75 ms nearer"),
        ({"twilio_edge": "ashburn", "twilio_region": "us1"}, None),
        ({"elevenlabs_base_url": "https://api.eu.residency.elevenlabs.io"}, None),
    ],
)
def test_the_complaint_at_start(changes: dict[str, str], words: str | None) -> None:
    said = complaint(settings(**changes), AGENT_HOSTS, POINTS, distances(AGENTS, NEAR), worth_ms=50.0)
    assert (said is None) if words is None else (said is not None and words in said)


async def test_nothing_is_measured_where_nothing_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any) -> Distances:
        raise AssertionError

    monkeypatch.setattr(pinned, "measure", never)
    assert await pinned_choice_is_worse(settings()) is None
    assert await pinned_choice_is_worse(settings(elevenlabs_base_url="http://127.0.0.1:1")) is None


async def test_a_pinned_choice_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    async def measured(*_: Any) -> Distances:
        return distances(AGENTS, NEAR)

    monkeypatch.setattr(pinned, "measure", measured)
    said = await pinned_choice_is_worse(settings(twilio_edge="dublin", twilio_region="us1"))
    assert said is not None
    assert said.endswith("(shortwire region --pin)")


async def test_hosts_that_do_not_exist_are_measured_as_silent() -> None:
    from shortwire.doctor.bench import NetworkPlan
    from shortwire.net.vendor_hosts import AgentHost

    found = await measure([AgentHost("x", "https://no.such.host.invalid", False)], [], NetworkPlan(2, 1.0))
    assert not found.answered
    assert found.agent["x"].last_error


class Account:
    def __init__(self, open_: bool) -> None:
        self._open = open_

    async def account(self) -> str:
        if not self._open:
            raise CarrierRefused("the carrier refused", carrier_code=20003, status=401)
        return "AC"

    async def agent(self, agent_id: str) -> str:
        if not self._open:
            raise AgentError("the agent is not known", cause="agent_not_found")
        return agent_id


@pytest.fixture
def doors(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Hosts at which the credentials are good."""
    open_: set[str] = set()
    monkeypatch.setattr(Bench, "platform_at", lambda self, url: Account(url in open_))
    monkeypatch.setattr(Bench, "carrier_at", lambda self, url: Account(url in open_))
    yield open_


async def test_the_best_pair_that_the_credentials_open(doors: set[str], tmp_path: Path) -> None:
    ranked = pairs(AGENT_HOSTS, POINTS, distances({**AGENTS, "eu-residency": 1.0}, {**NEAR, "dublin.ie1": 1.0}))
    assert (ranked[0].region, ranked[0].agent.name) == ("ie1", "eu-residency")
    doors |= {"https://api.elevenlabs.io", "https://api.ashburn.us1.twilio.com"}
    best, why_not = await best_usable(Bench(given=settings()), ranked, change_region=True)
    assert best is not None
    assert (best.region, best.edge, best.agent.name) == ("us1", "ashburn", "global")
    assert why_not == ["eu-residency: the agent is not known", "dublin.ie1: the carrier refused"]


async def test_the_region_stays_unless_asked(doors: set[str]) -> None:
    doors |= {host.url for host in AGENT_HOSTS} | {point.url for point in POINTS}
    ranked = pairs(AGENT_HOSTS, POINTS, distances(AGENTS, {**NEAR, "dublin.ie1": 1.0}))
    kept, _ = await best_usable(Bench(given=settings()), ranked, change_region=False)
    moved, _ = await best_usable(Bench(given=settings()), ranked, change_region=True)
    assert kept is not None
    assert moved is not None
    assert (kept.region, moved.region) == ("us1", "ie1")


def test_tables_of_hosts() -> None:
    assert region_near("DE") == "ie1"
    assert region_near("NZ") == "au1"
    assert region_near("US") == region_near("BR") == "us1"
    assert voice_base_url("https://api.dublin.ie1.twilio.com") == "https://voice.dublin.ie1.twilio.com"
    assert voice_base_url("https://api.twilio.com") == "https://voice.twilio.com"
    assert voice_base_url("http://127.0.0.1:9001") == "http://127.0.0.1:9001"
