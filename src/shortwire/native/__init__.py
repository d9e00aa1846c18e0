"""The compiled part, where it was built: the media path's usual case (`media`), its books
(`playout`), and hearing what went over it (`ear`).

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
    from . import _playout as playout

__all__ = ["AVAILABLE", "WHY_NOT", "Listener", "ear", "media", "playout", "sender"]

try:
    from . import _ear as ear
    from . import _media as media
    from . import _playout as playout
except (ImportError, ValueError) as error:  # not built; or for another picows, whose layout is checked at import
    AVAILABLE, WHY_NOT = False, str(error)
    ear = media = playout = None  # type: ignore[assignment]  # nobody looks at them without AVAILABLE
else:
    AVAILABLE, WHY_NOT = True, ""


class _PurePython(WSListener):
    """What `media.Listener` is, without a shortcut: whoever derives from it gives `frame` both names."""

    def __init__(self) -> None:
        super().__init__()
        self.shortcut: Any = None
        self.joining = False
        self.quick_fd = -1

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
    Listener = media.Listener
else:
    Listener = media.Listener if AVAILABLE else _PurePython

_TEXT = cast(WSMsgType, WSMsgType.TEXT.value)
"""The plain number is cheaper to hand over."""


def sender(transport: WSTransport) -> Callable[[bytes], None]:
    """A `MessageSocket.send`; ignores what comes after our close frame, or after the end, as picows does."""
    return media.Send(transport) if AVAILABLE else partial(transport.send, _TEXT)
