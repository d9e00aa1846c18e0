"""The vendor's JavaScript clients do their whole job here: ``@elevenlabs/client`` and ``@elevenlabs/elevenlabs-js``."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from shortwire.emulators.elevenlabs import (
    Behaviour,
    ElevenLabsEmulator,
    EmulatorConfig,
    Faults,
    McpServer,
    PostCallWebhook,
    ScriptedEvent,
    ScriptedTool,
)
from shortwire.emulators.scenario import AgentScript, Reply
from shortwire.emulators.speech import speak

PROGRAMS = Path(__file__).parent / "node_elevenlabs"
LONG = "We are open from nine in the morning until ten at night, every day of the week."
HEARD = ("What are your opening hours?", "No, thank you.", "Goodbye.")
SPOKEN = ("Hello.", LONG, "Yes.", "Goodbye.")
SCRIPT = AgentScript(
    first_message="Hello.",
    replies=(
        Reply(LONG, think_ms=(20, 40)),
        Reply("Yes.", think_ms=(20, 40)),
        Reply("Goodbye.", think_ms=(20, 40), end_call=True),
    ),
    transcripts=HEARD,
)
LIVE = ("audio", "interruption", "user_transcript", "agent_response", "agent_response_correction")
TOOL = ScriptedTool(1, "look_up", {"what": "hours"})


@pytest.fixture(scope="session")
def node(tmp_path_factory) -> str:
    """node with the pinned packages installed. Skips where that cannot be; SHORTWIRE_REQUIRE_NODE makes it fail."""

    def cannot(why: str) -> None:
        if os.environ.get("SHORTWIRE_REQUIRE_NODE"):
            pytest.fail(why)
        pytest.skip(why)

    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        cannot("node or npm is missing: the JavaScript clients cannot be run")
    installed = PROGRAMS / "node_modules" / ".package-lock.json"
    lock = PROGRAMS / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        done = subprocess.run([npm, "ci"], check=False, cwd=PROGRAMS, capture_output=True, text=True, timeout=300)
        if done.returncode:
            cannot(f"npm ci failed: {done.stderr.strip().splitlines()[-1:]}")
    return found


async def run(node: str, program: str, **task) -> dict:
    """What the program reports."""
    process = await asyncio.create_subprocess_exec(
        node,
        str(PROGRAMS / program),
        json.dumps(task),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(90):
            out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    results = [line for line in out.decode().splitlines() if line.startswith("RESULT ")]
    assert process.returncode == 0 and results, errors.decode()
    return json.loads(results[-1].removeprefix("RESULT "))


def config(**changes) -> EmulatorConfig:
    behaviour = Behaviour(greeting_think_ms=(10, 20), ping_first_ms=150, ping_interval_ms=200, tools=(TOOL,))
    return EmulatorConfig(**{"script": SCRIPT, "behaviour": behaviour, **changes})


def says(folder: Path) -> list[dict]:
    """After the greeting; into the long answer; after the short one."""
    waits = {1: 600, 2: 0, 3: 400}
    said = []
    for after, text in enumerate(HEARD, start=1):
        path = folder / f"{after}.ulaw"
        path.write_bytes(speak(text, "party") + b"\xff" * 160 * 40)
        said.append({"after": after, "waitMs": waits[after], "path": str(path)})
    return said


async def signed_url(eleven: ElevenLabsEmulator) -> str:
    async with aiohttp.ClientSession(eleven.base_url) as session:
        query = {"agent_id": "agent_demo"}
        path = "/v1/convai/conversation/get-signed-url"
        async with session.get(path, params=query, headers={"xi-api-key": "sk_emulated"}) as answer:
            return (await answer.json())["signed_url"]


def kinds(result: dict, kind: str) -> list:
    return [entry[1] for entry in result["seen"] if entry[0] == kind]


async def test_the_client_holds_a_spoken_conversation(node, tmp_path):
    async with ElevenLabsEmulator(config()) as eleven:
        result = await run(
            node, "client_voice.mjs", signedUrl=await signed_url(eleven), says=says(tmp_path), approve=True
        )
        (record,) = eleven.ledger.conversations.values()
    assert kinds(result, "user") == list(HEARD)
    assert kinds(result, "ai") == list(SPOKEN)
    assert kinds(result, "tool") == ["hours"]
    assert result["audioBytes"] == sum(len(speak(text, "agent")) for text in SPOKEN)
    assert result["stale"] == 0
    (correction,) = kinds(result, "correction")
    assert correction["original_agent_response"] == LONG
    assert LONG.startswith(correction["corrected_agent_response"].removesuffix("..."))
    assert kinds(result, "interruption") == [record.turns[1].interruption_id]
    assert kinds(result, "ping")[0] == [2, None]
    assert kinds(result, "error") == []
    assert result["formats"] == [{"format": "ulaw", "sampleRate": 8000}] * 2
    assert result["ended"]["reason"] == "agent"
    assert record.subprotocol == "convai"
    assert record.tool_results[0]["result"] == '{"answer":"nine to ten"}'
    assert record.pings_answered >= 1
    assert record.client_data["source_info"]["source"] == "js_sdk"
    assert record.close_code == 1000


async def test_the_client_is_told_everything_an_agent_can_list(node, tmp_path):
    tools = (
        ScriptedTool(0, "search_menu", tool_type="mcp", result="fish", needs_approval=True),
        ScriptedTool(1, "crm", tool_type="webhook", result="known caller", duration_ms=20),
    )
    events = (
        ScriptedEvent(0, "guardrail_triggered", {"guardrail_name": "g"}),
        ScriptedEvent(0, "agent_typing", {"is_typing": True}, always=True),
        ScriptedEvent(0, "rich_content", {"rich_content_id": "r", "component": "card", "props": {}}, always=True),
        ScriptedEvent(1, "client_error", {"code": 1008, "error_name": "tool", "message": "m"}),
        ScriptedEvent(1, "error", {"code": 1002, "message": "slow", "error_type": "llm_timeout"}, always=True),
    )
    behaviour = Behaviour(
        greeting_think_ms=(10, 20),
        tools=tools,
        events=events,
        mcp_servers=(McpServer("mcp_1", tool_count=2),),
        tentative_interval_ms=60,
    )
    listed = (
        *LIVE,
        *("vad_score", "tentative_user_transcript", "agent_chat_response_part", "agent_response_complete"),
        *("agent_tool_request", "agent_tool_response", "agent_tool_response_full_payload", "mcp_tool_call"),
        *("mcp_connection_status", "context_usage", "asr_initiation_metadata", "internal_turn_probability"),
        *("internal_tentative_agent_response", "guardrail_triggered", "client_error"),
    )
    async with ElevenLabsEmulator(config(behaviour=behaviour, client_events=listed)) as eleven:
        result = await run(
            node, "client_voice.mjs", signedUrl=await signed_url(eleven), says=says(tmp_path), approve=True
        )
        (record,) = eleven.ledger.conversations.values()
    assert {*listed, "agent_typing", "rich_content", "error", "ping", "audio"} <= {*kinds(result, "raw"), "ping"}
    assert kinds(result, "mcp") == ["loading", "awaiting_approval", "loading", "success"]
    assert kinds(result, "mcp_status") == [
        [{"integration_id": "mcp_1", "integration_type": "mcp_server", "is_connected": True, "tool_count": 2}]
    ]
    assert [request["tool_name"] for request in kinds(result, "request")] == ["search_menu", "crm", "end_call"]
    full = [answer["full_tool_result"] for answer in kinds(result, "response") if "full_tool_result" in answer]
    assert full[:2] == ["fish", "known caller"]
    assert max(kinds(result, "vad")) > 0.9
    assert min(kinds(result, "vad")) < 0.1
    assert all(usage["model"] == "gemini-2.5-flash" for usage in kinds(result, "context"))
    assert kinds(result, "part")[:3] == ["start", "delta", "stop"]
    assert kinds(result, "error") == ["Server error: slow"]
    assert kinds(result, "rich") == ["card"]
    assert len(record.approvals) == 1
    assert "client_error" in kinds(result, "debug")


@pytest.mark.parametrize("signed", [True, False])
async def test_the_client_holds_a_written_conversation(node, signed):
    script = AgentScript(first_message="Hello.", replies=(Reply("Yes.", (10, 20)), Reply("A fine menu.", (10, 20))))
    allowed = ("agent.first_message", "conversation.text_only")
    behaviour = Behaviour(greeting_think_ms=(10, 20), tools=(ScriptedTool(0, "nobody_knows", expects_response=False),))
    settings = config(script=script, behaviour=behaviour, allow_overrides=allowed, enable_auth=signed)
    async with ElevenLabsEmulator(settings) as eleven:
        where = {"signedUrl": await signed_url(eleven)} if signed else {"agentId": "agent_demo"}
        origin = eleven.base_url.replace("http", "ws")
        result = await run(node, "client_text.mjs", origin=origin, http=eleven.base_url, hangUp=True, **where)
        (record,) = eleven.ledger.conversations.values()
        for _ in range(500):
            if record.closed_ns is not None:
                break
            await asyncio.sleep(0.01)
    assert [text for _, text, _ in result["messages"]] == ["Hi Ann, how are you?", "Yes.", "A fine menu."]
    assert result["unhandled"] == ["nobody_knows"]
    assert result["errors"] == []
    assert result["overall"] == 200
    assert result["ended"]["reason"] == "user"
    assert record.context == {"crm": "off hold list"}
    assert list(record.feedback.values()) == ["like"]
    assert record.overall_feedback["rating"] == 4
    assert record.files[result["fileId"]] == {"name": "menu.txt", "mime_type": "text/plain", "size": 6}
    assert record.text_only
    assert not record.has_audio
    assert (record.close_code, record.closed_by) == (1000, "client")
    assert [turn.user_text for turn in record.turns] == ["", "Are you well?", "See this."]


@pytest.mark.parametrize(
    ("settings", "options", "refused", "code"),
    [
        ({}, {"agentId": "agent_demo"}, "Could not authorize the conversation.", 3000),
        ({}, {"agentId": "nobody"}, "The AI agent you are trying to reach does not exist.", 3000),
        (
            {"enable_auth": False, "concurrency_limit": 0},
            {"agentId": "agent_demo"},
            "too many concurrent connections",
            3008,
        ),
    ],
)
async def test_the_client_is_refused_with_the_reason(node, settings, options, refused, code):
    async with ElevenLabsEmulator(config(**settings)) as eleven:
        origin = eleven.base_url.replace("http", "ws")
        options = {**options, "origin": origin, "connectionType": "websocket", "textOnly": True}
        result = await run(node, "client_refused.mjs", options=options)
    assert (result["refused"], result["closeCode"]) == (refused, code)


async def test_the_client_hears_of_a_refused_override_in_band_and_by_close(node):
    behaviour = Behaviour(greeting_think_ms=(10, 20), in_band_errors="error")
    async with ElevenLabsEmulator(config(enable_auth=False, behaviour=behaviour)) as eleven:
        options = {
            "agentId": "agent_demo",
            "origin": eleven.base_url.replace("http", "ws"),
            "connectionType": "websocket",
            "textOnly": True,
        }
        result = await run(node, "client_refused.mjs", options=options)
    reason = "Override for field 'text_only' is not allowed by config."
    assert result["errors"] == [[f"Server error: {reason}", "override_error"]]
    assert (result["ended"]["closeCode"], result["ended"]["closeReason"]) == (1008, reason)


@pytest.mark.parametrize("faults", [Faults(unknown_messages=True), Faults(extra_keys=True)])
async def test_the_client_survives_what_it_does_not_know(node, tmp_path, faults):
    async with ElevenLabsEmulator(config()) as eleven:
        url = await signed_url(eleven)
        eleven.faults = faults
        result = await run(node, "client_voice.mjs", signedUrl=url, says=says(tmp_path), approve=True)
    assert kinds(result, "ai") == list(SPOKEN)
    assert ("emulated_novelty" in kinds(result, "debug")) is faults.unknown_messages


async def test_the_server_sdk_holds_a_spoken_conversation(node, tmp_path):
    async with ElevenLabsEmulator(config()) as eleven:
        result = await run(
            node,
            "server_voice.mjs",
            http=eleven.base_url,
            apiKey="sk_emulated",
            agentId="agent_demo",
            says=says(tmp_path),
        )
        (record,) = eleven.ledger.conversations.values()
    assert kinds(result, "user") == list(HEARD)
    assert kinds(result, "agent") == list(SPOKEN)
    assert kinds(result, "tool") == ["hours"]
    assert len([entry for entry in result["seen"] if entry[0] == "interrupt"]) == 1
    assert result["audioBytes"] == sum(len(speak(text, "agent")) for text in SPOKEN)
    assert result["over"]["code"] == 1000
    assert result["over"]["id"] == record.conversation_id
    assert record.authorization_method == "signed_url"
    assert record.subprotocol is None
    assert not record.compression
    assert record.client_data["environment"] == "production"


async def test_the_server_sdk_uses_the_rest_calls(node, tmp_path):
    async with ElevenLabsEmulator(config()) as eleven:
        where = {"http": eleven.base_url, "apiKey": "sk_emulated", "agentId": "agent_demo"}
        await run(node, "server_voice.mjs", says=says(tmp_path), **where)
        result = await run(node, "server_rest.mjs", **where)
        assert not eleven.ledger.conversations
    assert result["eagerness"] == ["eager", "eager"]
    assert result["kept"] == "Hello."
    assert result["names"] == ["Second", True, "Demo", False]
    assert result["wrong"] == [422, "less_than_equal"]
    assert result["gone"] == [404, "agent_not_found"]
    assert result["unauthorized"] == [401, "invalid_api_key"]
    assert result["unknown"] == [404, "agent_not_found"]
    assert result["signed"].startswith("ws://127.0.0.1:")
    assert result["status"] == "done"
    assert result["transcript"][:2] == [["agent", "Hello.", False], ["user", HEARD[0], False]]
    assert result["transcript"][2][2] is True
    assert result["ttfb"] > 0
    assert result["summary"]
    assert result["audio"][0] > 100
    assert result["audio"][1] == 0xFF
    assert result["deleted"] == [404, "conversation_not_found"]
    assert result["llms"]


async def test_the_server_sdk_verifies_post_call_webhooks(node, tmp_path):
    arrived: list[dict] = []

    async def take(request: web.Request) -> web.Response:
        path = tmp_path / f"{len(arrived)}.json"
        path.write_bytes(await request.read())
        arrived.append({"path": str(path), "header": request.headers["ElevenLabs-Signature"]})
        return web.Response()

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    hook = PostCallWebhook(f"http://127.0.0.1:{port}/hook", "whsec_test", ("transcript", "audio"), after_close_ms=0)
    try:
        async with ElevenLabsEmulator(config(webhooks=(hook,))) as eleven:
            where = {"http": eleven.base_url, "apiKey": "sk_emulated", "agentId": "agent_demo"}
            await run(node, "server_voice.mjs", says=says(tmp_path), **where)
            for _ in range(1000):
                if len(arrived) == 2:
                    break
                await asyncio.sleep(0.01)
            (conversation_id,) = eleven.ledger.conversations
    finally:
        await runner.cleanup()
    requests = [{**entry, "secret": secret} for secret in ("whsec_test", "another") for entry in arrived]
    results = (await run(node, "webhooks.mjs", requests=requests))["results"]
    assert sorted(results[:2]) == [["post_call_audio", conversation_id], ["post_call_transcription", conversation_id]]
    assert [kind for kind, _ in results[2:]] == ["refused", "refused"]
