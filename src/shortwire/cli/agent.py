"""`shortwire agent`: what of the agent's configuration costs time; changing it, and taking that back exactly.

Nothing is changed without `tune --apply` or `restore`; before a change the whole configuration is kept in the data
directory.
"""

# ruff: noqa: PLR0917 - a command's parameters are its options; typer calls it by keyword

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from ..agent_tuning import Kept, Proposal
    from ..net.elevenlabs_account import ElevenLabsAccount
    from ..settings import Settings

__all__ = ["agent_app"]

T = TypeVar("T")
agent_app = typer.Typer(
    help="The agent's configuration: what costs time, and changing it.", no_args_is_help=True, rich_markup_mode=None
)
EnvFile = Annotated[Path | None, typer.Option(help="Settings file instead of ./.env.")]
AgentOption = Annotated[str | None, typer.Option("--agent", help="Another agent than ELEVENLABS_AGENT_ID.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@agent_app.command("show")
def show(agent: AgentOption = None, as_json: AsJson = False, env_file: EnvFile = None) -> None:
    """Every field that costs or saves time: value, effect, source."""
    from ..agent_tuning import read_levers

    settings, agent_id = _settings(env_file, agent)
    found = _with(settings, lambda platform: platform.agent(agent_id))
    readings = read_levers(found)
    if as_json:
        rows = [
            {
                "field": r.path,
                "value": r.value,
                "verdict": r.verdict.value,
                "effect": r.effect,
                "cost_ms": r.cost_ms,
                "source": r.source,
            }
            for r in readings
        ]
        print(json.dumps({"agent_id": agent_id, "fields": rows}, indent=1, ensure_ascii=False))
        return
    print(f"{found.get('name') or agent_id}")
    for reading in readings:
        cost = f"  (about {reading.cost_ms[0]} to {reading.cost_ms[1]} ms per turn)" if reading.cost_ms else ""
        print(f"  {reading.verdict.value:<6} {_short(reading.path)} = {_value(reading.value)}{cost}")
        print(f"         {reading.effect}; {reading.source}")
    _show_permitted(found)


def _show_permitted(found: Mapping[str, Any]) -> None:
    from ..switchboard.low_latency import plan

    print("LOW_LATENCY_MODE, with what this agent permits per call:")
    for reason in plan(found).reasons:
        print(f"  {reason}")


@agent_app.command("tune")
def tune(
    apply: Annotated[bool, typer.Option("--apply", help="Make the changes; without it they are only shown.")] = False,
    with_risk: Annotated[
        bool, typer.Option("--with-risk", help="With --apply: also those that cost quality or money.")
    ] = False,
    only: Annotated[list[str] | None, typer.Option(help="With --apply: this field only (repeatable).")] = None,
    yes: Yes = False,
    agent: AgentOption = None,
    env_file: EnvFile = None,
) -> None:
    """Propose changes that save time, with what each costs; apply them when told to."""
    from ..agent_tuning import proposals

    settings, agent_id = _settings(env_file, agent)
    found = _with(settings, lambda platform: platform.agent(agent_id))
    every = proposals(found)
    chosen = _chosen(every, only or [], with_risk=with_risk)
    if not every:
        print("Nothing to propose: every field that is known to cost time is at its best value.")
        return
    for proposal in every:
        _show_proposal(proposal, taken=proposal in chosen)
    if not apply:
        print(f"Nothing was changed. {_how_to_apply(chosen)}")
        return
    if not chosen:
        print("Nothing to apply: what is left costs quality or money; --with-risk or --only FIELD takes it.")
        return
    if not yes and not typer.confirm(f"Change {len(chosen)} field(s) of {agent_id}?", default=False):
        print("Nothing was changed.")
        return
    values = {proposal.path: proposal.new for proposal in chosen}
    kept = _apply(settings, agent_id, found, values)
    print(f"Changed. The configuration before is kept as {kept.id}; `shortwire agent restore` puts it back.")


def _how_to_apply(chosen: Sequence[Proposal]) -> str:
    if not chosen:
        return "All of it costs quality or money: --apply --with-risk makes every change, --apply --only FIELD one."
    return "--apply makes the changes marked *; --with-risk all; --only FIELD one."


def _chosen(every: Sequence[Proposal], only: Sequence[str], *, with_risk: bool) -> list[Proposal]:
    from ..errors import UsageError

    if not only:
        return [proposal for proposal in every if with_risk or not proposal.risk]
    chosen = [p for p in every if p.path in only or _short(p.path) in only]
    known = {p.path for p in chosen} | {_short(p.path) for p in chosen}
    if strangers := [name for name in only if name not in known]:
        raise UsageError(f"nothing is proposed for {strangers[0]}", details="`shortwire agent tune` lists the fields")
    return chosen


def _apply(settings: Settings, agent_id: str, before: Mapping[str, Any], values: Mapping[str, Any]) -> Kept:
    from ..agent_tuning import Keeper, change_of, value_at
    from ..errors import PeerError
    from ..terms import AgentId

    kept = Keeper(settings.shortwire_data_dir).keep(agent_id, settings.elevenlabs_base_url, before, values, time.time())
    after = _with(settings, lambda platform: platform.change_agent(AgentId(agent_id), change_of(values)))
    if wrong := [path for path, value in values.items() if value_at(after, path) != value]:
        raise PeerError(
            "the service did not take every change",
            details=f"unchanged: {', '.join(wrong)}; `shortwire agent restore` puts the others back",
        )
    return kept


def _show_proposal(proposal: Proposal, *, taken: bool) -> None:
    print(f"{'*' if taken else ' '} {_short(proposal.path)}")
    print(f"    - {_value(proposal.old)}")
    print(f"    + {_value(proposal.new)}")
    print(f"    gain  {proposal.effect}")
    print(f"    price {proposal.risk or 'nothing that is known'}")


@agent_app.command("diff")
def diff(
    kept_id: Annotated[str, typer.Argument(metavar="[KEPT]", help="A kept configuration; the last one.")] = "",
    as_json: AsJson = False,
    agent: AgentOption = None,
    env_file: EnvFile = None,
) -> None:
    """What differs between the agent now and a kept configuration. Exit status 1 if anything does."""
    from ..agent_tuning import Keeper, differences

    settings, agent_id = _settings(env_file, agent)
    keeper = Keeper(settings.shortwire_data_dir)
    kept = keeper.one(agent_id, kept_id)
    found = _with(settings, lambda platform: platform.agent(agent_id))
    rows = differences(kept.before, found)
    if as_json:
        document = [{"field": path, "kept": _plain(old), "now": _plain(new)} for path, old, new in rows]
        print(json.dumps({"kept": kept.id, "differences": document}, indent=1, ensure_ascii=False))
    else:
        _show_differences(rows, f"Kept as {kept.id} (-), and now (+)")
    raise typer.Exit(1 if rows else 0)


@agent_app.command("restore")
def restore(
    kept_id: Annotated[str, typer.Argument(metavar="[KEPT]", help="A kept configuration; the last one.")] = "",
    yes: Yes = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also undo what somebody else changed in those fields since.")
    ] = False,
    agent: AgentOption = None,
    env_file: EnvFile = None,
) -> None:
    """Put back what a change of ours replaced, exactly."""
    from ..agent_tuning import Keeper, change_of, differences, value_at
    from ..errors import Conflict, PeerError
    from ..terms import AgentId

    settings, agent_id = _settings(env_file, agent)
    keeper = Keeper(settings.shortwire_data_dir)
    kept = keeper.one(agent_id, kept_id)
    previous = kept.previous
    now = _with(settings, lambda platform: platform.agent(agent_id))
    foreign = [p for p, ours in kept.changed.items() if value_at(now, p) not in (ours, previous[p])]
    if foreign and not force:
        raise Conflict(
            "somebody changed these fields after us", details=f"{', '.join(foreign)}; --force puts the old values back"
        )
    rows = [(path, value_at(now, path), old) for path, old in previous.items() if value_at(now, path) != old]
    _show_differences(rows, f"Now (-), and as it was before {kept.id} (+)")
    if rows:
        if not yes and not typer.confirm(f"Put {len(rows)} field(s) of {agent_id} back?", default=False):
            print("Nothing was changed.")
            return
        change = change_of({path: old for path, _, old in rows})
        now = _with(settings, lambda platform: platform.change_agent(AgentId(agent_id), change))
    left = [path for path, old in previous.items() if value_at(now, path) != old]
    if left:
        raise PeerError("the service did not take every value back", details=", ".join(left))
    keeper.mark_restored(kept)
    others = differences(kept.before, now)
    print("Restored." if not others else "Restored; these differ for other reasons:")
    if others:
        _show_differences(others, "Kept (-), and now (+)")


def _show_differences(rows: Sequence[tuple[str, Any, Any]], title: str) -> None:
    print(title if rows else "No difference.")
    for path, old, new in rows:
        print(f"  {_short(path)}")
        print(f"    - {_value(old)}")
        print(f"    + {_value(new)}")


def _settings(env_file: Path | None, agent: str | None) -> tuple[Settings, Any]:
    from ..settings import load_settings

    settings = load_settings(env_file=env_file)
    return settings, agent or settings.elevenlabs_agent_id


def _with(settings: Settings, ask: Callable[[ElevenLabsAccount], Awaitable[T]]) -> T:
    """One question to the agent's host, on a loop of its own."""
    from ..net.elevenlabs_account import ElevenLabsAccount

    async def run() -> T:
        platform = ElevenLabsAccount(
            settings.elevenlabs_api_key.get_secret_value(), base_url=settings.elevenlabs_base_url, deadline_s=15.0
        )
        try:
            return await ask(platform)
        finally:
            await platform.close()

    return asyncio.run(run())


def _short(path: str) -> str:
    return path.removeprefix("conversation_config.")


def _value(value: Any, longest: int = 200) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _plain(value: Any) -> Any:
    from ..agent_tuning import MISSING

    return None if value is MISSING else value
