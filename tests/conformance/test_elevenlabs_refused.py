"""One table of everything the emulated service refuses: REST status and code, or close code and reason."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from shortwire.emulators.elevenlabs import Behaviour, ElevenLabsEmulator, EmulatorConfig, ScriptedTool
from shortwire.emulators.elevenlabs.personalise import OVERRIDABLE
from shortwire.emulators.scenario import AgentScript, Reply

SCRIPT = AgentScript(first_message="Hello.", replies=(Reply("Yes.", (10, 20)),), transcripts=("Hello.",))
BEHAVIOUR = Behaviour(greeting_think_ms=(10, 20), validation_ms=20)
KEY = {"xi-api-key": "sk_emulated"}
SIGN = "/v1/convai/conversation/get-signed-url"
AGENTS, CONVERSATIONS = "/v1/convai/agents", "/v1/convai/conversations"
DEMO = f"{AGENTS}/agent_demo"


def emulator(**changes) -> ElevenLabsEmulator:
    return ElevenLabsEmulator(EmulatorConfig(**{"script": SCRIPT, "behaviour": BEHAVIOUR, **changes}))


# -- REST: (method, path, body, status, code of the error or type of the first complaint) -----------------------------

UNKNOWN = [
    ("GET", f"{SIGN}?agent_id=nobody", None, 404, "agent_not_found"),
    ("GET", f"{SIGN}?agent_id=agent_demo&branch_id=other", None, 404, "agent_not_found"),
    ("GET", f"{AGENTS}/nobody", None, 404, "agent_not_found"),
    ("GET", f"{DEMO}?version_id=other", None, 404, "agent_not_found"),
    ("PATCH", f"{AGENTS}/nobody", {}, 404, "agent_not_found"),
    ("DELETE", f"{AGENTS}/nobody", None, 404, "agent_not_found"),
    ("GET", "/v1/convai/conversation/token?agent_id=nobody", None, 404, "agent_not_found"),
    ("GET", f"{CONVERSATIONS}/none", None, 404, "conversation_not_found"),
    ("GET", f"{CONVERSATIONS}/none/audio", None, 404, "conversation_not_found"),
    ("DELETE", f"{CONVERSATIONS}/none", None, 404, "conversation_not_found"),
    ("POST", f"{CONVERSATIONS}/none/feedback", {"feedback": "like"}, 404, "conversation_not_found"),
    ("POST", f"{CONVERSATIONS}/none/files", {}, 404, "conversation_not_found"),
    ("DELETE", f"{CONVERSATIONS}/none/files/f", None, 404, "conversation_not_found"),
]
QUERIES = [
    ("GET", SIGN, None, 422, "missing"),
    ("GET", f"{SIGN}?agent_id=agent_demo&include_conversation_id=perhaps", None, 422, "bool_parsing"),
    ("GET", "/v1/convai/conversation/token", None, 422, "missing"),
    ("GET", "/v1/convai/conversation/token?agent_id=agent_demo", None, 400, "webrtc_not_emulated"),
    ("GET", f"{AGENTS}?page_size=x", None, 422, "less_than_equal"),
    ("GET", f"{AGENTS}?page_size=0", None, 422, "greater_than_equal"),
    ("GET", f"{AGENTS}?page_size=101", None, 422, "less_than_equal"),
    ("GET", f"{AGENTS}?cursor=zzz", None, 422, "value_error"),
    ("GET", f"{AGENTS}?sort_by=colour", None, 422, "enum"),
    ("GET", f"{AGENTS}?sort_direction=up", None, 422, "enum"),
    ("GET", f"{AGENTS}?archived=perhaps", None, 422, "bool_parsing"),
    ("GET", f"{CONVERSATIONS}?page_size=101", None, 422, "less_than_equal"),
    ("GET", f"{CONVERSATIONS}?call_successful=maybe", None, 422, "enum"),
    ("GET", f"{CONVERSATIONS}?call_start_after_unix=noon", None, 422, "int_parsing"),
    ("GET", f"{CONVERSATIONS}?call_duration_min_secs=long", None, 422, "float_parsing"),
    ("GET", f"{CONVERSATIONS}?summary_mode=some", None, 422, "enum"),
]


def patch(section: str, key: str, value: object, kind: str) -> tuple:
    return ("PATCH", DEMO, {"conversation_config": {section: {key: value}}}, 422, kind)


CONFIGURATIONS = [
    ("POST", f"{AGENTS}/create", {}, 422, "missing"),
    ("POST", f"{AGENTS}/create", ["a list"], 422, "dict_type"),
    ("POST", f"{AGENTS}/create", {"conversation_config": 1}, 422, "dict_type"),
    ("POST", f"{AGENTS}/create", {"conversation_config": {"tts": {"speed": 9}}}, 422, "less_than_equal"),
    ("PATCH", DEMO, {"name": 7}, 422, "string_type"),
    ("PATCH", DEMO, {"tags": "one"}, 422, "list_type"),
    ("PATCH", DEMO, {"platform_settings": []}, 422, "dict_type"),
    ("PATCH", DEMO, {"platform_settings": {"auth": {"allowlist": ["x"]}}}, 422, "list_type"),
    (
        "PATCH",
        DEMO,
        {"platform_settings": {"auth": {"allowlist": [{"hostname": str(n)} for n in range(11)]}}},
        422,
        "too_long",
    ),
    patch("asr", "user_input_audio_format", "mp3", "enum"),
    patch("asr", "keywords", ["w"] * 51, "too_long"),
    patch("asr", "keywords", "w", "list_type"),
    patch("asr", "provider", "other", "enum"),
    patch("turn", "turn_timeout", 31, "less_than_equal"),
    patch("turn", "turn_timeout", "7", "float_type"),
    patch("turn", "turn_eagerness", "keen", "enum"),
    patch("turn", "spelling_patience", "on", "enum"),
    patch("turn", "speculative_turn", "yes", "bool_type"),
    patch("turn", "interruption_ignore_terms", "yeah", "list_type"),
    patch("turn", "soft_timeout_config", {"timeout_seconds": 0.2}, "greater_than_equal"),
    patch("turn", "soft_timeout_config", {"message": "m" * 201}, "string_too_long"),
    patch("turn", "soft_timeout_config", {"message": ""}, "string_too_short"),
    patch("turn", "soft_timeout_config", {"additional_soft_timeout_messages": ["m"] * 8}, "too_long"),
    patch("turn", "soft_timeout_config", {"max_soft_timeouts_per_generation": 9}, "less_than_equal"),
    patch("tts", "model_id", "eleven_slow", "enum"),
    patch("tts", "agent_output_audio_format", "ulaw_16000", "enum"),
    patch("tts", "speed", 0.5, "greater_than_equal"),
    patch("tts", "stability", 2, "less_than_equal"),
    patch("tts", "optimize_streaming_latency", 5, "less_than_equal"),
    patch("tts", "optimize_streaming_latency", 1.5, "int_type"),
    patch("conversation", "max_duration_seconds", 59, "greater_than_equal"),
    patch("conversation", "max_duration_seconds", 7201, "less_than_equal"),
    patch("conversation", "client_events", ["audio", "everything"], "enum"),
    patch("conversation", "text_only", 1, "bool_type"),
    patch("agent", "first_message", None, "string_type"),
    patch("agent", "prompt", {"llm": "hal-9000"}, "enum"),
    patch("agent", "prompt", {"cascade_timeout_seconds": 1}, "greater_than_equal"),
    patch("agent", "prompt", {"reasoning_effort": "immense"}, "enum"),
    patch("agent", "prompt", {"tools": [{"name": "t"}], "tool_ids": ["t"]}, "value_error"),
    patch("agent", "prompt", {"llm": "custom-llm"}, "value_error"),
    patch("agent", "prompt", {"custom_llm": {"model_id": "m"}}, "missing"),
]
KEYED = [
    ("GET", SIGN),
    ("GET", AGENTS),
    ("GET", DEMO),
    ("POST", f"{AGENTS}/create"),
    ("PATCH", DEMO),
    ("DELETE", DEMO),
    ("GET", CONVERSATIONS),
    ("GET", f"{CONVERSATIONS}/x"),
    ("GET", f"{CONVERSATIONS}/x/audio"),
    ("DELETE", f"{CONVERSATIONS}/x"),
    ("GET", "/v1/convai/llm/list"),
    ("GET", "/v1/convai/analytics/live-count"),
]


def identify(row: tuple) -> str:
    return " ".join(str(part)[:60] for part in row)


async def asked(eleven: ElevenLabsEmulator, method: str, path: str, body: object, headers: dict) -> tuple[int, dict]:
    async with (
        aiohttp.ClientSession(eleven.base_url) as session,
        session.request(method, path, json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


@pytest.mark.parametrize("row", [*UNKNOWN, *QUERIES, *CONFIGURATIONS], ids=identify)
async def test_rest_refuses(row):
    method, path, body, status, code = row
    async with emulator() as eleven:
        before = eleven.agents.get("agent_demo")
        got, answer = await asked(eleven, method, path, body, KEY)
        assert eleven.agents.get("agent_demo") == before
    assert got == status, answer
    detail = answer["detail"]
    if status == 422:
        assert detail[0]["type"] == code
        assert detail[0]["loc"][0] in ("query", "body")
        assert detail[0]["msg"]
    else:
        assert set(detail) == {"type", "code", "message", "status", "request_id", "param"}
        assert (detail["code"], detail["status"]) == (code, code)


@pytest.mark.parametrize("call", KEYED, ids=identify)
@pytest.mark.parametrize(("headers", "code"), [({}, "missing_api_key"), ({"xi-api-key": "no"}, "invalid_api_key")])
async def test_rest_wants_a_key(call, headers, code):
    async with emulator() as eleven:
        status, answer = await asked(eleven, *call, None, headers)
    assert (status, answer["detail"]["code"]) == (401, code)


# -- the socket: (settings, what the client sends, code, reason) ------------------------------------------------------

INVALID = "Invalid message received"


def data(**fields) -> dict:
    return {"type": "conversation_initiation_client_data", **fields}


def override(name: str, value: object) -> dict:
    tree: object = value
    for part in reversed(name.split(".")):
        tree = {part: tree}
    return data(conversation_config_override=tree)


NOT_PERMITTED = [
    ({}, override(name, "x"), 1008, f"Override for field '{name.rpartition('.')[2]}' is not allowed by config.")
    for name in sorted(OVERRIDABLE - {"asr.keywords"})  # keywords are ignored without a word
] + [
    (
        {},
        override("audio.optimize_latency", 4),
        1008,
        "Override for field 'optimize_latency' is not allowed by config.",
    ),
    (
        {},
        data(custom_llm_extra_body={"a": 1}),
        1008,
        "Override for field 'custom_llm_extra_body' is not allowed by config.",
    ),
    (
        {},
        data(starting_workflow_node_id="n"),
        1008,
        "Override for field 'starting_workflow_node_id' is not allowed by config.",
    ),
    ({}, data(procedure_ids=["p"]), 1008, "Override for field 'procedure_ids' is not allowed by config."),
]
ALL = {"allow_overrides": ("*",)}
BAD_VALUES = [
    (ALL, override(name, value), 1008, INVALID)
    for name, value in (
        ("tts.speed", 5),
        ("tts.stability", "firm"),
        ("tts.model_id", "eleven_slow"),
        ("agent.first_message", 1),
        ("agent.prompt.llm", "hal-9000"),
        ("conversation.text_only", "yes"),
        ("conversation.max_duration_seconds", "long"),
        ("conversation.max_duration_seconds", 9999),
        ("turn.soft_timeout_config.message", ""),
    )
] + [(ALL, override("agent.language", "xx"), 1008, "Language 'xx' is not supported by this agent.")]
VARIABLES = [
    ({}, data(dynamic_variables={"system__time_utc": "now"}), 1008, INVALID),
    ({}, data(dynamic_variables={"a": ["list"]}), 1008, INVALID),
    ({}, data(dynamic_variables={"a": None}), 1008, INVALID),
    (
        {"script": AgentScript(first_message="Hi {{b}} {{a}}")},
        data(),
        1008,
        "Missing required dynamic variables in first message: {'a', 'b'}",
    ),
    (
        {"script": AgentScript(first_message="Hi {{secret__k}}")},
        data(dynamic_variables={"secret__k": "v"}),
        1008,
        "Missing required dynamic variables in first message: {'secret__k'}",
    ),
    (
        {"behaviour": Behaviour(validation_ms=20, tools=(ScriptedTool(0, "t", {"who": "{{caller}}"}),))},
        data(),
        1008,
        "Missing required dynamic variables in tools: {'caller'}",
    ),
]
MESSAGES = [
    ({}, message, 1008, INVALID)
    for message in (
        "{",
        "[]",
        '"text"',
        "null",
        {},
        {"type": "novelty"},
        {"type": 1},
        {"type": "enclave_setup_config"},
        {"type": "pong"},
        {"type": "pong", "event_id": "2"},
        {"type": "pong", "event_id": True},
        {"type": "pong", "event_id": 2, "more": 1},
        {"user_audio_chunk": "not base64!"},
        {"user_audio_chunk": 7},
        {"user_audio_chunk": "", "more": 1},
        {"type": "contextual_update"},
        {"type": "contextual_update", "text": 1},
        {"type": "contextual_update", "text": "t", "context_id": 1},
        {"type": "user_message", "text": ["t"]},
        {"type": "user_activity", "more": 1},
        {"type": "feedback", "event_id": 1},
        {"type": "feedback", "event_id": 1, "score": "great"},
        {"type": "client_tool_result", "tool_call_id": "t", "result": "r"},
        {"type": "client_tool_result", "tool_call_id": "t", "result": "r", "is_error": "no"},
        {"type": "client_tool_result", "tool_call_id": "t", "result": "r", "is_error": True, "error_type": "new"},
        {"type": "mcp_tool_approval_result", "tool_call_id": "t"},
        {"type": "mcp_tool_approval_result", "tool_call_id": "t", "is_approved": "yes"},
        {"type": "multimodal_message"},
        {"type": "multimodal_message", "text": {"type": "text", "text": "t"}},
        {"type": "multimodal_message", "file": {"type": "file_input"}},
        {"type": "multimodal_message", "files": ["file_1"]},
        data(dynamic_variables=[]),
        data(conversation_config_override="x"),
        data(user_id=7),
        data(source_info={"source": "python_sdk", "version": "v" * 51}),
        data(tool_mock_config={"mocking_strategy": "sometimes"}),
        data(unknown=1),
    )
]


async def ending(eleven: ElevenLabsEmulator, query: str, sent: list, **options) -> tuple[list[str], int | None, str]:
    """(message types, close code, reason)."""
    kinds: list[str] = []
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{eleven.base_url}/v1/convai/conversation?{query}", **options) as ws,
    ):
        for message in sent:
            await ws.send_str(message if isinstance(message, str) else json.dumps(message))
        async with asyncio.timeout(20):
            while True:
                message = await ws.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return kinds, ws.close_code, message.extra or ""
                kinds.append(json.loads(message.data)["type"])


@pytest.mark.parametrize("row", [*NOT_PERMITTED, *BAD_VALUES, *VARIABLES, *MESSAGES], ids=identify)
async def test_the_socket_refuses_after_the_metadata(row):
    settings, message, code, reason = row
    async with emulator(enable_auth=False, **settings) as eleven:
        assert await ending(eleven, "agent_id=agent_demo", [message]) == (
            ["conversation_initiation_metadata"],
            code,
            reason,
        )
        (record,) = eleven.ledger.conversations.values()
    assert any(note.startswith("refused") for note in record.notes)


ALLOWLIST = {"auth": {"allowlist": [{"hostname": "shop.example"}], "require_origin_header": True}}
UNAUTHORIZED = "Could not authorize the conversation."


@pytest.mark.parametrize(
    ("settings", "query", "headers", "code", "reason"),
    [
        ({}, "", {}, 3000, "Request error"),
        ({}, "agent_id=nobody", {}, 3000, "The AI agent you are trying to reach does not exist."),
        ({}, "agent_id=agent_demo&branch_id=other", {}, 3000, "Request error"),
        (None, "agent_id=agent_demo", {}, 3000, UNAUTHORIZED),
        (None, "agent_id=agent_demo&conversation_signature=forged", {}, 3000, UNAUTHORIZED),
        (None, "agent_id=agent_demo", KEY, 3000, UNAUTHORIZED),
        (ALLOWLIST, "agent_id=agent_demo", {}, 3000, UNAUTHORIZED),
        (ALLOWLIST, "agent_id=agent_demo", {"Origin": "https://other.example"}, 3000, UNAUTHORIZED),
        (
            {"call_limits": {"agent_concurrency_limit": 0}},
            "agent_id=agent_demo",
            {},
            3008,
            "too many concurrent connections",
        ),
        ({"call_limits": {"daily_limit": 0}}, "agent_id=agent_demo", {}, 3008, "too many concurrent connections"),
    ],
)
async def test_the_socket_refuses_at_the_door(settings, query, headers, code, reason):
    async with emulator(enable_auth=settings is None) as eleven:
        eleven.agents.patch("agent_demo", {"platform_settings": settings or {}})
        assert await ending(eleven, query, [], headers=headers) == ([], code, reason)
        assert eleven.ledger.refusals[0]["code"] == code
    if settings is ALLOWLIST:
        async with emulator(enable_auth=False) as eleven, aiohttp.ClientSession() as session:
            eleven.agents.patch("agent_demo", {"platform_settings": settings})
            url = f"{eleven.base_url}/v1/convai/conversation?agent_id=agent_demo"
            async with session.ws_connect(url, headers={"Origin": "https://shop.example"}) as ws:
                assert "conversation_initiation_metadata_event" in await ws.receive_json()


async def test_files_are_refused_beyond_the_limit_and_where_they_are_off():
    async with (
        emulator(enable_auth=False) as eleven,
        aiohttp.ClientSession(eleven.base_url) as session,
        session.ws_connect("/v1/convai/conversation?agent_id=agent_demo") as ws,
    ):
        await ws.receive_json()
        (conversation_id,) = eleven.ledger.conversations
        path = f"{CONVERSATIONS}/{conversation_id}/files"

        async def upload(**fields) -> tuple[int, str]:
            form = aiohttp.FormData()
            for name, value in fields.items():
                form.add_field(name, value, filename="f.txt")
            async with session.post(path, data=form) as answer:
                body = await answer.json()
                detail = body.get("detail", [{}])
                return answer.status, detail[0].get("type") if isinstance(detail, list) else detail["code"]

        assert await upload(other=b"x") == (422, "missing")
        assert [(await upload(file=b"x"))[0] for _ in range(10)] == [200] * 10
        assert await upload(file=b"x") == (400, "too_many_files")
        off = {"conversation": {"file_input": {"enabled": False}}}
        eleven.agents.patch("agent_demo", {"conversation_config": off})
        assert await upload(file=b"x") == (400, "file_input_disabled")
        async with session.post(f"{CONVERSATIONS}/{conversation_id}/feedback", json={"feedback": "fine"}) as answer:
            assert answer.status == 422
        async with session.delete(f"{path}/nothing") as answer:
            assert answer.status == 404
        async with session.delete(f"{CONVERSATIONS}/{conversation_id}", headers=KEY) as answer:
            assert answer.status == 409
        unknown = {"type": "multimodal_message", "file": {"type": "file_input", "file_id": "file_unknown"}}
        await ws.send_json(data())
        await ws.send_json(unknown)
        async with asyncio.timeout(20):
            while (await ws.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert ws.close_code == 1008
        eleven.agents.delete("agent_demo")


def test_the_table_is_as_long_as_it_says():
    rest = len(UNKNOWN) + len(QUERIES) + len(CONFIGURATIONS) + 2 * len(KEYED)
    socket = len(NOT_PERMITTED) + len(BAD_VALUES) + len(VARIABLES) + len(MESSAGES) + 10
    assert rest >= 90
    assert socket >= 80
