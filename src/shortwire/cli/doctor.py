"""`shortwire doctor`: examine everything, say what to change, and change what is safe when told to.

Exit status: 0 nothing but passes, 1 something fails, 3 warnings at worst, 4 something could not be told. Nothing is
dialled without `--live-call`.
"""

# ruff: noqa: PLR0917 - a command's parameters are its options; typer calls it by keyword

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..doctor.bench import Bench, Rehearse
    from ..doctor.check import Check, Finding, Fix
    from ..settings import Settings
    from ..telemetry.redaction import Redactor

__all__ = ["doctor", "settings_or_problem"]


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Everything as one JSON object.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Write into .env what can be mended there safely.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --fix: do not ask.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the load test and the call on the emulators.")
    ] = False,
    only: Annotated[list[str] | None, typer.Option(help="A check or a group, such as way_in (repeatable).")] = None,
    will_use: Annotated[
        str, typer.Option(help="Overrides that your calls will carry: prompt,first_message,language,voice_id.")
    ] = "",
    variables: Annotated[str, typer.Option(help="Dynamic variables that every call will carry, with commas.")] = "",
    live_call: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Afterwards place one real call through the running server.")
    ] = None,
    env_file: Annotated[Path | None, typer.Option(help="Settings file instead of ./.env.")] = None,
) -> None:
    """Find the wrong setting before a caller hears it."""
    from ..doctor.report import as_json as report
    from ..doctor.report import recap, summary

    if live_call is not None:
        from ..numbers import parse_number

        parse_number(live_call)
    file = env_file or Path(".env")
    bench, redactor = _bench(file, env_file is not None, will_use, variables)
    say: Callable[[str], None] = (lambda line: None) if as_json else _say
    found = _examine(bench, redactor, only or [], quick, say)
    changes = recap(found, redactor)
    say("\n".join(["", *(["To change:"] if changes else []), *(f"  {line}" for line in changes), summary(found)]))
    if as_json:
        document = {**report(found, redactor), "fixed": []}
        if fix and yes and found.fixes:
            document["fixed"] = _write(file, found.fixes)
        print(json.dumps(document, indent=1, ensure_ascii=False))
    elif fix:
        _fix(file, found.fixes, redactor, yes=yes)
    elif found.fixes:
        names = ", ".join(proposed.setting for proposed in found.fixes)
        say(f"`shortwire doctor --fix` would write to {file}: {names}")
    if live_call is not None:
        raise typer.Exit(_live_call(live_call, bench, found.exit_status, say))
    raise typer.Exit(found.exit_status)


def _say(line: str) -> None:
    print(line, flush=True)


def settings_or_problem(env_file: Path, named: bool) -> tuple[Settings | None, Any]:
    """(settings, None), or (None, the error that says all that is wrong)."""
    from ..errors import ConfigError
    from ..settings import load_settings

    try:
        return load_settings(env_file=env_file if named else None), None
    except ConfigError as error:
        return None, error


def _bench(env_file: Path, named: bool, will_use: str, variables: str) -> tuple[Bench, Redactor]:
    from ..doctor.bench import Bench
    from ..doctor.overrides import named as overrides_named
    from ..telemetry.redaction import Redactor

    overrides = overrides_named(will_use)
    settings, problem = settings_or_problem(env_file, named)
    bench = Bench(
        given=settings,
        problems=problem,
        env_file=env_file,
        will_use=overrides,
        variables=frozenset(filter(None, (part.strip() for part in variables.split(",")))),
        rehearse=_rehearse(),
    )
    return bench, Redactor(_secrets(settings))


def _secrets(settings: Settings | None) -> list[str]:
    from pydantic import SecretStr

    if settings is None:
        return []
    values = (getattr(settings, name) for name in type(settings).model_fields)
    return [value.get_secret_value() for value in values if isinstance(value, SecretStr)]


def _rehearse() -> Rehearse | None:
    try:
        import numpy  # noqa: F401  the emulators' extra
    except ImportError:
        return None
    from ..app import Server
    from ..doctor.rehearsal import rehearsal

    return rehearsal(lambda settings: Server(settings, say=lambda line: None))


def _examine(bench: Bench, redactor: Redactor, only: Sequence[str], quick: bool, say: Callable[[str], None]) -> Any:
    from ..doctor.check import GROUPS
    from ..doctor.report import lines
    from ..doctor.runner import examine, load_checks
    from ..errors import UsageError
    from ..fast_loop import run_promptly
    from ..telemetry.logs import configure_logging

    known = load_checks()
    for name in only:
        if name not in known and name not in GROUPS:
            raise UsageError(f"there is no check {name}", details=f"groups: {', '.join(GROUPS)}")
    width = max(60, min(120, shutil.get_terminal_size().columns))

    def progress(check: Check, found: Sequence[Finding]) -> None:
        if bench.has_settings or not check.needs_settings:
            say("\n".join(lines(check, found, redactor, width=width)))

    async def run() -> Any:
        return await examine(
            bench,
            only=only,
            quick=quick,
            progress=progress,
        )

    # What the parts say to a log is of no use here; what went wrong is in the findings.
    pipe = configure_logging("error", False, [])
    try:
        found = run_promptly(run())  # the loop that the server uses: its lateness is one of the findings
    finally:
        pipe.close()
    if not bench.has_settings:
        say("?    everything else waits for the settings")
    return found


def _fix(file: Path, fixes: Sequence[Fix], redactor: Redactor, *, yes: bool) -> None:
    if not fixes:
        print("Nothing that can be mended in the settings file without you.")
        return
    print(f"Would write to {file}:")
    for proposed in fixes:
        hidden = "KEY" in proposed.setting or "TOKEN" in proposed.setting
        value = "(a new random text)" if hidden else redactor.text(proposed.value)
        print(f"  {proposed.setting}={value}    # {redactor.text(proposed.why)}")
    if not yes and not typer.confirm("Write?", default=False):
        print("Nothing was written.")
        return
    _write(file, fixes)
    print(f"Written; every other line of {file} is as it was. Run `shortwire doctor` again.")


def _write(file: Path, fixes: Sequence[Fix]) -> list[str]:
    from ..doctor.env_file import write_values

    write_values(file, {proposed.setting: proposed.value for proposed in fixes})
    return [proposed.setting for proposed in fixes]


def _live_call(number: str, bench: Bench, status: int, say: Callable[[str], None]) -> int:
    """One real call through the running server, unless something fails; the worse of both exit statuses."""
    if status == 1 or bench.given is None:
        say("No live call: mend what fails first.")
        return 1
    from ..telemetry.redaction import mask_number
    from .call import call

    say(f"Calling {mask_number(number)} for real. This is billed.")
    key = bench.settings.shortwire_api_key.get_secret_value()
    try:
        call(number, url=f"http://127.0.0.1:{bench.settings.port}", api_key=key)
    except typer.Exit as left:
        return int(left.exit_code) or status
    return status
