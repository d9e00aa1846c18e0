"""Runs the checks side by side, each under its own deadline, and keeps what they say.

A check that raises cannot tell; it never takes another one down. The slow ones run after the others and alone, so that
a load test does not spoil a measurement.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import aiohttp

from ..errors import BridgeError
from .bench import Bench, CannotTell
from .check import CHECKS, GROUPS, Check, Finding, Fix, Outcome, Tell

__all__ = ["Examination", "Progress", "examine", "load_checks"]

Progress = Callable[[Check, Sequence[Finding]], None]
"""Told when a check is done."""


_MODULES = (
    "settings", "machine", "machine_place", "carrier", "agent", "agent_time", "way_in", "way_in_stream", "network",
    "call",
)  # fmt: skip
"""Files of `groups`, in the order in which their checks are shown."""


def load_checks() -> dict[str, Check]:
    """Import every group; all checks by id."""
    for module in _MODULES:
        importlib.import_module(f"{__package__}.groups.{module}")
    return CHECKS


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that was found, in the order of the groups."""

    findings: tuple[Finding, ...]

    @property
    def worst(self) -> Outcome:
        return max((finding.outcome for finding in self.findings), key=lambda outcome: outcome.rank)

    @property
    def exit_status(self) -> int:
        """0 all pass, 1 something fails, 3 warnings only, 4 something could not be told and nothing is worse."""
        return {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.WARN: 3, Outcome.UNKNOWN: 4}[self.worst]

    @property
    def fixes(self) -> tuple[Fix, ...]:
        """One per setting, the first that was proposed."""
        found: dict[str, Fix] = {}
        for finding in self.findings:
            if finding.fix is not None:
                found.setdefault(finding.fix.setting, finding.fix)
        return tuple(found.values())

    def count(self, outcome: Outcome) -> int:
        return sum(finding.outcome is outcome for finding in self.findings)


async def examine(
    bench: Bench, *, only: Iterable[str] = (), quick: bool = False, progress: Progress | None = None
) -> Examination:
    """Run the checks. `only`: ids or groups; empty: all. `quick` leaves the slow ones out."""
    wanted = tuple(only)
    checks = [check for check in load_checks().values() if not wanted or check.id in wanted or check.group in wanted]
    checks = [check for check in checks if not (quick and check.slow and check.id not in wanted)]
    order = list(GROUPS)
    checks.sort(key=lambda check: order.index(check.group))
    found: dict[str, Sequence[Finding]] = {}

    async def run(check: Check) -> None:
        found[check.id] = await _run(check, bench)
        if progress is not None:
            progress(check, found[check.id])

    try:
        await asyncio.gather(*(run(check) for check in checks if not check.slow))
        for check in checks:
            if check.slow:
                await run(check)
    finally:
        await bench.close()
    return Examination(tuple(finding for check in checks for finding in found[check.id]))


async def _run(check: Check, bench: Bench) -> Sequence[Finding]:
    tell = Tell(check)
    if check.needs_settings and not bench.has_settings:
        tell.unknown("the settings have to be right first")
        return tell.findings
    try:
        async with asyncio.timeout(check.deadline_s * bench.patience):
            await check.run(bench, tell)
    except CannotTell as reason:
        tell.unknown(str(reason))
    except TimeoutError:
        tell.unknown(f"not done within {check.deadline_s * bench.patience:g} s")
    except (BridgeError, OSError, aiohttp.ClientError) as error:
        tell.unknown((str(error) or type(error).__name__).splitlines()[0])
    except Exception as error:  # a mistake in one check must not hide what the others found
        tell.unknown(f"a mistake in this check: {type(error).__name__}: {error}")
    if tell.silent:
        tell.unknown("the check said nothing, which is a mistake in it")
    return tell.findings
