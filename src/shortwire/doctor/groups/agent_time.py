"""Checks of what the agent costs in time, and of its limits: models, turns, durations, quota, signed URLs.

No conversation is started, so nothing is billed. Pages: protocols/elevenlabs.md 4.1, 4.3, 4.4, 9 and 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from ...agent_tuning.levers import Verdict, read_levers
from ...agent_tuning.paths import MISSING, value_at
from ...errors import AgentError
from ...net.probes import tcp_series
from ...terms import AgentId
from ..bench import Bench, CannotTell
from ..check import Fix, Tell, check, fail, warn

_CONFIG = "conversation_config."

_COSTLY = {
    "agent.tts_model": ("tts.model_id",),
    "agent.llm": (
        "agent.prompt.llm",
        "agent.prompt.reasoning_effort",
        "agent.prompt.thinking_budget",
        "agent.prompt.enable_reasoning_summary",
        "agent.prompt.rag.enabled",
        "agent.prompt.prompt",
    ),
}


@check(
    "agent.tts_model",
    "The voice model is a fast one",
    "Reads `tts.model_id` and compares it with the published model times.",
    warn(
        "slow",
        "the voice model is slower than the fastest",
        "every reply starts later: {ms}",
        "`shortwire agent tune --apply` sets {new} (a plainer voice)",
    ),
)
async def tts_model(bench: Bench, tell: Tell) -> None:
    await _say_levers(bench, tell, "agent.tts_model")


@check(
    "agent.llm",
    "The language model answers quickly",
    "Reads the model, its thinking, its retrieval and the length of its prompt.",
    warn(
        "slow",
        "a setting of the language model costs time",
        "every reply starts later; the vendor publishes no figure",
        "`shortwire agent tune` shows the change and its price ({path})",
    ),
)
async def llm(bench: Bench, tell: Tell) -> None:
    await _say_levers(bench, tell, "agent.llm")


async def _say_levers(bench: Bench, tell: Tell, check_id: str) -> None:
    wanted = {_CONFIG + path for path in _COSTLY[check_id]}
    readings = [reading for reading in read_levers(await bench.agent()) if reading.path in wanted]
    for reading in readings:
        if reading.verdict is not Verdict.COSTS:
            continue
        path = reading.path.removeprefix(_CONFIG)
        ms = f"{reading.cost_ms[0]} to {reading.cost_ms[1]} ms" if reading.cost_ms else "the vendor publishes no figure"
        new = reading.proposal.new if reading.proposal else "another value"
        effect = f"every reply starts later: {ms}"
        values = {"field": path, "value": reading.value}
        text = f"{path} = {reading.value}: {reading.effect}"
        tell.problem("slow", text, effect=effect, values=values, path=path, new=new, ms=ms)
    if tell.silent:
        seen = next((str(reading.value) for reading in readings), "not told")
        tell.ok(f"{seen}: nothing here costs time")


@check(
    "agent.turn_taking",
    "The agent takes its turn in time",
    "Reads the turn settings that add waiting to every turn.",
    warn(
        "patient",
        "the agent is set to be patient",
        "every turn ends later; the vendor publishes no figure",
        "set turn eagerness to Normal or Eager on the agent's page, or `shortwire agent tune --apply --only "
        "turn.turn_eagerness`",
    ),
    warn(
        "ends_on_silence",
        "the agent ends the call after a short silence",
        "callers who think are hung up on",
        "set `turn.silence_end_call_timeout` to -1 or to at least 20 s on the agent's page",
    ),
)
async def turn_taking(bench: Bench, tell: Tell) -> None:
    agent = await bench.agent()
    eagerness = value_at(agent, _CONFIG + "turn.turn_eagerness")
    silence_s = value_at(agent, _CONFIG + "turn.silence_end_call_timeout")
    if eagerness == "patient":
        tell.problem("patient", "turn_eagerness is patient")
    if isinstance(silence_s, int | float) and 0 < silence_s < 10:
        tell.problem("ends_on_silence", f"silence_end_call_timeout is {silence_s:g} s")
    if tell.silent:
        tell.ok(f"turn_eagerness {eagerness if eagerness is not MISSING else 'not told'}")


@check(
    "agent.voice",
    "The agent is a voice",
    "Reads `conversation.text_only`.",
    fail("text_only", "the agent is text only", "callers hear nothing", "switch off text only on the agent's page"),
)
async def voice(bench: Bench, tell: Tell) -> None:
    if value_at(await bench.agent(), _CONFIG + "conversation.text_only") is True:
        tell.problem("text_only", "conversation.text_only is true")
    else:
        tell.ok("it speaks")


@check(
    "agent.duration",
    "The agent may speak as long as the call lasts",
    "Compares `conversation.max_duration_seconds` with MAX_CALL_SECONDS.",
    warn(
        "shorter",
        "the agent stops before our own limit",
        "long calls end in the middle of a sentence",
        "set MAX_CALL_SECONDS={seconds}, or raise the agent's maximum duration",
    ),
)
async def duration(bench: Bench, tell: Tell) -> None:
    seconds = value_at(await bench.agent(), _CONFIG + "conversation.max_duration_seconds")
    ours = bench.settings.max_call_seconds
    if isinstance(seconds, int) and seconds < ours:
        fix = Fix("MAX_CALL_SECONDS", str(seconds), "as long as the agent may speak")
        tell.problem("shorter", f"the agent ends after {seconds} s, we after {ours} s", seconds=seconds, fix=fix)
    else:
        tell.ok(f"the agent's limit is {seconds if seconds is not MISSING else 'not told'}, ours {ours} s")


@check(
    "agent.access",
    "The agent lets us in, and not everybody",
    "Reads the agent's authentication settings.",
    warn(
        "public",
        "anybody who knows its id can talk to the agent",
        "strangers' conversations are billed to you",
        "switch on authentication on the agent's page, Security",
    ),
    fail(
        "origin",
        "the agent wants an Origin header from an allowlist",
        "our conversations are refused: a server sends none",
        "switch off `require_origin_header` on the agent's page, Security, or empty the allowlist",
    ),
)
async def access(bench: Bench, tell: Tell) -> None:
    auth = value_at(await bench.agent(), "platform_settings.auth")
    if not isinstance(auth, Mapping):
        tell.unknown("the configuration does not tell how the agent is protected")
        return
    if auth.get("require_origin_header") and auth.get("allowlist"):
        tell.problem("origin", "require_origin_header is on, with an allowlist")
    if auth.get("enable_auth") is False:
        tell.problem("public", "enable_auth is off")
    if tell.silent:
        tell.ok("private; signed URLs open it")


@check(
    "agent.limits",
    "The agent takes as many calls as come",
    "Reads its concurrency and daily limits, and how many conversations are on.",
    warn(
        "few",
        "the agent takes few conversations at once",
        "one more caller than that is turned away",
        "raise the agent's concurrency limit on its page, or set it to -1",
    ),
    fail(
        "full",
        "the agent has as many conversations as it may",
        "the next caller is turned away",
        "raise the agent's concurrency limit on its page, or set it to -1",
    ),
    warn(
        "daily",
        "the agent's daily limit is low",
        "callers are turned away later in the day",
        "raise the agent's daily limit on its page",
    ),
)
async def limits(bench: Bench, tell: Tell) -> None:
    limits_ = value_at(await bench.agent(), "platform_settings.call_limits")
    limits_ = limits_ if isinstance(limits_, Mapping) else {}
    live = await bench.platform.live_conversations(AgentId(bench.settings.elevenlabs_agent_id))
    most, daily = limits_.get("agent_concurrency_limit", -1), limits_.get("daily_limit", 100000)
    values = {"live": live, "concurrency": most, "daily": daily}
    if isinstance(most, int) and most >= 0:
        if live >= most:
            tell.problem("full", f"{live} of {most} at this moment", values=values)
        elif most < 3:
            tell.problem("few", f"{most} at once", values=values)
    if isinstance(daily, int) and daily < 100:
        tell.problem("daily", f"{daily} a day", values=values)
    if tell.silent:
        tell.ok(f"{live} on now; limit {most if most != -1 else 'the plan decides'}", **values)


@check(
    "agent.quota",
    "There are credits left",
    "Reads the workspace's subscription; the key may lack the permission for that.",
    fail(
        "used_up",
        "the credits are used up",
        "calls break off some seconds after the greeting",
        "buy credits or raise the plan at elevenlabs.io, Subscription",
    ),
    warn(
        "low",
        "few credits are left",
        "calls break off when they are used up",
        "buy credits or raise the plan at elevenlabs.io, Subscription",
    ),
)
async def quota(bench: Bench, tell: Tell) -> None:
    try:
        found = await bench.platform.quota()
    except AgentError as error:
        raise CannotTell(f"the key may not read the subscription ({error.details or error.message})") from error
    text = f"{found.used} of {found.limit} credits used, plan {found.tier}"
    values = {"used": found.used, "limit": found.limit}
    if found.used >= found.limit and not found.may_exceed:
        tell.problem("used_up", text, values=values)
    elif found.used > 0.9 * found.limit and not found.may_exceed:
        tell.problem("low", text, values=values)
    else:
        tell.ok(text, **values)


@check(
    "agent.signed_url",
    "Signed URLs come quickly",
    "Fetches one (nothing is started by that), and measures the way to the host that it names.",
    fail(
        "refused",
        "no signed URL can be had",
        "every call ends before the agent has said a word",
        "{why}",
    ),
    warn(
        "slow",
        "a signed URL takes long",
        "with PREWARM=off every caller waits that much longer",
        "keep PREWARM=tls, and put this server near the agent's host (`shortwire region`)",
    ),
)
async def signed_url(bench: Bench, tell: Tell) -> None:
    await bench.agent()
    began = bench.clock.now_ns()
    try:
        url = await bench.platform.signed_url(AgentId(bench.settings.elevenlabs_agent_id))
    except AgentError as error:
        tell.problem("refused", str(error), why=error.details or error.message)
        return
    ms = (bench.clock.now_ns() - began) / 1e6
    parts = urlsplit(url)
    series = await tcp_series(f"{parts.scheme}://{parts.netloc}", 3, deadline_s=bench.plan.deadline_s)
    values = {"signed_url_ms": round(ms), "socket_host": parts.hostname, "round_trip": series.as_dict()}
    text = f"{ms:.0f} ms; its host is {series.p50_ms:.0f} ms away" if series.answered else f"{ms:.0f} ms"
    if not series.answered:
        tell.problem("refused", series.last_error, why=f"the socket's host {parts.hostname} cannot be reached")
    elif ms > 1500:
        tell.problem("slow", text, values=values)
    else:
        tell.ok(text, **values)
