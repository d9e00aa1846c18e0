"""The official Python SDK does its whole job against the emulator, unchanged: both Conversations, and the client."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import warnings
from collections.abc import Awaitable, Callable

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the SDK names a deprecated class of websockets
    from elevenlabs import ElevenLabs
    from elevenlabs.conversational_ai.conversation import (
        AsyncAudioInterface,
        AsyncConversation,
        AudioInterface,
        ClientTools,
        Conversation,
        ConversationInitiationData,
    )
    from elevenlabs.core.api_error import ApiError
    from elevenlabs.errors import UnprocessableEntityError

from shortwire.emulators.elevenlabs import Behaviour, ElevenLabsEmulator, EmulatorConfig, Faults, ScriptedTool
from shortwire.emulators.scenario import AgentScript, Reply
from shortwire.emulators.speech import speak

LONG = "We are open from nine in the morning until ten at night, every day of the week."
SILENCE = b"\xff" * 160 * 40  # 0.8 s

SCRIPT = AgentScript(
    first_message="Hello.",
    replies=(
        Reply(LONG, think_ms=(20, 40)),
        Reply("Yes.", think_ms=(20, 40)),
        Reply("Goodbye.", think_ms=(20, 40), end_call=True),
    ),
    transcripts=("What are your opening hours?", "No, thank you.", "Goodbye."),
)


def config(**changes) -> EmulatorConfig:
    tools = (ScriptedTool(1, "look_up", {"what": "hours"}),)
    # The close waits for the goodbye to be played: a pong that this SDK sends when a close has arrived already ends its
    # session at once, with the messages it had not read yet, and on a slow machine those were the goodbye.
    behaviour = Behaviour(
        greeting_think_ms=(10, 20), ping_first_ms=150, ping_interval_ms=200, tools=tools, close_after_playout=True
    )
    return EmulatorConfig(**{"script": SCRIPT, "behaviour": behaviour, **changes})


class Ear:
    """What reached the client, in order, shared by both kinds of Conversation."""

    def __init__(self) -> None:
        self.audio: list[bytes] = []
        self.seen: list[tuple[str, ...]] = []
        self.changed = threading.Condition()
        self.stopped = False

    def note(self, *what: str) -> None:
        with self.changed:
            self.seen.append(what)
            self.changed.notify_all()

    def count(self, kind: str) -> int:
        return sum(entry[0] == kind for entry in self.seen)

    def wait_for(self, kind: str, times: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.count(kind) >= times or self.stopped, timeout=20), kind

    async def wait_for_async(self, kind: str, times: int) -> None:
        for _ in range(2000):
            if self.count(kind) >= times or self.stopped:
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"no {kind} number {times}")


def frames(*parts: bytes):
    speech = b"".join(parts)
    for at in range(0, len(speech), 160):
        yield speech[at : at + 160]


def party_speech(text: str):
    return frames(speak(text, "party"), SILENCE)


class Phone(AudioInterface):
    """The party: speaks after the greeting, into the long answer, and after the short one."""

    def __init__(self, ear: Ear) -> None:
        self.ear = ear

    def start(self, input_callback: Callable[[bytes], None]) -> None:
        self.thread = threading.Thread(target=self.play, args=(input_callback,), daemon=True)
        self.thread.start()

    def play(self, send: Callable[[bytes], None]) -> None:
        for answered, text in ((1, "What are your opening hours?"), (2, "No, thank you."), (3, "Goodbye.")):
            self.ear.wait_for("agent_response", answered)
            if answered == 1:
                threading.Event().wait(0.6)  # the greeting is 0.48 s long
            if answered == 3:
                threading.Event().wait(0.4)
            for frame in party_speech(text):
                if self.ear.stopped:
                    return
                with contextlib.suppress(Exception):  # the socket may close under us at the end
                    send(frame)

    def output(self, audio: bytes) -> None:
        self.ear.audio.append(audio)
        self.ear.note("audio")

    def interrupt(self) -> None:
        self.ear.note("interrupt")

    def stop(self) -> None:
        self.ear.stopped = True
        self.ear.note("stop")


class AsyncPhone(AsyncAudioInterface):
    def __init__(self, ear: Ear) -> None:
        self.ear = ear

    async def start(self, input_callback: Callable[[bytes], Awaitable[None]]) -> None:
        self.task = asyncio.create_task(self.play(input_callback))

    async def play(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        for answered, text in ((1, "What are your opening hours?"), (2, "No, thank you."), (3, "Goodbye.")):
            await self.ear.wait_for_async("agent_response", answered)
            await asyncio.sleep({1: 0.6, 2: 0.0, 3: 0.4}[answered])
            for frame in party_speech(text):
                if self.ear.stopped:
                    return
                with contextlib.suppress(Exception):
                    await send(frame)

    async def output(self, audio: bytes) -> None:
        self.ear.audio.append(audio)
        self.ear.note("audio")

    async def interrupt(self) -> None:
        self.ear.note("interrupt")

    async def stop(self) -> None:
        self.ear.stopped = True
        self.ear.note("stop")


def judge(ear: Ear, emulator: ElevenLabsEmulator, details: list, *, requires_auth: bool) -> None:
    """The same for both: everything arrived, and the emulator's ledger tells the same story."""
    assert [e[1] for e in ear.seen if e[0] == "transcript"] == list(SCRIPT.transcripts)
    assert [e[1] for e in ear.seen if e[0] == "agent_response"] == ["Hello.", LONG, "Yes.", "Goodbye."]
    (correction,) = [e for e in ear.seen if e[0] == "correction"]
    assert correction[1] == LONG
    assert correction[2].endswith("...")
    assert LONG.startswith(correction[2][:-3])
    assert ear.count("interrupt") == 1
    heard = b"".join(ear.audio)
    assert heard == b"".join(speak(t, "agent") for t in ("Hello.", LONG, "Yes.", "Goodbye."))
    assert [e[1:] for e in ear.seen if e[0] == "tool"] == [("hours",)]
    assert ear.count("latency") >= 1
    assert [(d.reason, d.close_code) for d in details] == [("agent", 1000)]

    (record,) = emulator.ledger.conversations.values()
    assert record.authorization_method == ("signed_url" if requires_auth else "public")
    assert record.close_code == 1000
    assert record.closed_by == "emulator"
    assert record.client_data["source_info"]["source"] == "python_sdk"
    assert record.counts()["in"]["client_tool_result"] == 1
    assert record.tool_results[0]["result"] == "nine to ten"
    assert record.pings_answered >= 1
    greeting, asked, stopped, goodbye = record.turns
    assert asked.interrupted_ns is not None
    assert asked.event_id < asked.interruption_id < stopped.event_id < goodbye.event_id
    assert greeting.kind == "greeting"
    assert all(turn.first_audio_ns > turn.speech_ended_ns > turn.speech_began_ns for turn in (asked, stopped, goodbye))


@pytest.mark.parametrize("requires_auth", [True, False])
async def test_conversation_in_threads(requires_auth):
    ear, details = Ear(), []
    tools = ClientTools()
    tools.register("look_up", lambda given: ear.note("tool", given["what"]) or "nine to ten")
    async with ElevenLabsEmulator(config(enable_auth=requires_auth)) as eleven:
        client = ElevenLabs(base_url=eleven.base_url, api_key="sk_emulated")
        conversation = Conversation(
            client,
            "agent_demo",
            requires_auth=requires_auth,
            audio_interface=Phone(ear),
            client_tools=tools,
            callback_agent_response=lambda text: ear.note("agent_response", text),
            callback_agent_response_correction=lambda was, now: ear.note("correction", was, now),
            callback_user_transcript=lambda text: ear.note("transcript", text),
            callback_latency_measurement=lambda ms: ear.note("latency", str(ms)),
            callback_disconnect=details.append,
        )
        await asyncio.to_thread(conversation.start_session)
        conversation_id = await asyncio.to_thread(conversation.wait_for_session_end)
        assert conversation_id in eleven.ledger.conversations
        judge(ear, eleven, details, requires_auth=requires_auth)


@pytest.mark.parametrize(
    "faults",
    [Faults(unknown_messages=True), Faults(extra_keys=True), Faults(late_audio_ms=50)],
    ids=["unknown messages", "unknown keys", "late audio of the interrupted turn"],
)
async def test_what_the_sdk_does_not_know_or_want_does_no_harm(faults):
    ear, details = Ear(), []
    tools = ClientTools()
    tools.register("look_up", lambda given: ear.note("tool", given["what"]) or "nine to ten")
    async with ElevenLabsEmulator(config()) as eleven:
        eleven.faults = faults
        conversation = Conversation(
            ElevenLabs(base_url=eleven.base_url, api_key="sk_emulated"),
            "agent_demo",
            requires_auth=True,
            audio_interface=Phone(ear),
            client_tools=tools,
            callback_agent_response=lambda text: ear.note("agent_response", text),
            callback_agent_response_correction=lambda was, now: ear.note("correction", was, now),
            callback_user_transcript=lambda text: ear.note("transcript", text),
            callback_latency_measurement=lambda ms: ear.note("latency", str(ms)),
            callback_disconnect=details.append,
        )
        await asyncio.to_thread(conversation.start_session)
        await asyncio.to_thread(conversation.wait_for_session_end)
        judge(ear, eleven, details, requires_auth=True)
        (record,) = eleven.ledger.conversations.values()
    out = record.counts()["out"]
    assert ("emulated_novelty" in out) is faults.unknown_messages
    if faults.late_audio_ms is not None:  # it was sent, and the SDK did not play it
        assert out["audio"] == ear.count("audio") + 1


async def test_conversation_on_asyncio():
    ear, details = Ear(), []
    tools = ClientTools()
    tools.register("look_up", lambda given: ear.note("tool", given["what"]) or "nine to ten")

    def noting(*kind: str) -> Callable[..., Awaitable[None]]:
        async def note(*what: object) -> None:
            ear.note(*kind, *(str(part) for part in what))

        return note

    async def disconnected(why: object) -> None:
        details.append(why)

    async with ElevenLabsEmulator(config()) as eleven:
        client = ElevenLabs(base_url=eleven.base_url, api_key="sk_emulated")
        conversation = AsyncConversation(
            client,
            "agent_demo",
            requires_auth=True,
            audio_interface=AsyncPhone(ear),
            client_tools=tools,
            callback_agent_response=noting("agent_response"),
            callback_agent_response_correction=noting("correction"),
            callback_user_transcript=noting("transcript"),
            callback_latency_measurement=noting("latency"),
            callback_disconnect=disconnected,
        )
        await conversation.start_session()
        with contextlib.suppress(Exception):  # the SDK raises the close out of its task, after reporting it
            await conversation.wait_for_session_end()
        judge(ear, eleven, details, requires_auth=True)


async def test_overrides_variables_and_written_messages():
    seen, ended = Ear(), []
    script = AgentScript(
        first_message="Hello.", replies=(Reply("Yes.", (10, 20)), Reply("Goodbye.", (10, 20), end_call=True))
    )
    behaviour = Behaviour(greeting_think_ms=(10, 20), interruption_ids="strict")
    settings = config(script=script, behaviour=behaviour, allow_overrides=("agent.first_message",))
    async with ElevenLabsEmulator(settings) as eleven:
        conversation = Conversation(
            ElevenLabs(base_url=eleven.base_url, api_key="sk_emulated"),
            "agent_demo",
            user_id="caller-1",
            requires_auth=True,
            config=ConversationInitiationData(
                conversation_config_override={"agent": {"first_message": "Hi {{name}}, how are you?"}},
                dynamic_variables={"name": "Ann"},
            ),
            callback_agent_response=lambda text: seen.note("agent_response", text),
            callback_disconnect=ended.append,
        )
        await asyncio.to_thread(conversation.start_session)
        await asyncio.to_thread(seen.wait_for, "agent_response", 1)
        conversation.send_contextual_update("the caller is on hold list")
        conversation.register_user_activity()
        conversation.send_user_message("Are you well?")
        await asyncio.to_thread(seen.wait_for, "agent_response", 2)
        conversation.send_multimodal_message(text="Goodbye, then.")
        await asyncio.to_thread(conversation.wait_for_session_end)
        (record,) = eleven.ledger.conversations.values()
    assert [e[1] for e in seen.seen] == ["Hi Ann, how are you?", "Yes.", "Goodbye."]
    assert record.context == {"#1": "the caller is on hold list"}
    assert record.client_data["user_id"] == "caller-1"
    assert [turn.user_text for turn in record.turns] == ["", "Are you well?", "Goodbye, then."]
    assert ended[0].reason == "agent"


async def test_a_refused_override_reaches_the_sdk_as_code_and_reason():
    ended = []
    async with ElevenLabsEmulator(config()) as eleven:
        conversation = Conversation(
            ElevenLabs(base_url=eleven.base_url, api_key="sk_emulated"),
            "agent_demo",
            requires_auth=True,
            config=ConversationInitiationData(conversation_config_override={"tts": {"voice_id": "x"}}),
            callback_disconnect=ended.append,
        )
        await asyncio.to_thread(conversation.start_session)
        assert await asyncio.to_thread(conversation.wait_for_session_end)
    (details,) = ended
    assert (details.reason, details.close_code) == ("error", 1008)
    assert details.close_reason == "Override for field 'voice_id' is not allowed by config."


async def test_agents_through_the_client():
    async with ElevenLabsEmulator(config()) as eleven:
        agents = ElevenLabs(base_url=eleven.base_url, api_key="sk_emulated").conversational_ai.agents

        def work():
            made = agents.create(conversation_config={"agent": {"first_message": "Hello."}}, name="Second").agent_id
            changed = agents.update(made, conversation_config={"tts": {"agent_output_audio_format": "ulaw_8000"}})
            assert changed.conversation_config.tts.agent_output_audio_format == "ulaw_8000"
            got = agents.get(made)
            assert got.name == "Second"
            assert got.conversation_config.agent.first_message == "Hello."  # the merge kept it
            assert got.conversation_config.tts.agent_output_audio_format == "ulaw_8000"
            assert got.conversation_config.asr.user_input_audio_format == "pcm_16000"
            first = agents.get("agent_demo")
            assert first.conversation_config.asr.user_input_audio_format == "ulaw_8000"
            assert {a.agent_id for a in agents.list().agents} == {"agent_demo", made}
            with pytest.raises(UnprocessableEntityError):
                agents.update(made, conversation_config={"tts": {"agent_output_audio_format": "mp3"}})
            agents.delete(made)
            with pytest.raises(ApiError) as refused:
                agents.get(made)
            assert refused.value.status_code == 404
            assert refused.value.body["detail"]["code"] == "agent_not_found"

        await asyncio.to_thread(work)


async def test_conversations_through_the_client():
    async with ElevenLabsEmulator(config()) as eleven:
        client = ElevenLabs(base_url=eleven.base_url, api_key="sk_emulated")
        ear = Ear()
        tools = ClientTools()
        tools.register("look_up", lambda _: "x")
        conversation = Conversation(
            client,
            "agent_demo",
            requires_auth=True,
            audio_interface=Phone(ear),
            client_tools=tools,
            callback_agent_response=lambda text: ear.note("agent_response", text),
        )
        await asyncio.to_thread(conversation.start_session)
        conversation_id = await asyncio.to_thread(conversation.wait_for_session_end)
        shown = await asyncio.to_thread(client.conversational_ai.conversations.get, conversation_id)
        assert shown.status == "done"
        assert [(t.role, t.message) for t in shown.transcript][:2] == [
            ("agent", "Hello."),
            ("user", "What are your opening hours?"),
        ]
        assert shown.transcript[2].interrupted is True
        assert shown.transcript[2].original_message == LONG
        assert shown.transcript[2].conversation_turn_metrics.metrics["convai_tts_service_ttfb"].elapsed_time > 0
        assert shown.metadata.termination_reason == "end_call tool was called."
        listed = await asyncio.to_thread(client.conversational_ai.conversations.list)
        assert [c.conversation_id for c in listed.conversations] == [conversation_id]


async def test_the_client_sees_errors_and_repeats_only_what_may_be_repeated():
    async with ElevenLabsEmulator(config()) as eleven:
        signed = ElevenLabs(base_url=eleven.base_url, api_key="wrong").conversational_ai.conversations.get_signed_url
        with pytest.raises(ApiError) as refused:
            await asyncio.to_thread(signed, agent_id="agent_demo")
        assert refused.value.status_code == 401
        assert refused.value.body["detail"]["status"] == "invalid_api_key"
        assert len(eleven.ledger.requests) == 1
        eleven.reset()
        eleven.faults = Faults(signed_url_status=429, signed_url_times=1)
        signed = ElevenLabs(
            base_url=eleven.base_url, api_key="sk_emulated"
        ).conversational_ai.conversations.get_signed_url
        answer = await asyncio.to_thread(signed, agent_id="agent_demo")
        assert answer.signed_url.startswith(f"ws://127.0.0.1:{eleven.port}/v1/convai/conversation?agent_id=agent_demo&")
        assert [entry.status for entry in eleven.ledger.requests] == [429, 200]
