"""Checks of the machine: versions, what is installed, the loop, the disk, the clock, how many calls it carries."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from ...clock import NS_PER_MS
from ...fast_loop import FAST_LOOP
from ...net.probes import http_request
from ...telemetry.redaction import REDACTED
from ..bench import Bench
from ..check import Tell, check, fail, warn

_LOW_DISK = 1 << 30
_TAPE_BYTES_PER_MINUTE = 2 * 60 * 50 * 220


@check(
    "machine.versions",
    "Python and the libraries are new enough",
    "Compares installed versions with the ones that Shortwire asks for.",
    fail("missing", "a library is not installed", "the server does not start", "pip install '{requirement}'"),
    warn(
        "too_old",
        "a library is outside the range that was tested",
        "anything may happen",
        "pip install '{requirement}'",
    ),
    needs_settings=False,
)
async def versions(bench: Bench, tell: Tell) -> None:
    try:
        asked = [row for text in importlib.metadata.requires("shortwire") or [] if (row := _requirement(text))]
    except importlib.metadata.PackageNotFoundError:
        tell.unknown("Shortwire runs from a folder that was not installed; pip install -e .")
        return
    for name, specifier in asked:
        found = _version(bench, name)
        if found is None:
            tell.problem("missing", f"{name} is not installed", requirement=name + specifier)
        elif not _in_range(found, specifier):
            text = f"{name} {found}, asked for {specifier}"
            tell.problem("too_old", text, requirement=name + specifier)
    if tell.silent:
        tell.ok(f"Python {sys.version.split()[0]}, {len(asked)} libraries in their ranges")


def _requirement(text: str) -> tuple[str, str] | None:
    """Name and version range of a line of our own metadata; None for an extra or another system."""
    wanted, _, marker = text.partition(";")
    if "extra" in marker or ("win32" in marker and ("==" in marker) != (sys.platform == "win32")):
        return None
    match = re.match(r"\s*([A-Za-z0-9_.-]+)(?:\[[^]]*\])?\s*(.*?)\s*$", wanted)
    return (match[1], match[2].strip("() ")) if match else None


def _in_range(version: str, specifier: str) -> bool:
    """Whether a release satisfies ``>=1.2,<2``: the only two signs that our own metadata uses."""
    have = _release(version)
    for part in filter(None, (part.strip() for part in specifier.split(","))):
        if part.startswith(">=") and have < _release(part[2:]):
            return False
        if part.startswith("<") and have >= _release(part[1:]):
            return False
    return True


def _release(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in re.findall(r"\d+", version)[:4]]
    return tuple(numbers + [0] * (4 - len(numbers)))


def _version(bench: Bench, package: str) -> str | None:
    if bench.version_of is not None:
        return bench.version_of(package)
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@check(
    "machine.python",
    "Python was built for speed",
    "Reads how this Python was built.",
    warn(
        "slow_build",
        "this Python was built without optimisation",
        "every frame costs 20 to 40 % more, and so fewer calls fit on a core",
        "take the Python of the system's packages: apt install python3 python3-venv, then make clean (make finds it); "
        "pyenv: PYTHON_CONFIGURE_OPTS='--enable-optimizations --with-lto' pyenv install --force {version}",
    ),
    needs_settings=False,
)
async def python_build(bench: Bench, tell: Tell) -> None:
    version = sys.version.split()[0]
    if bench.optimised():
        tell.ok(f"Python {version}, an optimised build")
    else:
        tell.problem("slow_build", f"Python {version} was built without --enable-optimizations", version=version)


@check(
    "machine.extras",
    "What is switched on is installed",
    "Looks for the package behind the tunnel, the PostgreSQL store and the event loop.",
    fail(
        "missing",
        "an extra is switched on and not installed",
        "the server does not start",
        "pip install 'shortwire[{extra}]'",
    ),
    warn(
        "slow_loop", "the fast event loop is not installed", "every frame waits a little longer", "pip install {loop}"
    ),
)
async def extras(bench: Bench, tell: Tell) -> None:
    settings = bench.settings
    if settings.shortwire_tunnel == "ngrok" and _version(bench, "ngrok") is None:
        tell.problem("missing", "SHORTWIRE_TUNNEL=ngrok needs the package ngrok", extra="tunnel")
    if settings.shortwire_database_url is not None and _version(bench, "psycopg") is None:
        tell.problem("missing", "SHORTWIRE_DATABASE_URL needs the package psycopg", extra="postgres")
    if _version(bench, FAST_LOOP) is None:
        tell.problem("slow_loop", f"{FAST_LOOP} is not installed", loop=FAST_LOOP)
    if tell.silent:
        tell.ok("nothing is missing for what is switched on")


@check(
    "machine.hand_over",
    "The lean sockets can be built",
    "Builds one the way an upgrade would, and opens a socket through the real listener.",
    warn(
        "fallback",
        "lean sockets do not work here",
        "the stock sockets serve: every frame costs more",
        "pip install --force-reinstall picows ({why})",
    ),
    needs_settings=False,
)
async def hand_over(bench: Bench, tell: Tell) -> None:
    del bench
    try:
        from ...net.lean_phone import self_test

        self_test()
    except Exception as error:  # whatever keeps it from working is the finding
        tell.problem("fallback", f"{type(error).__name__}: {error}", why=type(error).__name__)
        return
    tell.ok("lean sockets can be built")


@check(
    "machine.event_loop",
    "The event loop is on time",
    "Asks to be woken every 5 ms for a second, and measures how late that is.",
    warn(
        "late",
        "the machine wakes us late",
        "frames leave late, by as much",
        "stop what else runs on this machine, or give it another core (late by {p99} ms at the 99th percentile)",
    ),
    needs_settings=False,
)
async def event_loop(bench: Bench, tell: Tell) -> None:
    late: list[float] = []
    for _ in range(200):
        due = bench.clock.now_ns() + 5 * NS_PER_MS
        await asyncio.sleep(0.005)
        late.append(max(0.0, (bench.clock.now_ns() - due) / NS_PER_MS))
        if sum(late) > 4000:
            break
    late.sort()
    p50, p99 = late[len(late) // 2], late[int(len(late) * 0.99) - 1]
    values = {"p50_ms": round(p50, 2), "p99_ms": round(p99, 2)}
    # Everything else doctor does runs beside this, so only a really bad figure says something.
    if p50 > 10:
        tell.problem(
            "late", f"woken late by {p50:.1f} ms (median), {p99:.1f} ms (p99)", p99=f"{p99:.0f}", values=values
        )
    else:
        tell.ok(f"woken late by {p50:.2f} ms (median), {p99:.1f} ms (p99, while doctor works beside it)", **values)


@check(
    "machine.data_dir",
    "The data directory can be written",
    "Writes a file there and removes it.",
    fail(
        "not_writable",
        "the data directory cannot be written",
        "no call can be stored, so the server does not start",
        "make {path} writable for this user, or set SHORTWIRE_DATA_DIR to a directory that is",
    ),
    fail(
        "is_a_file",
        "the data directory is a file",
        "the server does not start",
        "set SHORTWIRE_DATA_DIR to a directory",
    ),
)
async def data_dir(bench: Bench, tell: Tell) -> None:
    path = bench.settings.shortwire_data_dir
    standing = path
    while not standing.exists() and standing != standing.parent:
        standing = standing.parent
    if not standing.is_dir():
        tell.problem("is_a_file", f"{standing} is a file")
        return
    try:
        with tempfile.NamedTemporaryFile(dir=standing, prefix=".shortwire-doctor-"):
            pass
    except OSError as error:
        tell.problem("not_writable", f"{standing}: {error.strerror}", path=path)
        return
    tell.ok(f"{path} can be written" if standing == path else f"{path} will be made")


@check(
    "machine.disk",
    "There is room on the disk",
    "Free space where the data directory is, and how long tapes can be written there.",
    warn(
        "low",
        "less than 1 GiB is free",
        "the database stops when the disk is full",
        "free space at {path}, or set SHORTWIRE_DATA_DIR elsewhere",
    ),
)
async def disk(bench: Bench, tell: Tell) -> None:
    path = bench.settings.shortwire_data_dir
    while not path.exists() and path != path.parent:
        path = path.parent
    free = _free_bytes(path)
    hours = free / _TAPE_BYTES_PER_MINUTE / 60
    tapes = f", about {hours:.0f} hours of tapes" if bench.settings.shortwire_tape else ""
    if free < _LOW_DISK:
        tell.problem("low", f"{free / (1 << 20):.0f} MiB free", path=path, values={"free_bytes": free})
    else:
        tell.ok(f"{free / (1 << 30):.0f} GiB free{tapes}", free_bytes=free)


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


@check(
    "machine.clock",
    "The clock is right",
    "Compares it with the `Date` header of both vendors; the difference is known to about a second.",
    fail(
        "wrong",
        "this machine's clock is wrong",
        "certificates and signed webhooks are taken for expired",
        "switch on time synchronisation: timedatectl set-ntp true",
    ),
    warn(
        "off",
        "this machine's clock is off",
        "times in logs and calls do not agree with the vendors'",
        "switch on time synchronisation: timedatectl set-ntp true",
    ),
)
async def clock(bench: Bench, tell: Tell) -> None:
    settings = bench.settings
    skews = []
    for url in (settings.elevenlabs_base_url, settings.twilio_api_base_url):
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            before = bench.clock.wall_s()
            answer = await http_request(bench.http, "GET", url + "/", deadline_s=4.0 * bench.patience)
            if answer.date_s is not None:
                # A whole second, cut off: the true instant lies half a second later on average.
                skews.append((before + bench.clock.wall_s()) / 2 - (answer.date_s + 0.5))
    if not skews:
        tell.unknown("neither vendor answered")
        return
    skew = min(skews, key=abs)
    shown = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the vendors"
    if abs(skew) > 300:
        tell.problem("wrong", shown, values={"skew_s": round(skew, 1)})
    elif abs(skew) > 5:
        tell.problem("off", shown, values={"skew_s": round(skew, 1)})
    else:
        tell.ok("agrees with the vendors within a second or two", skew_s=round(skew, 1))


@check(
    "machine.proxy_variables",
    "No proxy stands between us and the vendors",
    "Looks for HTTPS_PROXY and ALL_PROXY: media sockets go straight, whatever they say.",
    warn(
        "proxy",
        "the environment names a proxy",
        "Shortwire does not use it; where only the proxy reaches the Internet, no call works",
        "allow direct connections to both vendors from this machine ({name} is ignored)",
    ),
    needs_settings=False,
)
async def proxy_variables(bench: Bench, tell: Tell) -> None:
    names = {"HTTPS_PROXY", "ALL_PROXY", "HTTP_PROXY"}
    found = sorted(name for name, value in bench.environment.items() if value and name.upper() in names)
    if found:
        tell.problem("proxy", f"{', '.join(found)} set", name=found[0])
    else:
        tell.ok("none is set")


@check(
    "machine.descriptors",
    "Enough files may be open",
    "Reads the limit of open files, as `serve` takes it: the hard one. A call needs about six.",
    warn(
        "few",
        "the limit of open files is low",
        "at about {calls} calls at once new ones are refused",
        "raise it: ulimit -n 8192, or LimitNOFILE=8192 in the service",
    ),
    needs_settings=False,
)
async def descriptors(bench: Bench, tell: Tell) -> None:
    del bench
    if os.name != "posix":
        tell.ok("this system has no such limit")
        return
    limit = _descriptor_limit()
    if 0 < limit < 1024:
        calls = limit // 6
        effect = f"at about {calls} calls at once new ones are refused"
        tell.problem("few", f"{limit} files", effect=effect, values={"limit": limit})
    else:
        tell.ok(f"{'no limit' if limit < 0 else limit}", limit=limit)


def _descriptor_limit() -> int:
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


@check(
    "machine.database",
    "The database answers",
    "Connects to SHORTWIRE_DATABASE_URL, where one is set.",
    fail(
        "unreachable",
        "the database does not answer",
        "the server does not start",
        "check SHORTWIRE_DATABASE_URL: {why}",
    ),
)
async def database(bench: Bench, tell: Tell) -> None:
    url = bench.settings.shortwire_database_url
    if url is None:
        tell.ok("SQLite in the data directory")
        return
    if importlib.util.find_spec("psycopg") is None:
        tell.unknown("psycopg is not installed (see machine.extras)")
        return
    plain = url.get_secret_value().replace("postgresql+psycopg://", "postgresql://", 1)
    try:
        await asyncio.to_thread(_try_database, plain)
    except Exception as error:  # psycopg's own tree, or a malformed address
        secret = urlsplit(plain).password or ""
        why = (str(error) or type(error).__name__).splitlines()[0]
        why = why.replace(secret, REDACTED) if secret else why
        tell.problem("unreachable", why, why=why)
        return
    tell.ok("PostgreSQL answers")


def _try_database(url: str) -> None:
    import psycopg

    with psycopg.connect(url, connect_timeout=3) as connection:
        connection.execute("select 1")
