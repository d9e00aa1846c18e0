"""The truth check behind `shortwire calls verify`: the carrier's recording, its gaps, and ours beside them.

Twilio recordings: protocols/twilio.md section 3.6 (api/2010-04-01 Recordings). Blocking, from the standard library;
the account's credentials go to the API's host and nowhere else, not even along a redirect.
"""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import CarrierError, ConfigError, NotFound, UsageError

__all__ = ["carrier_recording", "print_check", "verify_gaps"]

_TIMEOUT_S = 30.0
_LARGEST = 200_000_000
_NEAR_MS = 400.0
"""A recorded reply this far from one of ours is another one."""


def carrier_recording(call: Mapping[str, Any]) -> bytes:
    """The dual-channel recording of a call, WAV.

    Raises `NotFound` with what to change if there is none, `CarrierError` if it cannot be had.
    """
    sid = call.get("call_sid")
    if not sid:
        raise NotFound("the carrier never had this call", details="there is nothing to compare with")
    account, token, base = _account()
    folder = f"{base}/2010-04-01/Accounts/{account}"
    listed = json.loads(_get(f"{folder}/Calls/{sid}/Recordings.json", account, token))
    recordings = [r for r in listed.get("recordings") or () if r.get("status") == "completed"]
    if not recordings:
        raise NotFound(
            "the carrier holds no finished recording of this call",
            details="start one while a call is on (Twilio: POST Calls/{sid}/Recordings.json, RecordingChannels=dual), "
            "or compare with a file: --recording FILE",
        )
    # The longest: short ones are pieces that somebody started in between.
    best = max(recordings, key=lambda r: (int(r.get("channels") or 1), int(r.get("duration") or 0)))
    return _get(f"{folder}/Recordings/{best['sid']}.wav?RequestedChannels=2", account, token)


def _account() -> tuple[str, str, str]:
    from dotenv import dotenv_values

    names = {**(dotenv_values(".env") if Path(".env").is_file() else {}), **os.environ}
    account, token = names.get("TWILIO_ACCOUNT_SID") or "", names.get("TWILIO_AUTH_TOKEN") or ""
    if not account or not token:
        raise ConfigError("the carrier's account is not known", details="set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN")
    base = (names.get("TWILIO_API_BASE_URL") or "https://api.twilio.com").rstrip("/")
    host = urlsplit(base).hostname or ""
    if not base.startswith("https://") and host not in ("127.0.0.1", "localhost", "::1"):
        raise ConfigError("TWILIO_API_BASE_URL is not https", details="the account's token would travel unprotected")
    return account, token, base


class _NoCredentials(urllib.request.HTTPRedirectHandler):
    """Follows a redirect to the media host without the account's credentials."""

    def redirect_request(  # noqa: PLR0917 - the library's signature
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str
    ) -> Any:
        if urlsplit(newurl).scheme != urlsplit(req.full_url).scheme:
            return None  # from https to something else, or to a file
        followed = super().redirect_request(req, fp, code, msg, headers, newurl)
        if followed is not None and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            followed.headers = {k: v for k, v in followed.headers.items() if k.lower() != "authorization"}
        return followed


def _get(url: str, account: str, token: str) -> bytes:
    credentials = base64.b64encode(f"{account}:{token}".encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {credentials}"})  # noqa: S310 - checked above
    opener = urllib.request.build_opener(_NoCredentials)
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            found: bytes = answer.read(_LARGEST)
            return found
    except urllib.error.HTTPError as error:
        words = error.read(2000).decode("utf-8", "replace")
        raise CarrierError(f"the carrier did not give the recording (HTTP {error.code})", details=words) from None
    except OSError as error:
        raise CarrierError("the carrier could not be reached", details=str(error)) from None


def verify_gaps(call: Mapping[str, Any], wav: bytes, *, tolerance_ms: float) -> dict[str, Any]:
    """Our gaps beside those that the samples of a recording hold, turn by turn.

    Keys: agree, tolerance_ms, compared, worst_ms, turns (turn, party, live_ms, recorded_ms, difference_ms). Raises
    `UsageError` when the recording cannot be read.
    """
    from ..audio.spoken import gaps_of, read_stereo_ulaw, sounds, speech

    try:
        party, agent = read_stereo_ulaw(wav)
    except ValueError as error:
        raise UsageError("this recording cannot be compared", details=str(error)) from None
    recorded = gaps_of(speech(party), sounds(agent))
    ours = [turn for turn in call.get("turns") or () if turn.get("response_gap_ms") is not None]
    shift_ms = _shift_ms([gap.to_ms for gap in recorded], [turn["heard_ms"] for turn in ours])
    rows = []
    left = list(recorded)
    for turn in ours:
        near = min(left, key=lambda gap: abs(gap.to_ms - turn["heard_ms"] - shift_ms), default=None)
        if near is not None and abs(near.to_ms - turn["heard_ms"] - shift_ms) > _NEAR_MS:
            near = None
        if near is not None:
            left.remove(near)
        live = float(turn["response_gap_ms"])
        rows.append(
            {
                "turn": turn.get("index"),
                "party": turn.get("party") or "",
                "live_ms": live,
                "recorded_ms": near.ms if near else None,
                "difference_ms": round(live - near.ms, 2) if near else None,
            }
        )
    off = [abs(row["difference_ms"]) for row in rows if row["difference_ms"] is not None]
    return {
        "agree": bool(off) and len(off) == len(rows) and max(off) <= tolerance_ms,
        "tolerance_ms": tolerance_ms,
        "compared": len(off),
        "worst_ms": max(off, default=None),
        "only_recorded": [round(gap.ms, 2) for gap in left],
        "turns": rows,
    }


def _shift_ms(recorded: list[float], ours: list[float]) -> float:
    """From our time line to the recording's, which may begin any time: where the most replies fit."""
    candidates = [there - here for there in recorded for here in ours]

    def fit(shift: float) -> tuple[int, float]:
        distances = [min((abs(there - here - shift) for there in recorded), default=1e9) for here in ours]
        return sum(d <= _NEAR_MS / 2 for d in distances), -sum(min(d, _NEAR_MS) for d in distances)

    return max(candidates, key=fit, default=0.0)


def print_check(found: Mapping[str, Any]) -> None:
    """The table, and one sentence."""
    from rich.table import Table
    from rich.text import Text

    from ..report.view import number
    from .show import console

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("turn")
    table.add_column("party", max_width=34, no_wrap=True)
    for name in ("live", "recorded", "difference"):
        table.add_column(f"{name}, ms", justify="right")
    for row in found["turns"]:
        difference = row["difference_ms"]
        off = difference is None or abs(difference) > found["tolerance_ms"]
        shown = "not found" if difference is None else _signed(difference)
        cells = (number(row["live_ms"]), number(row["recorded_ms"]), Text(shown, style="red" if off else "green"))
        table.add_row(str(row["turn"]), Text("".join(c if c.isprintable() else " " for c in row["party"])), *cells)
    out = console()
    if not found["turns"]:
        out.print(
            f"we measured no gap in this call{_only_recorded(found)}: there is nothing to compare", soft_wrap=True
        )
        return
    out.print(table)
    if not found["compared"]:
        out.print("no gap could be compared: the recording and our turns have none in common")
        return
    verdict = (
        "our figures agree with the recording" if found["agree"] else "our figures do NOT agree with the recording"
    )
    count = f"{found['compared']} of {len(found['turns'])} gaps compared"
    worst = f"the worst is {found['worst_ms']:.0f} ms off (allowed: {found['tolerance_ms']:.0f} ms)"
    out.print(f"{verdict}: {count}, {worst}", soft_wrap=True)


def _only_recorded(found: Mapping[str, Any]) -> str:
    count = len(found["only_recorded"])
    return f", the recording holds {count}" if count else ""


def _signed(ms: float) -> str:
    """Whole milliseconds; what rounds to nothing has no sign."""
    whole = round(ms)
    return f"{whole:+d}".replace("-", "−") if whole else "0"
