"""Work beside the media path, a kind at a time, and what it does to the frames of calls that have no part in it."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from ..errors import UsageError
from .load import Load, Measured
from .machine import step_back
from .processes import BenchError, Process
from .rounds import Progress
from .run import PUBLIC_HOST, Bench, During, Standing, measure
from .stamp import EXTRA
from .subject import Subject, shortwire
from .toggles import Finding, compare

__all__ = ["KINDS", "NOTHING", "Kind", "beside", "chosen_kinds"]

NOTHING = "nothing beside"
_COMPANY = 10
_COMPANY_CALL_S = 2.0
_SENT_REQUESTS = 20.0
_REFUSED = 50.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of work."""

    name: str
    what: str
    during: Callable[[Bench], During] | None = None
    settings: dict[str, str] = field(default_factory=dict)
    agent_host: str = "127.0.0.1"


def _coming_and_going(bench: Bench) -> During:
    """Other calls: rows written, signed URLs fetched, connections made, objects made and thrown away.

    Their telephones and their agent are others than those that measure, whose handshakes would be in every figure.
    """

    async def during(standing: Standing, _phones: Process) -> None:
        phones = {
            **standing.phones_config(),
            "calls": _COMPANY,
            "call_s": _COMPANY_CALL_S,
            "first_number": EXTRA,
            "seconds": 3600.0,
            "forget": True,
            "steps_back": bench.steps_back,
        }
        host = standing.host
        host.ask({"sign_for": standing.host_port})
        try:
            async with bench.phones(standing, phones) as company:
                async for _ in company.answers():
                    pass
        finally:
            host.ask({"report": True})
            reached = len((await host.answer("report", 10.0))["report"]["opened"])
            if reached <= _COMPANY:
                raise BenchError(f"calls should have come and gone, and {reached} reached their agent")

    return during


def _often(per_second: float, request: Callable[[Standing], int], status: int) -> Callable[[Bench], During]:
    """The same request again and again, one after the other; each has to be answered with `status`."""

    def prepared(_bench: Bench) -> During:
        async def during(standing: Standing, _phones: Process) -> None:
            while True:
                if (found := await asyncio.to_thread(request, standing)) != status:
                    raise BenchError(f"a request beside was answered with {found} instead of {status}")
                await asyncio.sleep(1 / per_second)

        return during

    return prepared


def _listing(standing: Standing) -> int:
    return _ask(standing, "GET", "/v1/calls?limit=200", {"Authorization": f"Bearer {standing.api_key}"})


def _refused(standing: Standing) -> int:
    """A webhook that nobody signed."""
    body = urlencode({"CallSid": "CA" + "f" * 32, "AccountSid": standing.account_sid, "From": "+12025550199"})
    headers = {
        "Host": PUBLIC_HOST,
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Twilio-Signature": "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    }
    return _ask(standing, "POST", "/incoming-call", headers, body)


def _ask(standing: Standing, method: str, path: str, headers: dict[str, str], body: str | None = None) -> int:
    """The answer's status; 0 if there was none."""
    step_back()
    door = http.client.HTTPConnection("127.0.0.1", standing.port, timeout=10)
    try:
        door.request(method, path, body, headers)
        answer = door.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        door.close()


KINDS = (
    Kind("calls", "5 calls a second come and go: database, signed URLs, connections, logs, garbage", _coming_and_going),
    Kind("look-ups", "the same, and the agent's host has to be looked up by name", _coming_and_going, {}, "localhost"),
    Kind("api", "20 times a second the list of 200 calls is asked for", _often(_SENT_REQUESTS, _listing, 200)),
    Kind("refused", "50 forged webhooks a second are refused", _often(_REFUSED, _refused, 403)),
    Kind("tape", "each call writes its tape", None, {"SHORTWIRE_TAPE": "true"}),
    Kind("debug-log", "LOG_LEVEL=debug", None, {"LOG_LEVEL": "debug"}),
)
"""Taken together these make the server do all it does beside frames; the collector runs as the calls make it run."""

FIGURES = ("up_p50_us", "up_p99_us", "down_p50_us", "down_p99_us")


def chosen_kinds(only: Sequence[str]) -> list[Kind]:
    """By name; all of nothing. Raises `UsageError`."""
    names = [name.strip() for name in only if name.strip()]
    if strangers := [name for name in names if name not in {kind.name for kind in KINDS}]:
        known = ", ".join(kind.name for kind in KINDS)
        raise UsageError(f"{', '.join(strangers)}: no such kind of work", details=f"kinds: {known}")
    return [kind for kind in KINDS if not names or kind.name in names]


async def beside(
    bench: Bench, kinds: Sequence[Kind], rounds: int, load: Load, progress: Progress
) -> tuple[list[Finding], dict[str, list[Measured]]]:
    """Each kind against nothing, paired by rounds, the order rotated."""
    everything = [Kind(NOTHING, ""), *kinds]
    runs: dict[str, list[Measured]] = {kind.name: [] for kind in everything}
    done, total = 0, rounds * len(everything)
    for number in range(rounds):
        at = number % len(everything)
        for kind in [*everything[at:], *everything[:at]]:
            progress(done, total, f"round {number + 1} of {rounds}: {kind.name}")
            runs[kind.name].append(await _measured(bench, kind, load))
            done += 1
    progress(done, total, "done")
    named = [(kind.name, NOTHING if kind.what else "", kind.what) for kind in everything]
    return compare(named, runs, FIGURES), runs


def _measured(bench: Bench, kind: Kind, load: Load) -> Awaitable[Measured]:
    subject: Subject = shortwire(kind.name, **kind.settings)
    during = kind.during(bench) if kind.during is not None else None
    return measure(bench, subject, replace(load, agent_host=kind.agent_host), during, beside=True)
