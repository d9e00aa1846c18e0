"""`shortwire call NUMBER`: place a call and follow it until it ends.

Exit status by outcome: 0 answered and ended well, 3 busy, 4 nobody answered, 5 failed or refused,
6 unknown, 2 usage, 69 no server there.
"""

# ruff: noqa: PLR0917 - a command's parameters are its options; typer calls it by keyword

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ..errors import BridgeError, PeerError, UsageError

__all__ = ["call", "follow"]

_RECONNECTS = 5
_PAUSE_S = 0.5

Url = Annotated[str | None, typer.Option(help="The server [SHORTWIRE_URL, or this machine].")]
Key = Annotated[
    str | None,
    typer.Option("--api-key", help="Its key; better set SHORTWIRE_API_KEY, a process list shows flags."),
]


def call(
    number: Annotated[str, typer.Argument(help="Whom to call, E.164, such as +14155550123.")],
    prompt: Annotated[str | None, typer.Option(help="Override the agent's prompt.")] = None,
    first_message: Annotated[str | None, typer.Option(help="Override what the agent says first.")] = None,
    var: Annotated[
        list[str] | None, typer.Option("--var", metavar="K=V", help="A dynamic variable; repeatable.")
    ] = None,
    agent: Annotated[str | None, typer.Option(help="Another agent than the configured one.")] = None,
    language: Annotated[str | None, typer.Option(help="Override the language, such as en.")] = None,
    voice: Annotated[str | None, typer.Option(help="Override the voice (its id).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Events as JSON, one a line.")] = False,
    follow_it: Annotated[bool, typer.Option("--follow/--no-follow", help="Follow the call until it ends.")] = True,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Place a call and follow it live; the exit status says how it went."""
    given = {
        "prompt": prompt,
        "first_message": first_message,
        "agent_id": agent,
        "language": language,
        "voice_id": voice,
        "dynamic_variables": _variables(var or []),
    }
    body = {"number": number, **{name: value for name, value in given.items() if value}}
    from .client import ApiRefused, connect

    api = connect(url, api_key)
    try:
        placed = api.post("/v1/calls", body)
    except KeyboardInterrupt:
        print(
            "shortwire: interrupted while dialling; 'shortwire calls list' shows whether it was placed", file=sys.stderr
        )
        raise typer.Exit(130) from None
    except ApiRefused as error:
        if error.code != "carrier_uncertain" or not error.call_id or not follow_it:
            raise
        # Nobody knows yet whether it rings: the call is being settled, so it can be followed like any other.
        print(f"shortwire: {error}", file=sys.stderr)
        placed = {"id": error.call_id}
    if not follow_it:
        print(json.dumps(placed) if as_json else placed["id"])
        return
    raise typer.Exit(follow(api, placed["id"], _printer(number, as_json=as_json)))


def follow(api: Any, call_id: str, show: Callable[[dict[str, Any]], None]) -> int:
    """Show a call's events until it ends; the exit status. The first Ctrl-C hangs up, the second leaves."""
    from .live import exit_status

    seen, failures, interrupted = 0, 0, False
    while True:
        try:
            for event in api.events(call_id, after=seen):
                seen, failures = int(event["seq"]), 0
                show(event)
                if event["kind"] == "call.ended":
                    return exit_status(event["data"].get("disposition"), event["data"].get("fault"))
            failures += 1
        except PeerError:
            failures += 1
        except KeyboardInterrupt:
            if interrupted:
                print(f"shortwire: left; 'shortwire calls show {call_id}' tells how it ended", file=sys.stderr)
                return 130
            interrupted = True
            _hang_up(api, call_id)
        if failures > _RECONNECTS:
            raise PeerError(
                "the server went away while the call was on",
                details=f"'shortwire calls show {call_id}' tells how it ended, once it is back",
            )
        if failures:
            time.sleep(_PAUSE_S)


def _hang_up(api: Any, call_id: str) -> None:
    print("shortwire: hanging up (Ctrl-C again to leave without waiting)", file=sys.stderr)
    try:
        api.post(f"/v1/calls/{call_id}/hangup")
    except BridgeError as error:
        print(f"shortwire: {error}", file=sys.stderr)


def _printer(number: str, *, as_json: bool) -> Callable[[dict[str, Any]], None]:
    from .live import line_of

    began: list[float] = []

    def show(event: dict[str, Any]) -> None:
        if as_json:
            print(json.dumps(event), flush=True)
            return
        began.append(float(event["at"]))
        if line := line_of(event, number):
            print(f"{event['at'] - began[0]:7.2f} s  {line}", flush=True)

    return show


def _variables(pairs: list[str]) -> dict[str, str]:
    variables = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--var {pair} is not a variable", details="write --var name=value")
        variables[name] = value
    return variables
