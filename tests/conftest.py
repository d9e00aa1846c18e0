"""What all tests have in common."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it puts in the background so, and children inherit it: no Ctrl-C of a test would reach them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
