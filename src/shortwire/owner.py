"""Which of several worker processes owns a call: written into the names that leave the house.

A call's id and a one-time ticket carry the number of the worker that made them, so whoever stands at the door
needs no table to find it. A server of one process writes nothing and draws everything at random, as ever.
"""

from __future__ import annotations

import re

__all__ = [
    "ID_ALPHABET",
    "ID_TIME_DIGITS",
    "MOST_WORKERS",
    "node_of_worker",
    "settles",
    "ticket_mark",
    "worker_of_call",
    "worker_of_node",
    "worker_of_ticket",
]

ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Of call ids (`terms.CallId`): no letter that is taken for a digit."""
ID_TIME_DIGITS = 9
"""Of the 26 characters behind ``call_``, the ones that count milliseconds; the next one may name the worker."""
MOST_WORKERS = len(ID_ALPHABET)
"""One character of the id names the worker."""

_CALL = re.compile(rf"call_[{ID_ALPHABET}]{{{ID_TIME_DIGITS}}}(?P<worker>[{ID_ALPHABET}])[{ID_ALPHABET}]{{16}}")
# A full stop is in no ticket itself (URL-safe base64), so a mark cannot come about by chance.
_TICKET = re.compile(r"w(?P<worker>[0-9]{1,2})\.")
_NODE = re.compile(r"(?P<base>.+):w(?P<worker>[0-9]{1,2})")


def worker_of_call(call_id: str) -> int | None:
    """The worker that an id of a call names; None: no such id.

    An id from the time of one process names somebody by chance. That does no harm: whoever is asked for a call
    that is not his answers from the store.
    """
    found = _CALL.fullmatch(call_id)
    return ID_ALPHABET.index(found["worker"]) if found else None


def ticket_mark(worker: int | None) -> str:
    """What stands before the random part of a worker's tickets."""
    return "" if worker is None else f"w{worker}."


def worker_of_ticket(ticket: str) -> int | None:
    found = _TICKET.match(ticket)
    return int(found["worker"]) if found else None


def node_of_worker(base: str, worker: int | None) -> str:
    """The name under which a process keeps its calls in the store: the same after every restart."""
    return base if worker is None else f"{base}:w{worker}"


def worker_of_node(base: str, node: str) -> int | None:
    """Which worker of the server `base` a node is; None: it is that server as one process, or another server."""
    found = _NODE.fullmatch(node)
    return int(found["worker"]) if found and found["base"] == base else None


def settles(base: str, worker: int | None, of: int, node: str) -> bool:
    """Whether what `node` left open is for this process to settle: worker `worker` of `of`, or the only one (None).

    Each one settles its own. What was left by a server of another number of processes falls to the first: a node
    that does not exist any more has nobody else.
    """
    if node == node_of_worker(base, worker):
        return True
    theirs = worker_of_node(base, node)
    if worker is None:
        return theirs is not None
    return worker == 0 and (node == base or (theirs is not None and theirs >= of))
