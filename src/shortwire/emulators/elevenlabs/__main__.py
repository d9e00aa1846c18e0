"""``python -m shortwire.emulators.elevenlabs``."""

import sys

from shortwire.emulators.elevenlabs.cli import run

if __name__ == "__main__":
    sys.exit(run())
