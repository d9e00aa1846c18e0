"""How long the turns of a server's event loop are: what arrives waits for the end of one.

    python benchmarks/turns/turns.py                          # 50 talking calls, TLS agents, 10 s: half a minute
    python benchmarks/turns/turns.py --calls 100 --mode echo --no-tls
    python benchmarks/turns/turns.py --beside calls  # while others come and go; kinds: `shortwire bench beside`
    python benchmarks/turns/turns.py --peer fastapi_websockets

The server is measured as `shortwire bench` measures it, with `record.c` preloaded, which keeps the instants of the
system calls of its event loop. A turn is from the return of one wait for the sockets to the begin of the next. Shown:
what it did (messages read; nothing read is work beside them), how many there were, what they took together and each;
and how long one of a hundred, and of a thousand, arrivals at a random instant would have waited for the turn's end.
The recording takes part: half a microsecond a system call. Linux, a C compiler and numpy (extra `emulators`).
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shortwire.bench.beside import Kind, chosen_kinds
from shortwire.bench.load import Load
from shortwire.bench.machine import cores, on
from shortwire.bench.processes import Process
from shortwire.bench.run import Bench, During, Standing, measure
from shortwire.bench.subject import Subject, find_peers, shortwire
from shortwire.clock import SystemClock
from shortwire.errors import UsageError

HERE = Path(__file__).resolve().parent
RECORD = np.dtype([("began_ns", "<i8"), ("ended_ns", "<i8"), ("result", "<i8"), ("kind", "<i8")])
HEAD, MOST = 64, 4_000_000
WAIT, READ = 1, 2
BIG = 1500
"""Bytes of one read: more is a chunk of the agent's, less a frame of the phone's or a message about the call."""


@dataclass(frozen=True)
class Turns:
    """All turns of a window: how long each was, and how many messages were read in it."""

    us: NDArray[np.float64]
    reads: NDArray[np.int64]
    big: NDArray[np.int64]
    """Of these, longer than `BIG`."""
    window_s: float


def turns_of(path: Path, begin_ns: int, end_ns: int) -> Turns:
    """The turns between two instants of the monotonic clock."""
    count = min(int(np.fromfile(path, dtype="<i8", count=1)[0]), MOST)
    records = np.fromfile(path, dtype=RECORD, count=count, offset=HEAD)
    if count == MOST:
        sys.exit("more system calls than the recording holds: fewer --calls or --seconds")
    records = records[(records["began_ns"] > begin_ns) & (records["ended_ns"] < end_ns)]
    waits = records[records["kind"] == WAIT]
    if len(waits) < 2:
        sys.exit("no event loop was seen: it waits by another system call than epoll_wait and epoll_pwait")
    starts, ends = waits["ended_ns"][:-1], waits["began_ns"][1:]
    got = records[(records["kind"] == READ) & (records["result"] > 0)]

    def within(instants: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(instants, ends) - np.searchsorted(instants, starts)

    return Turns(
        us=(ends - starts) / 1e3,
        reads=within(got["began_ns"]),
        big=within(got["began_ns"][got["result"] > BIG]),
        window_s=(end_ns - begin_ns) / 1e9,
    )


def waited_us(turns: Turns, share: float) -> float:
    """What an arrival at a random instant waits at most, but for one in 1 / `share`: the length m for which all that
    turns are longer than m makes up this share of the window."""
    low, high = 0.0, float(turns.us.max())
    for _ in range(50):
        middle = (low + high) / 2
        if np.clip(turns.us - middle, 0, None).sum() / (turns.window_s * 1e6) > share:
            low = middle
        else:
            high = middle
    return low


def table(turns: Turns) -> Iterator[str]:
    beside = turns.reads == 0
    one = turns.reads == 1
    kinds = {
        "one short message": one & (turns.big == 0),
        "one long message": one & (turns.big == 1),
        "several": turns.reads > 1,
        "nothing read": beside,
    }
    yield f"{'turns with':18} {'a second':>9} {'ms/s':>7} {'p50':>7} {'p99':>7} {'longest':>8} {'ms/s over 50 us':>18}"
    for name, chosen in kinds.items():
        us = turns.us[chosen]
        if not us.size:
            continue
        beyond = np.clip(us - 50, 0, None).sum() / turns.window_s / 1e3
        p50, p99 = np.percentile(us, (50, 99))
        yield (
            f"{name:18} {us.size / turns.window_s:9.0f} {us.sum() / turns.window_s / 1e3:7.1f} {p50:7.1f} {p99:7.1f}"
            f" {us.max():8.0f} {beyond:18.2f}"
        )
    busy = turns.us.sum() / turns.window_s / 1e4
    yield f"the loop was busy {busy:.1f} % of {turns.window_s:.1f} s"
    yield (
        f"an arrival waits for a turn's end: one in a hundred {waited_us(turns, 0.01):.0f} us or more,"
        f" one in a thousand {waited_us(turns, 0.001):.0f} us or more"
    )


def compile_recorder(library: Path) -> None:
    """Raises `UsageError` where there is no compiler."""
    if shutil.which("cc") is None:
        raise UsageError("turns are recorded with a C compiler", details="install one (gcc, clang) as cc")
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(HERE / "record.c"), "-ldl"]
    subprocess.run(command, check=True)


def subject_of(peer: str, kind: Kind | None, library: Path, record: Path) -> Subject:
    preloaded = {"LD_PRELOAD": str(library), "TURNS_FILE": str(record)}
    if not peer:
        settings = kind.settings if kind else {}
        return shortwire("optimized", SHORTWIRE_PROFILE="optimized", **preloaded, **settings)
    [found] = find_peers(None, (peer,))
    return Subject(found.name, found.command, preloaded, found.folder, ours=False, missing=found.missing)


async def _nothing(_standing: Standing, _phones: Process) -> None:
    await asyncio.sleep(3600)


async def run(args: argparse.Namespace, folder: Path) -> int:
    library, record = folder / "record.so", folder / "turns"
    compile_recorder(library)
    kind = chosen_kinds([args.beside])[0] if args.beside else None
    load = Load(
        calls=args.calls,
        seconds=args.seconds,
        mode=args.mode,
        tls=args.tls,
        warmup_s=5.0,
        agent_host=kind.agent_host if kind else "127.0.0.1",
    )
    where = cores()
    bench = Bench(where, folder)
    work: During = kind.during(bench) if kind and kind.during else _nothing
    end_ns = 0

    async def during(standing: Standing, phones: Process) -> None:
        nonlocal end_ns
        going = asyncio.ensure_future(work(standing, phones))
        try:
            await asyncio.shield(going)
        finally:  # with the window; what ends now is not in it
            end_ns = SystemClock.now_ns()
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)

    with on(where.phones):
        subject = subject_of(args.peer, kind, library, record)
        found = await measure(bench, subject, load, during, beside=kind is not None)
    if found.problems:
        print(found.problems[0], file=sys.stderr)
        return 1
    print(f"{found.subject}: {args.calls} calls, {args.mode}{', TLS agents' if args.tls else ''}; {where.text()}")
    if kind:
        print(f"beside them: {kind.what}")
    print("\n".join(table(turns_of(record, end_ns - int(args.seconds * 1e9), end_ns))))
    for noise in found.noise:
        print(f"NOISY: {noise}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--mode", choices=("echo", "talk"), default="talk")
    parser.add_argument("--no-tls", dest="tls", action="store_false", help="agents without TLS")
    parser.add_argument(
        "--beside", default="", help="a kind of work that goes on meanwhile, as for `shortwire bench beside`"
    )
    parser.add_argument("--peer", default="", help="a bridge of benchmarks/peers, instead of Shortwire")
    # A server that ends badly leaves its recording in the system's temporary directory, which may be small.
    with tempfile.TemporaryDirectory(prefix="turns-") as folder:
        try:
            return asyncio.run(run(parser.parse_args(), Path(folder)))
        except UsageError as error:
            parser.error(f"{error.message}: {error.details}")


if __name__ == "__main__":
    sys.exit(main())
