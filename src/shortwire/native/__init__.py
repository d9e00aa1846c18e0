"""The compiled part, where it was built: the media path's usual case (`media`), how it reads (`socket`), its books
(`playout`), what is noted of it (`notes`) and heard in that (`ear`), and the clock beside it (`strikes`).

Everything here has a twin in Python that does the same (docs/why/native.md); `AVAILABLE` says which of the two runs.
Built at installation by `hatch_build.py` where there is a C compiler; without one nothing is missing but speed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from picows import WSFrame, WSListener, WSMsgType, WSTransport

if TYPE_CHECKING:
    from . import _ear as ear
    from . import _media as media
    from . import _notes as notes
    from . import _playout as playout
    from . import _socket as socket
    from . import _strikes as strikes

__all__ = ["AVAILABLE", "WHY_NOT", "Listener", "ear", "media", "notes", "playout", "sender", "socket", "strikes"]

try:
    from . import _ear as ear
    from . import _media as media
    from . import _notes as notes
    from . import _playout as playout
    from . import _socket as socket
    from . import _strikes as strikes
except (ImportError, ValueError) as error:  # not built; or for another picows, whose layout is checked at import
    AVAILABLE, WHY_NOT = False, str(error)
    ear = media = notes = playout = socket = strikes = None  # type: ignore[assignment]  # nobody looks at them without AVAILABLE
else:
    AVAILABLE, WHY_NOT = True, ""


class _PurePython(WSListener):
    """What `socket.Listener` is, without a shortcut: whoever derives from it gives `frame` both names."""

    def __init__(self) -> None:
        super().__init__()
        self.shortcut: Any = None
        self.joining = False
        self.heard = False
        self.quick_fd = -1
        self.tapped = False

    def untap(self) -> None:
        """See `_socket.pyx`: there is nothing beside the transport."""

    def frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Any frame that did not go the short way."""
        raise NotImplementedError

    def written(self, read_ns: int, written_ns: int) -> None:
        """The shortcut has written something that is not counted yet."""
        raise NotImplementedError

    def broken(self, what: str) -> None:
        """The shortcut raised."""
        raise NotImplementedError


if TYPE_CHECKING:
    Listener = socket.Listener
else:
    Listener = socket.Listener if AVAILABLE else _PurePython

_TEXT = cast(WSMsgType, WSMsgType.TEXT.value)
"""The plain number is cheaper to hand over."""


def sender(transport: WSTransport) -> Callable[[bytes], None]:
    """A `MessageSocket.send`; ignores what comes after our close frame, or after the end, as picows does."""
    return media.Send(transport) if AVAILABLE else partial(transport.send, _TEXT)
