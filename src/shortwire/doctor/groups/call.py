"""Checks of a whole call: one on the emulators with these very settings, and how many this machine carries."""

from __future__ import annotations

from ...terms import HangupCause
from ..bench import Bench
from ..check import Tell, check, fail, warn
from ..load import load_steps


@check(
    "call.emulated",
    "A whole call goes well on the emulators",
    "Starts this server between both emulators, with these settings and this agent's configuration, and has it called.",
    fail(
        "not_heard",
        "the caller does not hear the agent",
        "neither would a real one",
        "{remedy}",
    ),
    fail(
        "broke_off",
        "the call does not end well",
        "neither would a real one",
        "{remedy}",
    ),
    deadline_s=60.0,
    slow=True,
)
async def emulated(bench: Bench, tell: Tell) -> None:
    if bench.rehearse is None:
        tell.unknown("the emulators are not installed: pip install 'shortwire[emulators]'")
        return
    agent = await bench.agent()
    found = await bench.rehearse(bench.settings, agent)
    values = {"cause": found.cause, "first_word_ms": found.first_word_ms, "response_gap_ms": found.response_gap_ms}
    text = f"{found.meaning} ({found.cause}){f'; {found.detail}' if found.detail else ''}"
    remedy = f"the cause is {found.cause}: see docs/reference/doctor.md; run `shortwire demo` to see a call that works"
    if not found.answered or not found.heard_agent:
        tell.problem("not_heard", text, remedy=remedy, values=values)
    elif found.cause not in (HangupCause.PARTY_HANGUP, HangupCause.AGENT_ENDED):
        tell.problem("broke_off", text, remedy=remedy, values=values)
    else:
        first = f", first word after {found.first_word_ms:.0f} ms" if found.first_word_ms is not None else ""
        tell.ok(f"{text}{first}", **values)


@check(
    "call.capacity",
    "This machine carries calls",
    "Sends the frames of more and more calls at once through the real listener for up to 20 s, until the 99th "
    "percentile of their delay exceeds 5 ms. Asking costs as much as answering, so the figure is a lower bound.",
    warn(
        "few",
        "this machine carries few calls",
        "frames are late from {calls} calls at once on",
        "use a machine with more or quicker cores, or stop what else runs on it",
    ),
    deadline_s=60.0,
    slow=True,
)
async def capacity(bench: Bench, tell: Tell) -> None:
    plan = bench.plan
    lean = bench.settings.toggles.disable_websocket_compression
    found = await load_steps(plan.load_steps, total_s=plan.load_s, limit_p99_ms=plan.load_p99_ms, lean=lean)
    good = [step for step in found if step.p99_ms <= plan.load_p99_ms and not step.lost]
    values = {"steps": [{"calls": s.calls, "p50_ms": round(s.p50_ms, 2), "p99_ms": round(s.p99_ms, 2)} for s in found]}
    if not good:
        first = found[0] if found else None
        text = f"{first.p99_ms:.1f} ms (p99) with {first.calls} calls" if first else "no step could be measured"
        calls = first.calls if first else 0
        effect = f"frames are late from {calls} calls at once on"
        tell.problem("few", text, calls=calls, effect=effect, values=values)
        return
    best = good[-1]
    more = " or more" if found[-1] is best else ""
    tell.ok(f"{best.calls} calls{more}: {best.p50_ms:.1f} ms median, {best.p99_ms:.1f} ms p99 per frame", **values)
