"""See `_media.pyx`."""

from array import array
from collections.abc import Callable

from picows import WSFrame, WSListener, WSTransport

from ._ear import Recorder

class Send:
    def __init__(self, transport: WSTransport) -> None: ...
    def __call__(self, message: bytes) -> None: ...

class Delays:
    max_ns: int
    def __init__(self, buckets: array[int]) -> None: ...

class Written:
    ms: float
    marked_ms: float
    run_ms: float
    at_ns: int
    plays_until_ns: int
    def extends(self, now_ns: int, ms: float, /) -> bool: ...
    def mark_due(self) -> bool: ...

class Shortcut:
    relayed: int
    last_ns: int
    def __init__(self, recorder: Recorder, delays: Delays) -> None: ...
    def aim(self, send: object) -> None: ...
    def end(self) -> None: ...

class UplinkShortcut(Shortcut):
    def begin(self, ending: bytes, head: bytes, tail: bytes) -> None: ...

class DownlinkShortcut(Shortcut):
    stale_below: int
    @property
    def written(self) -> Written: ...
    def begin(self, head: bytes, tail: bytes, mark: Callable[[int], None]) -> None: ...
    def answer(self, send: object) -> None: ...

class Listener(WSListener):
    shortcut: Shortcut | None
    joining: bool
    quick_fd: int
    def frame(self, transport: WSTransport, frame: WSFrame) -> None: ...
    def broken(self, what: str) -> None: ...
