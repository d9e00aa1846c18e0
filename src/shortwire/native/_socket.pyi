"""See `_socket.pyx`."""

from picows import WSFrame, WSListener, WSTransport

from ._media import Shortcut

class Listener(WSListener):
    shortcut: Shortcut | None
    joining: bool
    heard: bool
    quick_fd: int
    @property
    def tapped(self) -> bool: ...
    def untap(self) -> None: ...
    def frame(self, transport: WSTransport, frame: WSFrame) -> None: ...
    def written(self, read_ns: int, written_ns: int) -> None: ...
    def broken(self, what: str) -> None: ...
