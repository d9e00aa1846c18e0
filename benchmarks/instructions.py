"""Instructions per relayed message: the media path's cost, counted by callgrind, whatever the machine is doing.

    python benchmarks/instructions.py            compare with the figures in benchmarks/instructions.json
    python benchmarks/instructions.py --write    count, and keep the counts as the new figures
    python benchmarks/instructions.py --count    count and print, whatever the figures are

Counted is everything between a frame's bytes and the other socket's bytes: picows' parser, our leg, the session,
the cut, the side log, and picows' frame for the other side, over a transport that swallows them. Not counted:
the kernel, the event loop, and the analyst, who works beside the path (its own row). Two runs of different
length are subtracted, so start-up and imports do not enter. Counts differ between Python releases and between
builds of one, and with the compiled path and without, so each has figures of its own ("3.11", "3.11 optimised compiled
path"); where there are none, nothing is counted.
Exit status 1: more than 10 % over the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from shortwire import native
from shortwire.interpreter import flavour

HERE = Path(__file__).resolve().parent
FIGURES = HERE / "instructions.json"
LOAD = HERE / "instructions_load.py"
SHORT, LONG = 200, 1200
MAY_RISE = 1.10
ROWS = ("uplink", "downlink", "analyst")


def count(row: str, messages: int) -> int:
    """Instructions of one run of `instructions_load.py`."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                "valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out",
                sys.executable, str(LOAD), row, str(messages),
            ],
            capture_output=True, text=True, check=False,
            # A fixed hash seed: the layout of dictionaries is part of the count.
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )  # fmt: skip
    found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
    if done.returncode or found is None:
        sys.exit(f"callgrind failed: {done.stderr[-2000:]}{done.stdout[-500:]}")
    return int(found[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--write", action="store_true", help="keep the counts as the new figures")
    ways.add_argument("--count", action="store_true", help="only count and print")
    chosen = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("valgrind is not here (Debian: apt install valgrind): nothing counted", file=sys.stderr)
        return 2
    committed = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    build = flavour() + (" compiled path" if native.AVAILABLE else "")
    known = committed.get(build, {})
    if not (known or chosen.write or chosen.count):
        print(
            f"instructions: skipped, no figures for Python {build} (--write makes them; there are: {list(committed)})"
        )
        return 0
    print(f"instructions a message, Python {build}", flush=True)
    counted = count_all(known)
    if chosen.write:
        FIGURES.write_text(json.dumps({**committed, build: counted}, indent=2, sort_keys=True) + "\n")
    worse = [row for row, found in counted.items() if found > known.get(row, found) * MAY_RISE]
    if worse and not (chosen.write or chosen.count):
        print(f"more than {MAY_RISE - 1:.0%} dearer: {', '.join(worse)}; if it is worth it, say so with --write")
        return 1
    return 0


def count_all(known: dict[str, int]) -> dict[str, int]:
    """Every row, printed beside what is known of it."""
    # Once without counting: whatever has to be compiled is compiled now.
    subprocess.run([sys.executable, str(LOAD), ROWS[0], "1"], check=True)
    counted = {}
    for row in ROWS:
        counted[row] = round((count(row, LONG) - count(row, SHORT)) / (LONG - SHORT))
        before = known.get(row)
        against = f"{counted[row] / before - 1:+.1%} against {before}" if before else "no figure to compare with"
        print(f"{row:<9} {counted[row]:>7}  ({against})", flush=True)
    return counted


if __name__ == "__main__":
    sys.exit(main())
