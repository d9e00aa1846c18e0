"""Everything the emulated service refuses, with the documented code and text; and what a plain client can see of it."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl

import aiohttp
import pytest

from shortwire.emulators.elevenlabs import Behaviour, ElevenLabsEmulator, EmulatorConfig, Faults
from shortwire.emulators.scenario import AgentScript, Reply
from shortwire.emulators.speech import speak

SCRIPT = AgentScript(first_message="Hello.", replies=(Reply("Yes.", (10, 20)),), transcripts=("Hello.",))
BEHAVIOUR = Behaviour(greeting_think_ms=(10, 20), validation_ms=20)
KEY = {"xi-api-key": "sk_emulated"}
SIGN = "/v1/convai/conversation/get-signed-url"


def config(**changes) -> EmulatorConfig:
    return EmulatorConfig(**{"script": SCRIPT, "behaviour": BEHAVIOUR, **changes})


async def signed_url(session, eleven, **query) -> str:
    params = {"agent_id": "agent_demo", **query}
    async with session.get(eleven.base_url + SIGN, params=params, headers=KEY) as answer:
        assert answer.status == 200
        return (await answer.json())["signed_url"]


async def ending(session, url, *sent, **options) -> tuple[list[dict], int | None, str]:
    """(messages, close code, reason) of a socket to which these texts were sent."""
    got = []
    async with session.ws_connect(url, **options) as ws:
        for text in sent:
            await ws.send_str(text if isinstance(text, str) else json.dumps(text))
        reason = ""
        async with asyncio.timeout(20):
            while True:
                message = await ws.receive()
                if message.type is aiohttp.WSMsgType.TEXT:
                    got.append(json.loads(message.data))
                else:
                    reason = message.extra or ""
                    break
        return got, ws.close_code, reason


def data(**fields) -> dict:
    return {"type": "conversation_initiation_client_data", **fields}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", SIGN + "?agent_id=agent_demo", {}, 401, "missing_api_key"),
        ("GET", SIGN + "?agent_id=agent_demo", {"xi-api-key": "no"}, 401, "invalid_api_key"),
        ("GET", SIGN + "?agent_id=nobody", KEY, 404, "agent_not_found"),
        ("GET", SIGN, KEY, 422, "missing"),
        ("GET", "/v1/convai/agents/nobody", KEY, 404, "agent_not_found"),
        ("PATCH", "/v1/convai/agents/nobody", KEY, 404, "agent_not_found"),
        ("DELETE", "/v1/convai/agents/nobody", KEY, 404, "agent_not_found"),
        ("POST", "/v1/convai/agents/create", KEY, 422, "missing"),
        ("GET", "/v1/convai/conversations/none", KEY, 404, "conversation_not_found"),
        ("GET", "/v1/convai/conversations?page_size=101", KEY, 422, "less_than_equal"),
        ("GET", "/v1/convai/agents?page_size=x", KEY, 422, "less_than_equal"),
    ],
)
async def test_rest_refusals(method, path, headers, status, code):
    async with ElevenLabsEmulator(config()) as eleven, aiohttp.ClientSession() as session:
        body = {} if method in ("PATCH", "POST") else None
        async with session.request(method, eleven.base_url + path, headers=headers, json=body) as answer:
            assert answer.status == status
            detail = (await answer.json())["detail"]
        if status == 422:
            assert detail[0]["type"] == code
        else:
            assert (detail["code"], detail["status"]) == (code, code)
            assert set(detail) == {"type", "code", "message", "status", "request_id", "param"}
            assert answer.headers["request-id"] == detail["request_id"]
        assert eleven.ledger.requests[0].status == status


BAD_VOICE = data(conversation_config_override={"tts": {"voice_id": "x"}})


@pytest.mark.parametrize(
    ("settings", "query", "sent", "code", "reason"),
    [
        ({}, "agent_id=agent_demo", (), 3000, "Could not authorize the conversation."),
        ({}, "agent_id=agent_demo&conversation_signature=forged", (), 3000, "Could not authorize the conversation."),
        ({}, "agent_id=nobody", (), 3000, "The AI agent you are trying to reach does not exist."),
        ({}, "", (), 3000, "Request error"),
        ({"enable_auth": False}, "agent_id=agent_demo", ("{",), 1008, "Invalid message received"),
        ({"enable_auth": False}, "agent_id=agent_demo", ({"type": "new"},), 1008, "Invalid message received"),
        (
            {"enable_auth": False},
            "agent_id=agent_demo",
            (BAD_VOICE,),
            1008,
            "Override for field 'voice_id' is not allowed by config.",
        ),
        (
            {"enable_auth": False, "script": AgentScript(first_message="Hi {{username}}")},
            "agent_id=agent_demo",
            (data(),),
            1008,
            "Missing required dynamic variables in first message: {'username'}",
        ),
        (
            {"enable_auth": False, "concurrency_limit": 0},
            "agent_id=agent_demo",
            (),
            3008,
            "too many concurrent connections",
        ),
    ],
)
async def test_socket_refusals_come_as_a_close_after_101(settings, query, sent, code, reason):
    async with ElevenLabsEmulator(config(**settings)) as eleven, aiohttp.ClientSession() as session:
        got, closed, why = await ending(session, f"{eleven.base_url}/v1/convai/conversation?{query}", *sent)
    assert (closed, why) == (code, reason)
    kinds = [message["type"] for message in got]
    assert kinds == (["conversation_initiation_metadata"] if sent else [])
    assert eleven.ledger.refusals or eleven.ledger.conversations


async def test_signed_urls_expire_and_are_used_once_when_they_name_the_conversation():
    async with ElevenLabsEmulator(config()) as eleven, aiohttp.ClientSession() as session:
        once = await signed_url(session, eleven, include_conversation_id="true")
        name = once.rpartition("conversation_id=")[2]
        async with session.ws_connect(once) as ws:
            first = (await ws.receive_json())["conversation_initiation_metadata_event"]
            assert first["conversation_id"] == name
        assert (await ending(session, once))[1] == 3000
        often = await signed_url(session, eleven)
        for _ in range(2):
            async with session.ws_connect(often) as ws:
                assert "conversation_initiation_metadata_event" in await ws.receive_json()
    for changes, starts in (({"reuse_signed_urls": False}, 1), ({"signed_url_lifetime_s": 0.0}, 0)):
        async with ElevenLabsEmulator(config(**changes)) as eleven, aiohttp.ClientSession() as session:
            url = await signed_url(session, eleven)
            for _ in range(starts):
                async with session.ws_connect(url) as ws:
                    assert "conversation_initiation_metadata_event" in await ws.receive_json()
            assert (await ending(session, url))[1] == 3000


async def test_the_signed_url_leads_back_the_way_the_client_came():
    async with ElevenLabsEmulator(config()) as eleven, aiohttp.ClientSession() as session:
        headers = {**KEY, "Host": "relay.example:4711"}
        for path in (SIGN, SIGN.replace("-", "_")):
            async with session.get(
                eleven.base_url + path, params={"agent_id": "agent_demo"}, headers=headers
            ) as answer:
                assert (await answer.json())["signed_url"].startswith("ws://relay.example:4711/v1/convai/conversation?")


async def test_a_subprotocol_is_selected_only_when_offered():
    async with ElevenLabsEmulator(config(enable_auth=False)) as eleven, aiohttp.ClientSession() as session:
        url = f"{eleven.base_url}/v1/convai/conversation?agent_id=agent_demo"
        for offered, selected in (((), None), (("convai",), "convai"), (("convai", "bearer.x"), "convai")):
            async with session.ws_connect(url, protocols=offered) as ws:
                assert ws.protocol == selected


@pytest.mark.parametrize("compression", [True, False])
async def test_compression_is_accepted_only_when_configured(compression):
    async with (
        ElevenLabsEmulator(config(enable_auth=False, compression=compression)) as eleven,
        aiohttp.ClientSession() as session,
    ):
        url = f"{eleven.base_url}/v1/convai/conversation?agent_id=agent_demo"
        async with session.ws_connect(url, compress=15) as ws:
            assert bool(ws.compress) is compression
            await ws.receive_json()
        (record,) = eleven.ledger.conversations.values()
        assert record.compression is compression


async def test_the_concurrency_limit_counts_live_conversations_and_frees_their_place():
    async with (
        ElevenLabsEmulator(config(enable_auth=False, concurrency_limit=1, concurrency_close_code=4300)) as eleven,
        aiohttp.ClientSession() as session,
    ):
        url = f"{eleven.base_url}/v1/convai/conversation?agent_id=agent_demo"
        async with session.ws_connect(url) as ws:
            await ws.receive_json()
            assert (await ending(session, url))[1] == 4300
        for _ in range(1000):
            if not eleven.live:
                break
            await asyncio.sleep(0.01)
        async with session.ws_connect(url) as ws:
            assert "conversation_initiation_metadata_event" in await ws.receive_json()


async def test_an_api_key_opens_the_socket_only_where_that_is_chosen():
    for accepted in (False, True):
        async with (
            ElevenLabsEmulator(config(accept_api_key_header=accepted)) as eleven,
            aiohttp.ClientSession() as session,
        ):
            url = f"{eleven.base_url}/v1/convai/conversation?agent_id=agent_demo"
            async with session.ws_connect(url, headers=KEY) as ws:
                message = await ws.receive()
                assert (message.type is aiohttp.WSMsgType.TEXT) is accepted


@pytest.mark.parametrize("name", ["ulaw_8000", "pcm_16000", "pcm_44100"])
async def test_a_conversation_in_another_format(name):
    settings = config(enable_auth=False, user_input_audio_format="pcm_16000", agent_output_audio_format=name)
    async with ElevenLabsEmulator(settings) as eleven, aiohttp.ClientSession() as session:
        url = f"{eleven.base_url}/v1/convai/conversation?agent_id=agent_demo"
        from shortwire.emulators.elevenlabs.formats import bytes_per_ms, encoded

        party = encoded(b"\xff" * 800 + speak("Hello.", "party") + b"\xff" * 8000, "pcm_16000")
        async with session.ws_connect(url) as ws, asyncio.timeout(20):
            assert (await ws.receive_json())["conversation_initiation_metadata_event"][
                "agent_output_audio_format"
            ] == name
            await ws.send_json(data())
            spoken: list[bytes] = []
            texts: list[str] = []
            while len(texts) < 2:
                message = await ws.receive_json()
                if message["type"] == "audio":
                    spoken.append(base64.b64decode(message["audio_event"]["audio_base_64"]))
                elif message["type"] == "agent_response":
                    texts.append(message["agent_response_event"]["agent_response"])
                    if len(texts) == 1:
                        await asyncio.sleep(0.7)  # until "Hello." has been said
                        for at in range(0, len(party), 1001):
                            await ws.send_json({"user_audio_chunk": base64.b64encode(party[at : at + 1001]).decode()})
    assert texts == ["Hello.", "Yes."]
    expected_ms = sum(len(speak(text, "agent")) / 8 for text in texts)
    assert sum(map(len, spoken)) / bytes_per_ms(name) == pytest.approx(expected_ms, abs=2)


async def test_tls_with_an_authority_that_a_client_can_trust(tmp_path):
    async with ElevenLabsEmulator(config(tls_dir=tmp_path / "tls")) as eleven:
        assert eleven.base_url.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(eleven.ca_pem))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as session:
            url = await signed_url(session, eleven)
            assert url.startswith(f"wss://127.0.0.1:{eleven.port}/")
            assert eleven.ledger.requests[0].connection == eleven.ledger.connections[0].number
            async with session.ws_connect(url) as ws:
                assert "conversation_initiation_metadata_event" in await ws.receive_json()


async def test_an_idle_connection_is_closed_and_a_used_one_is_not():
    async with ElevenLabsEmulator(config(idle_connection_s=0.2)) as eleven:
        reader, writer = await asyncio.open_connection("127.0.0.1", eleven.port)
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        (entry,) = eleven.ledger.connections
        assert entry.idle_closed
        assert entry.first_bytes_ns is None
        async with aiohttp.ClientSession() as session:
            url = await signed_url(session, eleven)
            async with session.ws_connect(url) as ws:
                assert "conversation_initiation_metadata_event" in await ws.receive_json()
                await asyncio.sleep(0.4)
                assert not ws.closed
        assert not any(entry.idle_closed for entry in eleven.ledger.connections[1:])


async def test_the_control_api_sets_faults_shows_the_ledger_and_resets():
    async with (
        ElevenLabsEmulator(config(enable_auth=False)) as eleven,
        aiohttp.ClientSession(eleven.base_url) as session,
    ):
        async with session.post(
            "/_emulator/faults", json={"signed_url_status": 500, "signed_url_delay_ms": 50}
        ) as answer:
            assert (await answer.json())["signed_url_status"] == 500
        async with session.get(SIGN, params={"agent_id": "agent_demo"}, headers=KEY) as answer:
            assert answer.status == 500
        for bad in (
            {"signed_url_status": "x"},
            {"unknown": 1},
            {"close_after_ms": [1, 2]},
            {"withhold_pings": 1},
            [],
            7,
        ):
            async with session.post("/_emulator/faults", json=bad) as answer:
                assert answer.status == 400
                assert (await answer.json())["error"]
        async with session.post("/_emulator/faults", json={"close_after_ms": [1011, "crash", 100]}) as answer:
            assert answer.status == 200
        url = "/v1/convai/conversation?agent_id=agent_demo"
        _, code, reason = await ending(session, url, data())
        assert (code, reason) == (1011, "crash")
        async with session.post("/_emulator/faults", json={"drop_after_ms": 50}) as answer:
            assert answer.status == 200
        assert (await ending(session, url, data()))[1] in (None, 1006)
        async with session.post("/_emulator/faults", json={"upgrade_status": 503}) as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)
        async with session.get("/_emulator/ledger") as answer:
            ledger = await answer.json()
        assert ledger["requests"][0]["status"] == 500
        assert ledger["requests"][0]["duration_ns"] >= 50_000_000
        assert [entry["close_code"] for entry in ledger["conversations"]] == [1011, None]
        async with session.get("/_emulator/conversations") as answer:
            listed = (await answer.json())["conversations"]
        async with session.get(f"/_emulator/conversations/{listed[0]['conversation_id']}") as answer:
            assert (await answer.json())["counts"]["in"] == {"conversation_initiation_client_data": 1}
        async with session.get("/_emulator/conversations/none") as answer:
            assert answer.status == 404
        async with session.post("/_emulator/reset") as answer:
            assert answer.status == 200
        async with session.get("/_emulator/ledger") as answer:
            assert (await answer.json())["conversations"] == []
        assert eleven.faults == Faults()


async def test_a_live_conversation_can_be_ended_from_outside_and_a_text_without_speech_ends_it_with_a_reason():
    def mute(text: str, voice: str) -> bytes:
        raise LookupError("no speech for this")

    async with (
        ElevenLabsEmulator(config(enable_auth=False)) as eleven,
        aiohttp.ClientSession(eleven.base_url) as session,
    ):
        url = "/v1/convai/conversation?agent_id=agent_demo"
        async with session.ws_connect(url) as ws, asyncio.timeout(20):
            first = await ws.receive_json()
            conversation_id = first["conversation_initiation_metadata_event"]["conversation_id"]
            end = f"/_emulator/conversations/{conversation_id}/end"
            async with session.post(end, json={"code": 1002, "reason": "quota"}) as answer:
                assert answer.status == 200
            message = await ws.receive()
            assert (message.data, message.extra) == (1002, "quota")
        async with session.post(end, json={}) as answer:
            assert answer.status == 404
    async with (
        ElevenLabsEmulator(config(enable_auth=False, speak=mute)) as eleven,
        aiohttp.ClientSession(eleven.base_url) as session,
    ):
        _, code, reason = await ending(session, url, data())
        assert (code, reason) == (1011, "emulator: no speech for this")


async def test_stopping_closes_what_is_live():
    eleven = ElevenLabsEmulator(config(enable_auth=False))
    await eleven.start()
    async with (
        aiohttp.ClientSession(eleven.base_url) as session,
        session.ws_connect("/v1/convai/conversation?agent_id=agent_demo") as ws,
    ):
        await ws.receive_json()
        stopping = asyncio.create_task(eleven.stop())
        async with asyncio.timeout(20):
            while (await ws.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert ws.close_code == 1001
        await stopping
    assert not eleven.live
