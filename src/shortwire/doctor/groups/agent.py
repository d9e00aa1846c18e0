"""Checks of the agent: is it there, does it speak our language, may we override, and what costs time.

Reads the agent's configuration, its quota and its live conversations. No conversation is started, so nothing is
billed. Pages: protocols/elevenlabs.md 2, 4.1 to 4.4, 9 and 10.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ...agent_tuning.levers import NEEDED_EVENTS, WANTED_EVENTS, conversion_delay_ms
from ...agent_tuning.paths import MISSING, value_at
from ...errors import AgentError
from ...switchboard.low_latency import plan as low_latency_plan
from ...terms import AgentId, HangupCause
from ..bench import Bench, CannotTell
from ..check import Fix, Tell, check, fail, warn
from ..overrides import OF_REQUEST, newest_good, newest_with, which_call

_CONFIG = "conversation_config."
_OVERRIDES = "platform_settings.overrides.conversation_config_override."
_VARIABLE = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")


@check(
    "agent.credentials",
    "ElevenLabs knows this key",
    "Asks for the agent with ELEVENLABS_API_KEY.",
    fail(
        "wrong_key",
        "ElevenLabs refuses the key",
        "every call ends before the agent has said a word",
        "copy ELEVENLABS_API_KEY again from elevenlabs.io, Developers, API keys",
    ),
    fail(
        "missing_permission",
        "the key may not use agents",
        "every call ends before the agent has said a word",
        "give the key the permission 'ElevenAgents' (convai) at elevenlabs.io, Developers, API keys",
    ),
    fail(
        "unreachable",
        "ElevenLabs cannot be reached",
        "every call ends before the agent has said a word",
        "check ELEVENLABS_BASE_URL and this machine's network: {why}",
    ),
    fail(
        "residency",
        "the key belongs to another residency environment",
        "every call ends before the agent has said a word",
        "set ELEVENLABS_BASE_URL={url}",
    ),
)
async def credentials(bench: Bench, tell: Tell) -> None:
    try:
        await bench.first_hand(bench.agent)
    except AgentError as error:
        await _say_refusal(bench, tell, error)
        return
    tell.ok("the key is accepted")


async def _say_refusal(bench: Bench, tell: Tell, error: AgentError) -> None:
    if error.cause == HangupCause.AGENT_UNREACHABLE:
        tell.problem("unreachable", error.details, why=error.details)
    elif error.cause == HangupCause.AGENT_UNAUTHORIZED:
        if "missing_permissions" in error.details:
            tell.problem("missing_permission", error.details)
        elif host := await _where(bench):
            fix = Fix("ELEVENLABS_BASE_URL", host, "the key and the agent are known there")
            tell.problem("residency", f"accepted at {urlsplit(host).hostname}", url=host, fix=fix)
        else:
            tell.problem("wrong_key", error.details)
    elif error.cause == HangupCause.AGENT_NOT_FOUND:
        tell.ok("the key is accepted")
    else:
        tell.unknown(str(error))


async def _where(bench: Bench) -> str:
    """The vendor's other host at which this key knows this agent; empty: none, or not asked.

    The key is shown to the vendor's own hosts only, and only when the one that is set is one of them.
    """
    ours = bench.settings.elevenlabs_base_url
    if ours not in [host.url for host in bench.agent_hosts]:
        return ""
    others = [host.url for host in bench.agent_hosts if host.url != ours]
    agent_id = AgentId(bench.settings.elevenlabs_agent_id)
    found = await asyncio.gather(*(bench.platform_at(url).agent(agent_id) for url in others), return_exceptions=True)
    return next((url for url, answer in zip(others, found, strict=True) if isinstance(answer, Mapping)), "")


@check(
    "agent.exists",
    "The agent is there",
    "Asks the host for the agent of ELEVENLABS_AGENT_ID; if it is not there, the vendor's other hosts.",
    fail(
        "not_found",
        "there is no such agent in this workspace",
        "every call ends with `agent_not_found`",
        "set ELEVENLABS_AGENT_ID to the id on the agent's page (agent_...)",
    ),
    fail(
        "elsewhere",
        "the agent is at another host",
        "every call ends with `agent_not_found`",
        "set ELEVENLABS_BASE_URL={url}",
    ),
)
async def exists(bench: Bench, tell: Tell) -> None:
    try:
        found = await bench.first_hand(bench.agent)
    except AgentError as error:
        if error.cause != HangupCause.AGENT_NOT_FOUND:
            raise CannotTell(f"{error.message} (see agent.credentials)") from error
        if host := await _where(bench):
            fix = Fix("ELEVENLABS_BASE_URL", host, "the agent is known there")
            tell.problem("elsewhere", f"found at {urlsplit(host).hostname}", url=host, fix=fix)
        else:
            tell.problem("not_found", error.details)
        return
    tell.ok(f"{found.get('name') or 'without a name'}")


@check(
    "agent.audio_in",
    "The agent hears mu-law",
    "Reads `asr.user_input_audio_format`, and what our conversion would add.",
    warn(
        "converted",
        "the agent hears another format than the phone's",
        "every frame is converted here: {ms} ms later",
        "set the agent's user input audio format to mu-law 8000 Hz: `shortwire agent tune --apply`",
    ),
    fail(
        "impossible",
        "the agent hears a format that cannot be made here",
        "calls end with a clear cause, or the agent hears noise",
        "set the agent's user input audio format to mu-law 8000 Hz: `shortwire agent tune --apply`",
    ),
)
async def audio_in(bench: Bench, tell: Tell) -> None:
    _say_format(tell, value_at(await bench.agent(), _CONFIG + "asr.user_input_audio_format"), downlink=False)


@check(
    "agent.audio_out",
    "The agent speaks mu-law",
    "Reads `tts.agent_output_audio_format`, and what our conversion would add.",
    warn(
        "converted",
        "the agent speaks another format than the phone's",
        "all audio is converted here: {ms} ms later",
        "set the agent's TTS output format to mu-law 8000 Hz: `shortwire agent tune --apply`",
    ),
    fail(
        "impossible",
        "the agent speaks a format that cannot be converted here",
        "calls end with a clear cause; elsewhere callers would hear static",
        "set the agent's TTS output format to mu-law 8000 Hz: `shortwire agent tune --apply`",
    ),
)
async def audio_out(bench: Bench, tell: Tell) -> None:
    _say_format(tell, value_at(await bench.agent(), _CONFIG + "tts.agent_output_audio_format"), downlink=True)


def _say_format(tell: Tell, name: Any, *, downlink: bool) -> None:
    if name is MISSING or name == "ulaw_8000":
        tell.ok("ulaw_8000: passes untouched" if name == "ulaw_8000" else "not told; decided at the start of a call")
        return
    delay_ms = conversion_delay_ms(str(name), downlink=downlink)
    if delay_ms is None:
        tell.problem("impossible", f"{name}; needs `pip install 'shortwire[audio]'` if it is PCM")
        return
    effect = f"converted here: {delay_ms:.1f} ms later, and more work per call"
    tell.problem("converted", str(name), effect=effect, values={"format": name, "delay_ms": round(delay_ms, 2)})


@check(
    "agent.client_events",
    "The agent tells what the bridge needs",
    "Reads `conversation.client_events`.",
    fail(
        "no_interruption",
        "the agent does not tell of interruptions",
        "callers cannot interrupt: the agent goes on speaking",
        "add `interruption` to the agent's client events: `shortwire agent tune --apply`",
    ),
    fail(
        "no_audio",
        "the agent sends no audio",
        "callers hear nothing",
        "add `audio` to the agent's client events: `shortwire agent tune --apply`",
    ),
    warn(
        "no_words",
        "the agent does not tell what was said",
        "no transcript, and no words to the turns",
        "add {events} to the agent's client events: `shortwire agent tune --apply`",
    ),
)
async def client_events(bench: Bench, tell: Tell) -> None:
    events = value_at(await bench.agent(), _CONFIG + "conversation.client_events")
    if not isinstance(events, list):
        tell.unknown("the configuration has no list of client events")
        return
    for name in NEEDED_EVENTS:
        if name not in events:
            tell.problem(f"no_{name}", f"listed: {', '.join(map(str, events)) or 'nothing'}")
    if missing := [name for name in WANTED_EVENTS if name not in events]:
        tell.problem("no_words", f"missing: {', '.join(missing)}", events=", ".join(missing))
    if tell.silent:
        tell.ok("audio, interruption and the words of both sides")


@check(
    "agent.overrides",
    "What calls override is permitted",
    "Compares the agent's permissions with the overrides of the newest calls and of `--will-use`; LOW_LATENCY_MODE "
    "sends only what is permitted.",
    fail(
        "not_permitted",
        "calls carry an override that the agent does not permit",
        "the agent closes the conversation at once: `Override for field ... is not allowed by config`",
        "the agent's page, Security, Overrides: switch on {switch}; or leave {field} out of the calls: one without it "
        "that goes well makes this a warning",
    ),
    warn(
        "was_not_permitted",
        "a call carried an override that the agent does not permit; a newer one went well",
        "the next call that carries it is closed at once by the agent",
        "nothing, if that was a test; or the agent's page, Security, Overrides: switch on {switch}",
    ),
)
async def overrides(bench: Bench, tell: Tell) -> None:
    agent = await bench.agent()
    calls = await bench.recent_calls()
    for field, path in OF_REQUEST.items():
        if value_at(agent, _OVERRIDES + path) is not True:
            _say_override(bench, tell, field, calls)
    if tell.silent:
        permitted = [path for path in OF_REQUEST.values() if value_at(agent, _OVERRIDES + path) is True]
        levers = low_latency_plan(agent).overrides if bench.settings.toggles.low_latency_mode else {}
        sends = "; LOW_LATENCY_MODE sends what is permitted" if levers else ""
        tell.ok(f"permitted: {', '.join(permitted) or 'none, and none is used'}{sends}")


def _say_override(bench: Bench, tell: Tell, field: str, calls: Sequence[Mapping[str, Any]]) -> None:
    """One override that the agent does not permit, if anybody uses it."""
    path = OF_REQUEST[field]
    if field in bench.will_use:
        tell.problem("not_permitted", f"{path} is used and not permitted", switch=path, field=field)
    elif (call := newest_with(field, calls)) is not None:
        good = newest_good(calls[: calls.index(call)])
        since = f", before the good {which_call(good)}" if good is not None else ""
        text = f"{path} is not permitted and was used by {which_call(call)}{since}"
        slug = "was_not_permitted" if good is not None else "not_permitted"
        tell.problem(slug, text, switch=path, field=field, values={"call_id": call.get("id")})


@check(
    "agent.dynamic_variables",
    "Every dynamic variable has a value",
    "Finds `{{name}}` in the prompt and the first message, and looks for placeholders and for what calls carry.",
    fail(
        "unset",
        "a variable has no value",
        "the conversation is closed at its start (1008, missing_dynamic_variable); incoming calls carry none",
        "give {names} a placeholder on the agent's page, or pass --var {first}=... with every call (then: doctor "
        "--variables {names})",
    ),
)
async def dynamic_variables(bench: Bench, tell: Tell) -> None:
    agent = await bench.agent()
    texts = [value_at(agent, _CONFIG + path) for path in ("agent.first_message", "agent.prompt.prompt")]
    needed = {name for text in texts if isinstance(text, str) for name in _VARIABLE.findall(text)}
    needed = {name for name in needed if not name.startswith("system__")}
    placeholders = value_at(agent, _CONFIG + "agent.dynamic_variables.dynamic_variable_placeholders")
    known = set(placeholders) if isinstance(placeholders, Mapping) else set()
    requests = [call.get("request") or {} for call in await bench.recent_calls()]
    carried = [set(request.get("dynamic_variables") or {}) for request in requests]
    always = set.intersection(*carried) if carried else set()
    missing = sorted(needed - known - always - bench.variables)
    if missing:
        listed = ",".join(missing)
        tell.problem("unset", f"without a value: {', '.join(missing)}", names=listed, first=missing[0])
    else:
        tell.ok(f"{len(needed)} in use, all with values" if needed else "none is used")


@check(
    "agent.first_message",
    "The agent speaks first",
    "Reads `agent.first_message`.",
    warn(
        "empty",
        "the agent has no first message",
        "whoever picks up hears silence until he speaks",
        "write a first message on the agent's page, or pass --first-message with every call",
    ),
)
async def first_message(bench: Bench, tell: Tell) -> None:
    text = value_at(await bench.agent(), _CONFIG + "agent.first_message")
    if text is MISSING or (isinstance(text, str) and text.strip()) or "first_message" in bench.will_use:
        tell.ok("there is one" if text else "every call brings one")
    else:
        tell.problem("empty", "it is empty")
