"""Names that say who owns a call, and who settles what was left open."""

from __future__ import annotations

import pytest

from shortwire.owner import MOST_WORKERS, node_of_worker, settles, worker_of_call, worker_of_node, worker_of_ticket
from shortwire.settings import Settings
from shortwire.switchboard.ids import new_call_id


@pytest.mark.parametrize("worker", range(MOST_WORKERS))
def test_an_id_names_its_worker_and_looks_like_any_other(worker: int) -> None:
    plain, marked = new_call_id(1_700_000_000), new_call_id(1_700_000_000, worker)
    assert worker_of_call(marked) == worker
    assert len(marked) == len(plain) and marked[:14] == plain[:14]
    assert set(marked[5:]) <= set("0123456789abcdefghjkmnpqrstvwxyz")


def test_marked_ids_still_sort_by_age_and_differ() -> None:
    ids = [new_call_id(1_700_000_000 + ms / 1000, ms % 3) for ms in range(500)]
    assert sorted(ids) == ids
    assert len({new_call_id(1_700_000_000, 1) for _ in range(2000)}) == 2000


@pytest.mark.parametrize("text", ["", "call_", "call_0", "w1.abc", "call_" + "i" * 26, "CALL_" + "0" * 26])
def test_what_is_no_id_names_nobody(text: str) -> None:
    assert worker_of_call(text) is None


@pytest.mark.parametrize(
    ("ticket", "worker"), [("w1.abc", 1), ("w12.abc", 12), ("w123.abc", None), ("abc", None), ("w.a", None), ("", None)]
)
def test_tickets(ticket: str, worker: int | None) -> None:
    assert worker_of_ticket(ticket) == worker


def test_nodes_are_the_same_after_a_restart() -> None:
    assert node_of_worker("host:8001", None) == "host:8001"
    assert worker_of_node("host:8001", node_of_worker("host:8001", 3)) == 3
    assert worker_of_node("host:8001", "host:8002:w3") is None
    assert worker_of_node("host:8001", "host:8001") is None


NODES = ["h:1", "h:1:w0", "h:1:w1", "h:1:w2", "h:1:w3", "h:2", "h:2:w0", "other:1:w1"]


@pytest.mark.parametrize("of", [1, 2, 3, 4])
def test_whatever_was_left_open_is_settled_by_exactly_one(of: int) -> None:
    seats = [None] if of == 1 else list(range(of))
    for node in NODES:
        settlers = [seat for seat in seats if settles("h:1", seat, of, node)]
        assert len(settlers) == (1 if node.startswith("h:1") else 0), node
        if of > 1 and (worker := worker_of_node("h:1", node)) is not None and worker < of:
            assert settlers == [worker]


def test_the_setting_has_the_bound_of_the_names() -> None:
    [bound] = [m.le for m in Settings.model_fields["shortwire_workers"].metadata if hasattr(m, "le")]
    assert bound == MOST_WORKERS
