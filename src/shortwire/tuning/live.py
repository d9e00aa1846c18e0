"""A trial on a real telephone: billed, and only with a number and somebody's consent.

Starts the server of the settings in use with one variant's side, calls, and reads what the server measured: nobody
records the ear here, so the figures are the product's own, checked elsewhere (docs/how-to/tune.md).
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from ..demo.client import ApiError, CallApi, settled
from ..demo.processes import Child, ChildDied
from ..settings import Settings
from .trial import Trial
from .variants import Variant

__all__ = ["play", "trial_of"]

_START_S = 40.0


async def play(variant: Variant, number: int, *, phone: str, settings: Settings, folder: Path) -> Trial:
    """Call `phone` once and wait until the call is over. The public address must lead to the settings' port."""
    lines: list[str] = []
    child = await Child.start(
        "the server",
        [sys.executable, "-c", "from shortwire.cli import main; main()", "serve"],
        environment={**os.environ, **variant.settings, "SHORTWIRE_PROFILE": "optimized"},
        on_line=lines.append,
    )
    key = settings.shortwire_api_key.get_secret_value()
    try:
        async with CallApi(f"http://127.0.0.1:{settings.port}", key) as api:
            await _ready(api, child)
            placed = await api.place({"number": phone, "metadata": {"tune": variant.name}})
            async with asyncio.timeout(settings.max_call_seconds + settings.ring_timeout_seconds + 30):
                async for _ in api.follow(placed["id"]):
                    pass
            call = await settled(api, placed["id"])
    except (ApiError, ChildDied, TimeoutError) as error:
        text = str(error).splitlines()[0] if str(error) else "the call did not come to an end in time"
        return Trial(variant.name, number, problems=[text])
    finally:
        await child.stop()
        await asyncio.to_thread(_keep, folder / f"{number:02}-{variant.name}.log", lines)
    return trial_of(variant.name, number, call)


def trial_of(variant: str, number: int, call: dict[str, Any]) -> Trial:
    """The figures of a call as the API gives it."""
    latencies = call.get("latencies") or {}
    gaps = [turn["response_gap_ms"] for turn in call.get("turns") or () if turn.get("response_gap_ms") is not None]
    answered = call.get("disposition") == "answered"
    return Trial(
        variant,
        number,
        latencies.get("answer_to_first_word_ms"),
        sum(gaps) / len(gaps) if gaps else None,
        (latencies.get("barge_in_stop_ms") or {}).get("p50"),
        [] if answered else [f"not answered ({call.get('disposition')})"],
    )


def _keep(file: Path, lines: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")


async def _ready(api: CallApi, child: Child) -> None:
    deadline = asyncio.get_running_loop().time() + _START_S
    while not await api.ready():
        if child.returncode is not None or asyncio.get_running_loop().time() > deadline:
            raise child.death("did not become ready")
        await asyncio.sleep(0.2)
