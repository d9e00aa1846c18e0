"""What a parent starts; of no use to anybody else."""

from __future__ import annotations

import sys

from .worker import run

if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("shortwire: this is started by shortwire serve --workers, not by hand")
    sys.exit(run(int(sys.argv[1]), int(sys.argv[2])))
