"""Each optimization has two sides that can be seen: on the wire, at the vendors, or in what is printed."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from live_house import POLITE, free_port, open_house, server_of
from test_door import PATH, RINGS, opened, ringing, start

from shortwire.emulators.twilio.signature import sign
from shortwire.records import CallEvent, CallRecord

BOTH = [True, False]


@pytest.mark.parametrize("disabled", BOTH)
async def test_compression(tmp_path: Path, disabled: bool) -> None:
    async with open_house(tmp_path, party=RINGS, disable_websocket_compression=disabled) as house:
        _, good = await ringing(house)
        headers = {"X-Twilio-Signature": sign("0123456789abcdef0123456789abcdef", f"ws{house.url[4:]}{PATH}{good}")}
        async with house.http.ws_connect(f"{house.url}{PATH}{good}", headers=headers, compress=15) as ws:
            assert bool(ws.compress) is not disabled
            await house.until(lambda: house.conversations, "the conversation")
            assert house.conversations[0].compression is not disabled
    # Nobody offers, nobody gets: the carrier's emulator, like the carrier, offers nothing.


@pytest.mark.parametrize("increased", BOTH)
@pytest.mark.parametrize("lean", BOTH)
async def test_longest_message_of_the_carrier(tmp_path: Path, increased: bool, lean: bool) -> None:
    """64 KiB, or the library's 1 MiB: on this leg the optimized side is the stricter one."""
    async with open_house(
        tmp_path, party=RINGS, increase_max_payload=increased, disable_websocket_compression=lean
    ) as house:
        call_id, good = await ringing(house)
        ws = await opened(house, good)
        await ws.send_str(start(house.carrier_call().sid))
        await house.state(call_id, "connected")
        await ws.send_str(json.dumps({"event": "new", "filler": "x" * 200_000}))
        if increased:
            call = await house.ended(call_id)
            assert call["cause"] == "media_lost"
            assert "1009" in call["detail"]
        else:
            await ws.send_str(json.dumps({"event": "dtmf", "streamSid": "MZ" + "1" * 32, "dtmf": {"digit": "5"}}))
            await house.until(lambda: "dtmf" in SEEN[call_id], "a key")
        await ws.close()


SEEN: dict[str, list[str]] = {}


@pytest.fixture(autouse=True)
def events_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from shortwire.switchboard.context import Context

    tell = Context.tell
    SEEN.clear()

    def and_keep(self: Context, call: CallRecord, event: CallEvent) -> None:
        SEEN.setdefault(call.id, []).append(event.kind)
        tell(self, call, event)

    monkeypatch.setattr(Context, "tell", and_keep)


@pytest.mark.parametrize("increased", BOTH)
@pytest.mark.parametrize("lean", BOTH)
async def test_longest_message_of_the_agent(tmp_path: Path, increased: bool, lean: bool) -> None:
    """16 MiB as the vendor's SDKs, or the library's 1 MiB: a long message is read, or the end."""
    from shortwire.emulators.elevenlabs import Faults

    long = json.dumps({"ping_event": {"event_id": 1}, "type": "no_such_type", "filler": "x" * 1_500_000})
    async with open_house(
        tmp_path,
        faults=Faults(send_after_ms=(long, 400)),
        increase_max_payload=increased,
        disable_websocket_compression=lean,
        party=POLITE,
    ) as house:
        call_id = await house.place()
        if increased:
            await house.until(lambda: len(house.conversations and house.conversations[0].turns) > 1, "a reply")
            await house.api("POST", f"/v1/calls/{call_id}/hangup")
        else:
            call = await house.ended(call_id)
            assert call["cause"] == "agent_lost"
            assert "1009" in call["detail"]


@pytest.mark.parametrize("spliced", BOTH)
async def test_audio_parsing(tmp_path: Path, spliced: bool) -> None:
    """Spliced output is compact and the payload untouched; the plain one is what a JSON library writes."""
    async with open_house(tmp_path, party=RINGS, optimize_audio_parsing=spliced) as house:
        call_id, good = await ringing(house)
        sid = "MZ" + "1" * 32
        ws = await opened(house, good)
        await ws.send_str(start(house.carrier_call().sid))
        texts = []
        while True:
            message = await ws.receive(timeout=20)
            assert message.type is aiohttp.WSMsgType.TEXT
            texts.append(message.data)
            if '"media"' in message.data:
                break
        assert texts[-1].startswith('{"event":"media"' if spliced else '{"event": "media"')
        assert json.loads(texts[-1])["streamSid"] == sid
        await ws.close()
        await house.ended(call_id)


@pytest.mark.parametrize("logged", BOTH)
async def test_latency_lines(tmp_path: Path, logged: bool, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_house(tmp_path, party=POLITE, latency_logging=logged) as house:
        call_id = await house.place()
        await house.until(lambda: "latency.round_trip" in SEEN.get(call_id, ()), "a round trip")
        _, body = await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert body["latencies"]["round_trip_ms"]["n"] >= 1  # measured all the same
    printed = capsys.readouterr().out
    assert ("[LATENCY] Audio round trip:" in printed) is logged
    assert ("Call Performance Summary" in printed) is logged


@pytest.mark.parametrize("inline", BOTH)
async def test_inline_twiml(tmp_path: Path, inline: bool) -> None:
    async with open_house(tmp_path, inline_twiml=inline) as house:
        call_id = await house.place()
        await house.talking(call_id)
        [created] = house.requests("POST", "Calls.json")
        assert ("Twiml" in created["form"], "Url" in created["form"]) == (inline, not inline)
        fetched = [e for e in house.twilio.ledger.entries("webhook") if "/outbound-call-twiml/" in e["url"]]
        assert bool(fetched) is not inline


@pytest.mark.parametrize("tuned", BOTH)
@pytest.mark.parametrize("lean", BOTH)
async def test_tuned_sockets(tmp_path: Path, tuned: bool, lean: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quick acknowledgements are asked for again and again on the lean legs, and never otherwise."""
    from shortwire.net import lean as lean_module

    made: list[Any] = []
    tuned_socket = lean_module.tuned_socket

    def and_count(transport: Any, write_limit: int) -> Any:
        made.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        return tuned_socket(transport, write_limit)

    monkeypatch.setattr(lean_module, "tuned_socket", and_count)
    async with open_house(tmp_path, tune_sockets=tuned, disable_websocket_compression=lean) as house:
        call_id = await house.place()
        await house.talking(call_id)
    assert len(made) == (2 if tuned and lean else 0)
    assert all(made)


@pytest.mark.parametrize("mode", BOTH)
async def test_low_latency_mode(tmp_path: Path, mode: bool) -> None:
    async with open_house(tmp_path, low_latency_mode=mode) as house:
        asked = [r for r in house.eleven.ledger.requests if r.path == "/v1/convai/agents/agent_demo"]
        if mode:
            await house.until(lambda: any("LOW_LATENCY_MODE" in line for line in house.said), "what it does")
        else:
            assert not asked
            assert not any("LOW_LATENCY_MODE" in line for line in house.said)


async def test_both_profiles_on_one_data_directory(tmp_path: Path) -> None:
    """Two servers at once, as the seed's two were: each owns its calls, both show all."""
    async with open_house(tmp_path) as house:
        first = await house.place()
        await house.talking(first)
        async with server_of(house, free_port(), {}, {"shortwire_profile": "baseline"}) as second:
            assert (await house.call(first))["state"] == "connected"  # its start settled nothing of ours
            from shortwire.records import CallRequest

            record = await second.desk.place_call(CallRequest("+14155550177"))
            await house.until(lambda: second.desk._live[record.id].record.state == "connected", "the second call")
            listed = (await house.api("GET", "/v1/calls"))[1]["calls"]
            assert {call["profile"] for call in listed} == {"optimized", "baseline"}
            await second.desk.hang_up(record.id)
        assert (await house.call(first))["state"] == "connected"
        await house.api("POST", f"/v1/calls/{first}/hangup")
