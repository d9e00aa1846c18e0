"""Checks of what is written down: are the settings right, and do they mean what somebody meant?

Looks at `.env` and the environment only; nobody is asked.
"""

from __future__ import annotations

import difflib
import os
import re
import secrets
import stat
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values

from ...call.options import Prewarm, Toggles
from ...errors import NumberRefused
from ...numbers import parse_number
from ...settings import Settings
from ...telemetry.redaction import mask_number
from ...terms import Profile
from ..bench import Bench
from ..check import Fix, Tell, check, fail, warn

_OURS = {name.upper() for name in Settings.model_fields}
_READ_BY_OTHERS = {"SHORTWIRE_URL", "SHORTWIRE_TEST_POSTGRES_URL"}
_FAMILIES = ("SHORTWIRE", "TWILIO", "ELEVEN", "NGROK", "SERVER", "XI_", "ALLOWED")
_SECRETS = ("elevenlabs_api_key", "twilio_auth_token", "shortwire_api_key", "ngrok_authtoken")


_WHERE = {
    "ELEVENLABS_API_KEY": "elevenlabs.io, Developers, API keys; it begins with sk_",
    "TWILIO_AUTH_TOKEN": "console.twilio.com, Account Info, Auth Token; 32 hex digits",
    "TWILIO_ACCOUNT_SID": "console.twilio.com, Account Info; AC and 32 hex digits",
    "TWILIO_PHONE_NUMBER": "as console.twilio.com lists it under Active numbers: a plus and digits only, no blanks",
    "NGROK_AUTHTOKEN": "dashboard.ngrok.com, Your Authtoken",
    "SHORTWIRE_API_KEY": "any random text of at least 16 characters; `shortwire doctor --fix` writes one",
}
"""Where a value is found that cannot be shown as an example: it would be masked."""


def _file_values(bench: Bench) -> Mapping[str, str]:
    try:
        found = dotenv_values(bench.env_file, encoding="utf-8") if bench.env_file.is_file() else {}
    except (OSError, UnicodeDecodeError):
        return {}
    return {name: value for name, value in found.items() if value}


@check(
    "settings.valid",
    "Every setting is there and right",
    "Reads the command line, the environment and `.env` as `shortwire serve` does, and names every wrong one at once.",
    fail(
        "wrong",
        "a setting is missing or wrong",
        "the server does not start",
        "write in .env: {line}",
    ),
    fail(
        "own_value",
        "a key, token or number of yours is missing or wrong",
        "the server does not start",
        "write {name} into .env: {where}",
    ),
    fail("unreadable", "the settings file cannot be read", "the server does not start", "{line}"),
    needs_settings=False,
)
async def valid(bench: Bench, tell: Tell) -> None:
    error = bench.problems
    if error is None:
        tell.ok("all settings are readable")
        return
    lines = [line for line in error.details.splitlines() if re.match(r"[A-Z_]+ ", line)]
    if not lines:
        tell.problem("unreadable", error.message, line=error.details or error.message)
    for line in lines:
        what, _, write = line.partition("; write for example ")
        name = what.split(" ", 1)[0]
        if name in _WHERE:
            tell.problem(
                "own_value",
                what,
                name=name,
                where=_WHERE[name],
                fix=_fix_of(name, bench),
                values={"setting": name},
            )
            continue
        tell.problem("wrong", what, line=write, fix=_fix_of(name, bench), values={"setting": name})


def _fix_of(name: str, bench: Bench) -> Fix | None:
    """What can be written without asking anybody: a key of our own, an address without its mistakes."""
    given = {**_file_values(bench), **bench.environment}.get(name, "")
    if name == "SHORTWIRE_API_KEY":
        return Fix(name, secrets.token_urlsafe(32), "a new random key")
    if name == "TWILIO_PHONE_NUMBER" and re.fullmatch(r"\+[\d\s().-]{7,24}", given):
        return Fix(name, re.sub(r"[^+\d]", "", given), "the same number, digits only")
    if name in ("SERVER_URL", "ELEVENLABS_BASE_URL", "TWILIO_API_BASE_URL") and given:
        parts = urlsplit(given if "://" in given else f"https://{given}")
        if parts.hostname and "." in parts.hostname and parts.username is None:
            return Fix(name, f"https://{parts.netloc}", "the same host, as an https address without a path")
    if name == "ALLOWED_COUNTRIES" and re.search(r"\bUK\b", given.upper()):
        return Fix(name, re.sub(r"\bUK\b", "GB", given.upper()), "the United Kingdom's code is GB")
    return None


@check(
    "settings.names",
    "No variable is misspelt",
    "Compares the names in `.env` and the environment with the names that are read.",
    warn("misspelt", "a variable is not read by anybody", "what it says does not happen", "rename {name} to {near}"),
    warn("unknown", "a variable is not read by anybody", "what it says does not happen", "take {name} out"),
    needs_settings=False,
)
async def names(bench: Bench, tell: Tell) -> None:
    in_file = _file_values(bench)
    candidates = set(in_file) | {name for name in bench.environment if name.upper().startswith("SHORTWIRE_")}
    strangers = 0
    for name in sorted(candidates):
        upper = name.upper()
        if upper in _OURS | _READ_BY_OTHERS or not upper.startswith(_FAMILIES):
            continue
        near = _near(upper)
        strangers += 1
        if near:
            tell.problem("misspelt", f"{name} is not a setting", name=name, near=near[0])
        elif upper.startswith("SHORTWIRE_"):
            tell.problem("unknown", f"{name} is not a setting", name=name)
        else:
            strangers -= 1
    if not strangers:
        tell.ok("every name is known")


def _near(name: str) -> list[str]:
    """The setting that was probably meant. What all of a family share says nothing."""
    for family in ("SHORTWIRE_", "TWILIO_", "ELEVENLABS_"):
        if name.startswith(family):
            rest = {ours.removeprefix(family): ours for ours in _OURS if ours.startswith(family)}
            return [rest[found] for found in difflib.get_close_matches(name[len(family) :], rest, n=1, cutoff=0.6)]
    return difflib.get_close_matches(name, _OURS, n=1, cutoff=0.72)


@check(
    "settings.overruled",
    "What `.env` says is what counts",
    "Compares `.env` with the environment, which wins.",
    warn(
        "overruled",
        "the environment says something else than .env",
        "editing .env changes nothing for this variable",
        "unset {name} in the environment, or make both say the same",
    ),
    needs_settings=False,
)
async def overruled(bench: Bench, tell: Tell) -> None:
    in_file = _file_values(bench)
    environment = {name.upper(): value for name, value in bench.environment.items() if value}
    different = [
        name
        for name, value in in_file.items()
        if name.upper() in _OURS and environment.get(name.upper(), value) != value
    ]
    for name in different:
        tell.problem("overruled", f"{name} differs between .env and the environment", name=name)
    if not different:
        tell.ok("nothing in the environment contradicts .env")


@check(
    "settings.secrets",
    "Secrets look like what they are",
    "Judges the shape of keys and tokens, and whether two were exchanged. They are never shown.",
    fail(
        "exchanged",
        "a value stands under another's name",
        "every request is refused",
        "put the right value under {name}",
    ),
    warn(
        "odd_shape",
        "a secret does not look like one of its kind",
        "it may have been cut when it was copied",
        "copy {name} again: {where}",
    ),
    fail("reused", "one secret serves two purposes", "whoever learns one has the other", "make a new {name}"),
)
async def secret_shapes(bench: Bench, tell: Tell) -> None:
    settings = bench.settings
    values = {name: value.get_secret_value() for name in _SECRETS if (value := getattr(settings, name)) is not None}
    said = len(tell.findings)
    agent_key, token = values["elevenlabs_api_key"], values["twilio_auth_token"]
    if settings.elevenlabs_agent_id.startswith("sk_"):
        tell.problem("exchanged", "ELEVENLABS_AGENT_ID holds an API key", name="ELEVENLABS_AGENT_ID")
    if agent_key.startswith(("agent_", "AC")):
        tell.problem("exchanged", "ELEVENLABS_API_KEY holds an id, not a key", name="ELEVENLABS_API_KEY")
    if token.startswith(("AC", "SK", "sk_")):
        tell.problem("exchanged", "TWILIO_AUTH_TOKEN holds a sid or another vendor's key", name="TWILIO_AUTH_TOKEN")
    seen: dict[str, str] = {}
    for name, value in values.items():
        if value in seen:
            tell.problem("reused", f"{name.upper()} is the same as {seen[value]}", name=name.upper())
        seen.setdefault(value, name.upper())
    if len(tell.findings) > said:
        return
    if not _is_local(settings.elevenlabs_base_url) and not re.fullmatch(r"sk_[0-9a-f]{40,60}|[0-9a-f]{32}", agent_key):
        text = "ELEVENLABS_API_KEY is not sk_ and hex digits"
        tell.problem("odd_shape", text, name="ELEVENLABS_API_KEY", where="elevenlabs.io, Developers, API keys")
    if not _is_local(settings.twilio_api_base_url) and not re.fullmatch(r"[0-9a-f]{32}", token):
        text = "TWILIO_AUTH_TOKEN is not 32 hex digits"
        tell.problem("odd_shape", text, name="TWILIO_AUTH_TOKEN", where="console.twilio.com, Account Info")
    if len(tell.findings) == said:
        tell.ok("keys and tokens have the usual shapes")


def _is_local(url: str) -> bool:
    return (urlsplit(url).hostname or "") in ("127.0.0.1", "localhost", "::1")


@check(
    "settings.file_private",
    "Only you can read `.env`",
    "Looks at the permissions of the settings file.",
    warn(
        "readable",
        "others on this machine can read the settings file",
        "keys and tokens are in it",
        "chmod 600 {file}",
    ),
    needs_settings=False,
)
async def file_private(bench: Bench, tell: Tell) -> None:
    if not bench.env_file.is_file():
        tell.ok("there is no settings file")
        return
    mode = stat.S_IMODE(bench.env_file.stat().st_mode)
    if os.name == "posix" and mode & 0o044:
        tell.problem("readable", f"{bench.env_file} has mode {mode:o}", file=bench.env_file)
    else:
        tell.ok(f"mode {mode:o}")


@check(
    "settings.dialling",
    "Somebody may be dialled",
    "Reads ALLOWED_COUNTRIES and the country of our own number.",
    warn(
        "off",
        "outbound dialling is off",
        "every outbound call is refused here; incoming ones work",
        "ALLOWED_COUNTRIES={country} (or whatever countries you call)",
    ),
    fail(
        "not_a_number",
        "our own number is no telephone number",
        "the carrier refuses every call from it (21212)",
        "set TWILIO_PHONE_NUMBER to a number that console.twilio.com lists under Active numbers",
    ),
)
async def dialling(bench: Bench, tell: Tell) -> None:
    settings = bench.settings
    shown = mask_number(settings.twilio_phone_number)
    try:
        country = parse_number(settings.twilio_phone_number).country
    except NumberRefused as error:
        # Test credentials call from a number that no subscriber can have (twilio.md 3.8).
        if settings.twilio_phone_number != "+15005550006":
            tell.problem("not_a_number", f"{shown}: {error.message}")
            return
        country = "US"
    if not settings.allowed_countries:
        tell.problem("off", "ALLOWED_COUNTRIES is empty", country=country)
    else:
        tell.ok(f"may be dialled: {', '.join(sorted(settings.allowed_countries))}; our number is in {country}")


_TOGGLE_COSTS: dict[str, str] = {
    "disable_websocket_compression": "every frame is compressed and unpacked: more work, no smaller audio",
    "increase_max_payload": "one agent message over 1 MiB ends the call",
    "optimize_audio_parsing": "every frame is parsed, decoded and encoded again",
    "tune_sockets": "small frames may wait for each other (Nagle), and a dead peer is noticed late",
    "inline_twiml": "one webhook round trip after pick-up, before anything is heard",
    "low_latency_mode": "the overrides that shorten a turn are not sent",
}


@check(
    "settings.toggles",
    "Nothing that saves time is off",
    "Compares the toggles with the optimized profile. In the baseline profile they are meant to be off.",
    warn("off", "an optimization is off", "it costs time", "take {name} out of the settings, or set it to true"),
    warn(
        "prewarm_off",
        "nothing is prepared while it rings",
        "the caller hears silence for a signed URL and a TLS handshake more: several round trips",
        "take PREWARM out of the settings, or set PREWARM=tls",
    ),
)
async def toggles(bench: Bench, tell: Tell) -> None:
    settings = bench.settings
    if settings.shortwire_profile is Profile.BASELINE:
        tell.ok("the baseline profile: everything is off on purpose")
        return
    now, best = settings.toggles, Toggles()
    for name, cost in _TOGGLE_COSTS.items():
        if getattr(now, name) != getattr(best, name):
            tell.problem("off", f"{name.upper()} is false", effect=cost, name=name.upper())
    if now.prewarm in (Prewarm.OFF, Prewarm.SIGNED_URL):
        tell.problem("prewarm_off", f"PREWARM={now.prewarm.value}")
    if tell.silent:
        tell.ok("all optimizations are on")


@check(
    "settings.edge",
    "Edge and region belong together",
    "Compares TWILIO_EDGE, TWILIO_REGION and TWILIO_API_BASE_URL with the vendor's list (twilio.md 3.9).",
    fail(
        "unknown_edge",
        "there is no such edge",
        "the carrier cannot be reached",
        "TWILIO_EDGE={near}; there are: {known}",
    ),
    fail(
        "no_media",
        "this region has no media streams",
        "calls are placed but carry no audio to us",
        "TWILIO_REGION=us1, ie1 or au1",
    ),
    warn(
        "region_only",
        "a region without an edge",
        "Twilio routes it to US1, silently",
        "set TWILIO_EDGE={edge} beside TWILIO_REGION={region}",
    ),
    warn("ignored", "edge and region are not used", "they do nothing", "take out {names}, or TWILIO_API_BASE_URL"),
)
async def edge_and_region(bench: Bench, tell: Tell) -> None:
    from ...net.vendor_hosts import CARRIER_EDGES, MEDIA_REGIONS

    settings = bench.settings
    edge, region = settings.twilio_edge, settings.twilio_region
    if (edge or region) and not any(settings.carrier_edge):
        given = [name for name, value in (("TWILIO_EDGE", edge), ("TWILIO_REGION", region)) if value]
        tell.problem("ignored", "TWILIO_API_BASE_URL already names a host", names=" and ".join(given))
        return
    regions = {known.name: known for known in MEDIA_REGIONS}
    if edge and edge not in CARRIER_EDGES:
        near = (difflib.get_close_matches(edge, CARRIER_EDGES, n=1, cutoff=0.4) or ["ashburn"])[0]
        fix = Fix("TWILIO_EDGE", near, f"{edge} is not an edge")
        tell.problem("unknown_edge", f"TWILIO_EDGE={edge}", near=near, known=", ".join(CARRIER_EDGES), fix=fix)
    if region and region not in regions:
        tell.problem("no_media", f"TWILIO_REGION={region}")
    elif region and not edge:
        best = regions[region].edge
        fix = Fix("TWILIO_EDGE", best, f"the edge at {regions[region].place}")
        tell.problem("region_only", f"TWILIO_REGION={region} without TWILIO_EDGE", edge=best, region=region, fix=fix)
    if tell.silent:
        values: dict[str, Any] = {"edge": edge or "(none)", "region": region or "us1"}
        tell.ok(f"edge {values['edge']}, region {values['region']}", **values)
