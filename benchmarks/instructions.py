"""Instructions per relayed message: the media path's cost, counted by callgrind, whatever the machine is doing.

    python benchmarks/instructions.py                count, print, compare with the committed figures
    python benchmarks/instructions.py --write        commit new figures to benchmarks/instructions.json

Counted is everything between a frame's bytes and the other socket's bytes: picows' parser, our leg, the session,
the cut, the side log, and picows' frame for the other side, over a transport that swallows them. Not counted:
the kernel, the event loop, and the analyst, who works beside the path (its own row). Two runs of different
length are subtracted, so start-up and imports do not enter. Exit status 1: more than 10 % over the figures.
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

HERE = Path(__file__).resolve().parent
FIGURES = HERE / "instructions.json"
SHORT, LONG = 200, 1200
MAY_RISE = 1.10
ROWS = ("uplink", "downlink", "analyst")


def count(row: str, messages: int) -> int:
    """Instructions of one run of `instructions_load.py`."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                "valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out",
                sys.executable, str(HERE / "instructions_load.py"), row, str(messages),
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
    parser.add_argument("--write", action="store_true", help="keep the figures as the new ones")
    write = parser.parse_args().write
    if shutil.which("valgrind") is None:
        print("valgrind is not here (Debian: apt install valgrind): nothing counted", file=sys.stderr)
        return 2
    # Once without counting: whatever has to be compiled is compiled now.
    subprocess.run([sys.executable, str(HERE / "instructions_load.py"), ROWS[0], "1"], check=True)
    # Counts differ between Python releases, so each has figures of its own.
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    committed = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    known, counted, worse = committed.get(version, {}), {}, []
    for row in ROWS:
        counted[row] = round((count(row, LONG) - count(row, SHORT)) / (LONG - SHORT))
        before = known.get(row)
        against = (
            f"  ({counted[row] / before - 1:+.1%} against {before})" if before else "  (no figure to compare with)"
        )
        print(f"{row:<9} {counted[row]:>7} instructions a message{against}", flush=True)
        if before and counted[row] > before * MAY_RISE:
            worse.append(row)
    if write:
        FIGURES.write_text(json.dumps({**committed, version: counted}, indent=2, sort_keys=True) + "\n")
    if worse and not write:
        print(f"more than {MAY_RISE - 1:.0%} dearer: {', '.join(worse)}; if it is worth it, say so with --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
