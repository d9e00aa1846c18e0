"""Faults on real sockets: what only a connection can show. The rest is tested in virtual time."""

from __future__ import annotations

import asyncio
import json
import warnings

import aiohttp
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from elevenlabs import ElevenLabs
    from elevenlabs.core.api_error import ApiError

from shortwire.emulators.elevenlabs import Behaviour, ElevenLabsEmulator, EmulatorConfig, Faults
from shortwire.emulators.scenario import AgentScript, Reply

KEY = {"xi-api-key": "sk_emulated"}
SIGN = "/v1/convai/conversation/get-signed-url?agent_id=agent_demo"
SOCKET = "/v1/convai/conversation?agent_id=agent_demo"
DATA = {"type": "conversation_initiation_client_data"}
SCRIPT = AgentScript(first_message="Hello.", replies=(Reply("Yes.", (10, 20)),) * 50)


def emulator(**changes) -> ElevenLabsEmulator:
    behaviour = Behaviour(greeting_think_ms=(10, 20), ping_first_ms=50, ping_interval_ms=50)
    return ElevenLabsEmulator(
        EmulatorConfig(**{"script": SCRIPT, "behaviour": behaviour, "enable_auth": False, **changes})
    )


@pytest.mark.parametrize(
    ("shape", "detail"),
    [
        ("full", {"code": "system_busy", "status": "system_busy"}),
        ("legacy", {"status": "system_busy", "message": "Too many concurrent requests."}),
        ("string", "Too many concurrent requests."),
        ("list", None),
        ("html", None),
        ("empty", None),
    ],
)
async def test_errors_in_every_shape_and_a_retry_after(shape, detail):
    async with emulator() as eleven, aiohttp.ClientSession(eleven.base_url) as session:
        faults = {"rest_status": 429, "rest_times": 1, "error_shape": shape, "error_code": "system_busy"}
        async with session.post("/_emulator/faults", json={**faults, "retry_after_s": 3}) as answer:
            assert answer.status == 200
        async with session.get("/v1/convai/agents", headers=KEY) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "3")
            text = await answer.text()
        async with session.get("/v1/convai/agents", headers=KEY) as answer:
            assert answer.status == 200
    if isinstance(detail, dict):
        assert detail.items() <= json.loads(text)["detail"].items()
    elif detail is not None:
        assert json.loads(text) == {"detail": detail}
    elif shape == "list":
        assert json.loads(text)["detail"][0]["loc"] == ["query", "agent_id"]
    else:
        assert text.startswith("<html>") if shape == "html" else text == ""


@pytest.mark.parametrize("shape", ["full", "legacy", "string", "list", "html", "empty"])
async def test_the_python_sdk_makes_an_error_of_every_shape(shape):
    async with emulator() as eleven:
        eleven.faults = Faults(rest_status=403, error_shape=shape)
        client = ElevenLabs(base_url=eleven.base_url, api_key="sk_emulated")
        with pytest.raises(ApiError) as refused:
            await asyncio.to_thread(client.conversational_ai.agents.list)
        assert refused.value.status_code == 403


async def test_a_fault_hits_only_its_path_and_headers_come_only_when_chosen():
    async with (
        emulator(region="eu", concurrency_headers=True, concurrency_limit=4) as eleven,
        aiohttp.ClientSession(eleven.base_url) as session,
    ):
        eleven.faults = Faults(rest_status=503, rest_path="/v1/convai/agents", rest_delay_ms=20)
        async with session.get("/v1/convai/agents/agent_demo", headers=KEY) as answer:
            assert answer.status == 503
        async with session.get(SIGN, headers=KEY) as answer:
            assert answer.status == 200
            assert answer.headers["x-region"] == "eu"
            assert answer.headers["maximum-concurrent-requests"] == "4"
    async with (
        emulator() as eleven,
        aiohttp.ClientSession(eleven.base_url) as session,
        session.get(SIGN, headers=KEY) as answer,
    ):
        assert not {"x-region", "maximum-concurrent-requests", "Retry-After"} & set(answer.headers)


async def test_a_deaf_peer_stops_the_flow_until_the_senders_buffers_are_full():
    async with emulator() as eleven, aiohttp.ClientSession(eleven.base_url) as session:
        eleven.faults = Faults(deaf_after_ms=100, mute_after_ms=100)
        async with session.ws_connect(SOCKET, autoping=False) as ws:
            await ws.receive_json()
            (record,) = eleven.ledger.conversations.values()
            await asyncio.sleep(0.3)
            before = record.audio_in.messages
            chunk = json.dumps({"user_audio_chunk": "A" * 40_000})
            with pytest.raises(TimeoutError):  # loopback takes some megabytes before it pushes back
                async with asyncio.timeout(2):
                    while True:
                        await ws.send_str(chunk)
            assert record.audio_in.messages <= before + 1
            assert not ws.closed
            assert record.closed_ns is None
            assert record.conversation_id in eleven.live
    assert not eleven.live


async def test_faults_can_be_set_for_one_live_conversation():
    async with (
        emulator() as eleven,
        aiohttp.ClientSession(eleven.base_url) as session,
        session.ws_connect(SOCKET) as one,
        session.ws_connect(SOCKET) as other,
    ):
        first = (await one.receive_json())["conversation_initiation_metadata_event"]["conversation_id"]
        await other.receive_json()
        path = f"/_emulator/conversations/{first}/faults"
        async with session.post(path, json={"close_after_ms": [1011, "crash", 20]}) as answer:
            assert answer.status == 200
        async with asyncio.timeout(20):
            while (message := await one.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert (message.data, message.extra) == (1011, "crash")
        assert not other.closed
        async with session.post(path, json={}) as answer:
            assert answer.status == 404
        live = f"/_emulator/conversations/{next(iter(eleven.live))}/faults"
        for bad in ({"nonsense": 1}, {"error_shape": "round"}, {"extra_keys": 1}, 7):
            async with session.post(live, json=bad) as answer:
                assert answer.status == 400


async def test_a_burst_is_let_in_up_to_three_times_the_limit_and_marked():
    async with emulator(concurrency_limit=1, burst=True) as eleven, aiohttp.ClientSession(eleven.base_url) as session:
        sockets = [await session.ws_connect(SOCKET) for _ in range(4)]
        for ws in sockets[:3]:
            assert "conversation_initiation_metadata_event" in await ws.receive_json()
        refused = await sockets[3].receive()
        assert refused.data == 3008
        assert [record.burst for record in eleven.ledger.conversations.values()] == [False, True, True]
        async with session.get("/v1/convai/analytics/live-count", headers=KEY) as answer:
            assert await answer.json() == {"count": 3}
        async with session.get("/v1/convai/analytics/live-count?agent_ids=other", headers=KEY) as answer:
            assert await answer.json() == {"count": 0}
        for ws in sockets:
            await ws.close()


async def test_a_queue_holds_the_caller_until_there_is_room_or_the_time_is_over():
    async with emulator(concurrency_limit=1) as eleven, aiohttp.ClientSession(eleven.base_url) as session:
        queue = {"queueing_config": {"enabled": True, "wait_timeout_seconds": 30}}
        eleven.agents.patch("agent_demo", {"platform_settings": queue})
        first = await session.ws_connect(SOCKET)
        await first.receive_json()
        second = await session.ws_connect(SOCKET)
        assert (await second.receive_json())["queue_status_event"] == {"status": "waiting"}
        await first.close()
        assert (await second.receive_json())["queue_status_event"] == {"status": "admitted"}
        assert "conversation_initiation_metadata_event" in await second.receive_json()
        assert list(eleven.ledger.conversations.values())[1].queue_wait_s > 0
        queue["queueing_config"]["wait_timeout_seconds"] = 0.1
        eleven.agents.patch("agent_demo", {"platform_settings": queue})
        third = await session.ws_connect(SOCKET)
        assert [(await third.receive_json())["queue_status_event"]["status"] for _ in range(2)] == [
            "waiting",
            "timed_out",
        ]
        assert (await third.receive()).data == 3008
        await second.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "example.com", "::", ""])
def test_it_listens_nowhere_but_on_loopback(host):
    with pytest.raises(ValueError, match="loopback only"):
        EmulatorConfig(host=host)


async def test_another_loopback_address_will_do():
    async with emulator(host="127.0.0.2") as eleven, aiohttp.ClientSession(eleven.base_url) as session:
        assert eleven.base_url.startswith("http://127.0.0.2:")
        async with session.get(SIGN, headers=KEY) as answer:
            assert (await answer.json())["signed_url"].startswith("ws://127.0.0.2:")
