"""Temporary files in memory: a library of ours writes one with each TLS connection, on the event loop."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["temporary_files_in_memory"]

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - as open to all as /tmp, and files are made there in the same way


def temporary_files_in_memory() -> None:
    """Where there is such a place (Linux), and nobody has chosen one by TMPDIR: for this process and its children.

    aiofastnet hands each peer's certificate to CPython's decoder, which reads files only (its ssl_engine_direct.pyx,
    `_decode_certificate`): a sixth of a millisecond of the event loop on a disk that has nothing else to do, and as
    long as it takes where it has (docs/why/beside.md).
    """
    if "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK | os.X_OK):
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None  # looked up again
