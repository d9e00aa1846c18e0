"""Scenario files: what may stand in them, and the sentence when something else does."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from shortwire.emulators.network import NETWORKS, Fault, LegNetwork
from shortwire.emulators.scenario import RelayFault, Scenario, ScenarioError, load, parse

SHIPPED = sorted((Path(__file__).parents[3] / "src/shortwire/emulators/scenarios").glob("*.toml"))


def read(text: str) -> Scenario:
    return parse(tomllib.loads(text))


def test_a_file_that_says_nothing_of_the_network_leaves_it_open() -> None:
    scenario = read('name = "plain"')
    assert scenario.network is None and scenario.faults == () and scenario.faults_on("agent") == ()


def test_a_profile_and_other_numbers_for_one_leg() -> None:
    network = read('[network]\nprofile = "lossy-wifi"\n[network.agent]\none_way_ms = 5\n').network
    assert network is not None
    profile = NETWORKS["lossy-wifi"]
    assert network.carrier == profile.carrier
    assert network.agent == LegNetwork(5, profile.agent.jitter_ms, profile.agent.faults)


def test_legs_without_a_profile() -> None:
    network = read("[network.carrier]\none_way_ms = 80\njitter_ms = 2.5\n").network
    assert network is not None
    assert (network.carrier, network.agent) == (LegNetwork(80, 2.5), LegNetwork())


def test_faults_stand_on_the_way_they_name_in_the_order_of_the_file() -> None:
    scenario = read(
        """
        [[faults]]
        relay = "agent"
        kind = "stall"
        for_ms = 2000
        since = "answered"
        at_s = 4
        [[faults]]
        relay = "server"
        kind = "reset"
        toxicity = 0.5
        [[faults]]
        relay = "agent"
        kind = "corrupt"
        """
    )
    stall = Fault.of("stall", for_ms=2000, since="answered", at_s=4)
    assert scenario.faults[0] == RelayFault("agent", stall)
    assert scenario.faults_on("agent") == (stall, Fault.of("corrupt"))
    assert scenario.faults_on("server") == (Fault.of("reset", toxicity=0.5),)
    assert scenario.faults_on("carrier") == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("network = 3", "network must be a table"),
        ('[network]\nprofile = "moon"', "profile must be one of none, same-region"),
        ("[network]\nprofile = [1]", "profile must be one of"),
        ("[network.phone]\none_way_ms = 1", "unknown key 'phone'; known: profile, carrier, agent"),
        ("[network.agent]\nlatency = 1", "network.agent: unknown key 'latency'; known: one_way_ms, jitter_ms"),
        ("[network.agent]\none_way_ms = -1", "network.agent: one_way_ms must be a number of milliseconds"),
        ('[network.agent]\njitter_ms = "2"', "network.agent: jitter_ms must be a number of milliseconds"),
        ("[network]\nagent = 4", "network.agent must be a table"),
        ("[faults]\nkind = 1", r"each under \[\[faults\]\]"),
        ('[[faults]]\nkind = "reset"', r"faults\[0\]: relay must be one of server, carrier, agent"),
        ('[[faults]]\nrelay = "agent"\nkind = "bang"', r"faults\[0\]: kind must be one of latency"),
        (
            '[[faults]]\nrelay = "agent"\nkind = "stall"\nfor_s = 2',
            "unknown key 'for_s': stall has for_ms",
        ),
        (
            '[[faults]]\nrelay = "agent"\nkind = "reset"\n[[faults]]\nrelay = "agent"\nkind = "reset"\nat_s = 3',
            r"faults\[1\]: a second fault named 'reset' on agent",
        ),
        ("[weather]\nrain = true", "unknown key 'weather'"),
    ],
)
def test_refusals_name_the_place_and_what_may_stand_there(text: str, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        read(text)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_can_be_played(path: Path) -> None:
    scenario = load(path)
    assert scenario.name == path.stem
    assert scenario.party.outcome == "answered"


def test_a_refusal_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("[network]\nprofile = 7\n")
    with pytest.raises(ScenarioError, match=r"broken\.toml: network: profile"):
        load(path)


def test_a_shipped_scenario_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load("reservation").name == "reservation"
    (tmp_path / "reservation").write_text('name = "mine"\n')
    assert load("reservation").name == "mine"


def test_the_agent_reports_what_the_party_says_unless_the_file_lists_something_else() -> None:
    party = {"says": [{"text": "Hello."}, {"digits": "1"}, {"text": "Goodbye."}]}
    assert parse({"party": party}).agent.transcripts == ("Hello.", "Goodbye.")
    assert parse({"party": party, "agent": {"transcripts": ["Hallo."]}}).agent.transcripts == ("Hallo.",)
