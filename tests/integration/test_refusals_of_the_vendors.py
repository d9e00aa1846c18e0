"""A vendor that refuses or fails: the call ends with that cause, and says which setting to change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from live_house import House, Leftovers, open_house

from shortwire.demo.processes import free_port
from shortwire.emulators.elevenlabs import Faults
from shortwire.emulators.scenario import PartyScript


@asynccontextmanager
async def refused(folder: Path, cause: str, words: str = "", **more: Any) -> AsyncIterator[House]:
    """One call in a house; it has to end with `cause`, `words` in its meaning or detail, and nothing left."""
    fields = more.pop("fields", {})
    async with open_house(folder, **more) as house:
        before = Leftovers(house)
        call = await house.ended(await house.place(**fields))
        assert call["cause"] == cause
        assert words in call["meaning"] + call["detail"]
        await house.nothing_is_left()
        await before.none()
        yield house


@pytest.mark.parametrize(
    ("status", "cause", "setting"),
    [
        (401, "agent_unauthorized", "ELEVENLABS_API_KEY"),
        (404, "agent_not_found", "ELEVENLABS_AGENT_ID"),
        (429, "agent_busy", "concurrent"),
        (500, "agent_error", "HTTP 500"),
        (503, "agent_busy", "HTTP 503"),
    ],
)
@pytest.mark.parametrize("prewarm", ["tls", "off"])
async def test_no_signed_url(tmp_path: Path, status: int, cause: str, setting: str, prewarm: str) -> None:
    faults = Faults(signed_url_status=status)
    async with refused(tmp_path, cause, setting, faults=faults, prewarm=prewarm) as house:
        assert not house.conversations


async def test_a_refusal_for_good_is_noticed_while_it_rings(tmp_path: Path) -> None:
    faults = Faults(signed_url_status=401)
    party = PartyScript(ring_s=20)
    async with refused(tmp_path, "agent_unauthorized", "ELEVENLABS_API_KEY", faults=faults, party=party) as house:
        assert house.carrier_call().status == "canceled"
        call = await house.call((await house.api("GET", "/v1/calls"))[1]["calls"][0]["id"])
        assert call["disposition"] == "failed"


async def test_a_signed_url_that_failed_once_is_fetched_again(tmp_path: Path) -> None:
    faults = Faults(signed_url_status=503, signed_url_times=1)
    async with open_house(tmp_path, faults=faults) as house:
        call_id = await house.place()
        await house.talking(call_id)
        assert (await house.api("POST", f"/v1/calls/{call_id}/hangup"))[1]["disposition"] == "answered"


async def test_a_slow_signed_url_costs_time_only(tmp_path: Path) -> None:
    async with open_house(tmp_path, faults=Faults(signed_url_delay_ms=1200)) as house:
        call_id = await house.place()
        await house.talking(call_id)
        kept = house.live_call(call_id).session.uplink
        assert kept.early_dropped == 0
        assert kept.relayed > 40
        _, body = await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert max(body["latencies"]["setup"].values()) > 500


@pytest.mark.parametrize("profile", ["optimized", "baseline"])
@pytest.mark.parametrize(
    ("code", "reason", "cause", "setting"),
    [
        (3000, "Could not authorize the conversation.", "agent_unauthorized", "ELEVENLABS_API_KEY"),
        (3008, "too many concurrent connections", "agent_busy", "concurrent"),
        (1002, "This request exceeds your quota limit.", "agent_quota", "credits"),
        (1011, "", "agent_error", "1011"),
        (1000, "", "agent_error", "1000"),
    ],
)
async def test_closed_at_once(tmp_path: Path, profile: str, code: int, reason: str, cause: str, setting: str) -> None:
    faults = Faults(close_after_ms=(code, reason, 0), metadata_delay_ms=500)
    async with refused(tmp_path, cause, setting, faults=faults, shortwire_profile=profile):
        pass


async def test_an_override_that_is_not_permitted(tmp_path: Path) -> None:
    fields = {"first_message": "300"}
    async with refused(tmp_path, "agent_override_denied", "first_message", fields=fields) as house:
        assert house.conversations[0].close_code == 1008


async def test_an_override_that_is_permitted(tmp_path: Path) -> None:
    async with open_house(tmp_path, eleven={"allow_overrides": ("agent.first_message",)}) as house:
        call_id = await house.place(first_message="700")
        await house.talking(call_id)
        assert house.conversations[0].turns[0].agent_text == "700"


async def test_a_missing_variable(tmp_path: Path) -> None:
    from shortwire.emulators.scenario import AgentScript

    agent = AgentScript(first_message="{{length}}")
    async with refused(tmp_path, "agent_variable_missing", "--var", agent=agent):
        pass


async def test_a_variable_that_was_given(tmp_path: Path) -> None:
    from shortwire.emulators.scenario import AgentScript

    async with open_house(tmp_path, agent=AgentScript(first_message="{{length}}")) as house:
        call_id = await house.place(dynamic_variables={"length": "400"})
        await house.talking(call_id)


async def test_the_agents_host_is_down(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    async with refused(tmp_path, "agent_unreachable", "ELEVENLABS_BASE_URL", elevenlabs_base_url=nowhere):
        pass


@pytest.mark.parametrize("profile", ["optimized", "baseline"])
async def test_the_upgrade_is_refused(tmp_path: Path, profile: str) -> None:
    faults = Faults(upgrade_status=429)
    async with refused(tmp_path, "agent_busy", "429", faults=faults, shortwire_profile=profile):
        pass


@pytest.mark.parametrize("profile", ["optimized", "baseline"])
async def test_an_agent_that_never_gets_ready(tmp_path: Path, profile: str) -> None:
    faults = Faults(metadata_delay_ms=60_000)
    limits = {"agent_wait_s": 0.5}
    async with refused(
        tmp_path, "agent_unreachable", "not ready", faults=faults, limits=limits, shortwire_profile=profile
    ):
        pass


@pytest.mark.parametrize("profile", ["optimized", "baseline"])
async def test_hung_up_while_the_agents_upgrade_is_on_its_way(tmp_path: Path, profile: str) -> None:
    async with open_house(tmp_path, faults=Faults(upgrade_delay_ms=1500), shortwire_profile=profile) as house:
        before = Leftovers(house)
        call_id = await house.place()
        await house.state(call_id, "connected")
        house.carrier_call().hang_up()
        call = await house.ended(call_id)
        assert call["cause"] == "party_hangup"
        await house.nothing_is_left()
        await before.none()
        open_ones = [c for c in house.eleven.ledger.connections if c.closed_ns is None]
        assert len(open_ones) <= 1  # the REST client's


@pytest.mark.parametrize(
    ("number", "config", "code", "words"),
    [
        ("+14155550123", {"permitted_prefixes": ("+44",)}, "21215", "geo-permissions"),
        ("+14155550123", {"numbers": {}}, "2121", "phone number"),
        ("+14155550123", {"auth_token": "another-token-than-ours-entirely"}, "20003", "Authenticate"),
    ],
)
async def test_the_carrier_refuses(tmp_path: Path, number: str, config: dict[str, Any], code: str, words: str) -> None:
    async with open_house(tmp_path, carrier=config) as house:
        before = Leftovers(house)
        status, body = await house.api("POST", "/v1/calls", {"number": number})
        assert (status, body["error"]["code"]) == (502, "carrier_refused")
        assert code in body["error"]["details"] + body["error"]["message"]
        assert words in body["error"]["details"] + body["error"]["message"]
        [listed] = (await house.api("GET", "/v1/calls"))[1]["calls"]
        call = await house.ended(listed["id"])
        assert (call["cause"], call["disposition"]) == ("carrier_refused", "failed")
        assert code in call["detail"]
        status, seed = await house.api("POST", "/outbound-call", {"number": number})
        assert (status, seed["success"], seed["code"]) == (502, False, "carrier_refused")
        assert code in seed["details"] + seed["error"]
        assert not house.conversations
        await before.none()


async def test_the_carriers_host_is_down(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    async with open_house(tmp_path, twilio_api_base_url=nowhere) as house:
        status, body = await house.api("POST", "/v1/calls", {"number": "+14155550123"})
        assert (status, body["error"]["code"]) == (502, "carrier_unreachable")
        assert "TWILIO_API_BASE_URL" in body["error"]["details"]


async def test_a_stream_that_cannot_be_opened_names_server_url(tmp_path: Path) -> None:
    """The carrier signs with a token of its own: the upgrade is refused, and the document behind hangs up."""
    async with open_house(tmp_path) as house:
        call_id = await house.place()
        house.live_call(call_id)
        house.desk._tickets._open.clear()
        call = await house.ended(call_id)
        assert call["cause"] == "media_never_came"
        assert "SERVER_URL" in call["meaning"]
        assert not house.conversations


async def test_a_hundred_refusals_leave_nothing(tmp_path: Path) -> None:
    async with open_house(tmp_path, faults=Faults(signed_url_status=401), party=PartyScript(ring_s=20)) as house:
        for batch in range(5):
            if batch == 1:  # the first fills pools and threads
                before = Leftovers(house)
            ids = await asyncio.gather(*(house.place(f"+1415555{n:04}") for n in range(100, 120)))
            for call_id in ids:
                await house.ended(call_id)
        await house.nothing_is_left()
        await before.none()
