"""A whole call on both emulators, with the user's own settings and the agent's own configuration.

The server is made by whoever is above us (`app`): `make_server` takes settings and gives an async context manager.
Nothing leaves this machine. The party is rung up by the emulated carrier's own number, picks up, listens and hangs up.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import SecretStr

from ..net.probes import http_request
from ..settings import Settings
from .bench import Rehearsal, Rehearse

__all__ = ["rehearsal"]

_PARTY = "+14155550123"
_OURS = "+14155550100"
_CALL_S = 30.0
_KEEP = ("conversation_config", "platform_settings")
"""What of the agent's configuration is played; ids, tools and knowledge stay with the vendor."""


def rehearsal(make_server: Callable[[Settings], AbstractAsyncContextManager[Any]]) -> Rehearse:
    """How `Bench.rehearse` is filled. Raises `ImportError` at use when the emulators' extra is missing."""

    async def rehearse(settings: Settings, agent: Mapping[str, Any]) -> Rehearsal:
        with tempfile.TemporaryDirectory(prefix="shortwire-doctor-") as folder:
            async with _stage(settings, agent, Path(folder)) as (staged, emulator), make_server(staged):
                return await _call(staged, emulator)

    return rehearse


@asynccontextmanager
async def _stage(settings: Settings, agent: Mapping[str, Any], folder: Path) -> AsyncIterator[tuple[Settings, Any]]:
    from ..emulators.elevenlabs import ElevenLabsEmulator, EmulatorConfig
    from ..emulators.scenario import AgentScript, PartyScript, Reply, Say
    from ..emulators.twilio import OwnedNumber, TwilioConfig, TwilioEmulator
    from ..emulators.ulaw import tone

    def speak(text: str, voice: str) -> bytes:
        return tone(440 if voice == "party" else 660, min(1500, 300 + 20 * len(text)))

    first = str(_at(agent, "conversation_config.agent.first_message") or "")
    async with AsyncExitStack() as exits:
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        twilio = await exits.enter_async_context(
            TwilioEmulator(
                TwilioConfig(
                    account_sid=settings.twilio_account_sid,
                    auth_token=settings.twilio_auth_token.get_secret_value(),
                    numbers={_OURS: OwnedNumber(voice_url=f"{url}/incoming-call")},
                    scenario=PartyScript(
                        ring_s=0.2,
                        says=(
                            Say("hello", when="agent_silent" if first else "answered", delay_ms=300),
                            Say("good bye", when="agent_silent", delay_ms=300),
                        ),
                        hang_up_after_ms=600,
                    ),
                    calls_per_second=0,
                    dial_s=0.05,
                ),
                speak=speak,
                detector=_Loud,
            )
        )
        eleven = await exits.enter_async_context(
            ElevenLabsEmulator(
                EmulatorConfig(
                    agent_id=settings.elevenlabs_agent_id,
                    api_keys=(settings.elevenlabs_api_key.get_secret_value(),),
                    script=AgentScript(
                        first_message=first,
                        end_of_turn_ms=300,
                        replies=(Reply("a reply", think_ms=(20, 40)), Reply("another", think_ms=(20, 40))),
                    ),
                    speak=speak,
                )
            )
        )
        eleven.agents.patch(settings.elevenlabs_agent_id, {key: agent[key] for key in _KEEP if key in agent})
        staged = settings.model_copy(
            update={
                "elevenlabs_base_url": eleven.base_url,
                "twilio_api_base_url": twilio.base_url,
                "twilio_edge": "",
                "twilio_region": "",
                "twilio_phone_number": _OURS,
                "allowed_countries": frozenset({"US"}),
                "server_url": url,
                "shortwire_tunnel": None,
                "shortwire_host": "127.0.0.1",
                "shortwire_port": port,
                "shortwire_data_dir": folder,
                "shortwire_database_url": None,
                "shortwire_tape": False,
                "latency_logging": False,
                "shortwire_api_key": SecretStr("doctor-" + settings.shortwire_api_key.get_secret_value()),
            }
        )
        yield staged, twilio


async def _call(settings: Settings, twilio: Any) -> Rehearsal:
    key = settings.shortwire_api_key.get_secret_value()
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        answer = await http_request(
            http, "POST", f"{settings.server_url}/v1/calls", json={"number": _PARTY}, deadline_s=15.0
        )
        document = json.loads(answer.body)
        if answer.status != 201:
            error = document["error"]
            return Rehearsal(False, False, error["code"], error["message"], error["details"], None, None)
        call = document
        async with asyncio.timeout(_CALL_S):
            while call["state"] != "ended":
                await asyncio.sleep(0.1)
                found = await http_request(http, "GET", f"{settings.server_url}/v1/calls/{call['id']}")
                call = json.loads(found.body)
    emulated = next(iter(twilio.calls.values()), None)
    heard = emulated is not None and emulated.line is not None and bool(emulated.line.party.heard_voice)
    cause = call["cause"] or {}
    gaps = call["latencies"].get("response_gap_ms")
    return Rehearsal(
        answered=call["answered_at"] is not None,
        heard_agent=heard,
        cause=str(cause.get("slug", "")),
        meaning=str(cause.get("meaning", "no cause was given")),
        detail=str(cause.get("detail", "")),
        first_word_ms=_number(call["latencies"].get("answer_to_first_word_ms")),
        response_gap_ms=_number(gaps.get("p50")) if isinstance(gaps, Mapping) else None,
    )


class _Loud:
    """Loud is voiced: exact on tones."""

    def feed(self, ulaw_frame: bytes) -> bool:
        from ..emulators.ulaw import level

        return level(ulaw_frame) > 500


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _at(document: Mapping[str, Any], path: str) -> Any:
    found: Any = document
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
