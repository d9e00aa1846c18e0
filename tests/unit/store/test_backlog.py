"""Order, bounds and what happens to writes that come back. No database here."""

from __future__ import annotations

import threading

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shortwire.records import EventKind
from shortwire.store.backlog import Append, Backlog, Barrier, Create, Update
from shortwire.store.receipt import Receipt


def take(backlog: Backlog, limit: int = 1000):
    return backlog.take(interval_s=0, idle_s=0, limit=limit)


def create(call_id: str) -> Create:
    return Create({"id": call_id}, None, "", 0.0, Receipt())


def event(seq: int, kind: str = "call.state") -> dict:
    return {"call_id": "a", "seq": seq, "kind": kind}


def shown(items) -> list:
    names = {Create: "create", Update: "update", Append: "append", Barrier: "barrier"}
    rows = {Create: lambda item: item.row["id"], Update: lambda item: item.row, Append: lambda item: item.row["seq"]}
    return [(names[type(item)], rows[type(item)](item)) if type(item) in rows else "barrier" for item in items]


def test_order_is_kept_and_updates_of_a_call_join():
    backlog = Backlog(max_events=10)
    backlog.put_awaited(create("a"))
    backlog.put_update("a", {"x": 1})
    backlog.put_event(event(1))
    backlog.put_update("a", {"x": 2, "y": 3})
    backlog.put_update("b", {"x": 9})
    assert shown(take(backlog)) == [
        ("create", "a"),
        ("update", {"x": 2, "y": 3}),
        ("append", 1),
        ("update", {"x": 9}),
    ]
    assert take(backlog) == ()


def test_an_update_does_not_move_in_front_of_its_creation():
    backlog = Backlog(max_events=10)
    backlog.put_update("a", {"x": 1})
    backlog.put_awaited(create("a"))
    backlog.put_update("a", {"x": 2})
    assert shown(take(backlog)) == [("update", {"x": 1}), ("create", "a"), ("update", {"x": 2})]


def test_what_was_taken_is_not_joined_any_more():
    backlog = Backlog(max_events=10)
    backlog.put_update("a", {"x": 1})
    first = take(backlog)
    backlog.put_update("a", {"x": 2})
    assert shown(first) == [("update", {"x": 1})]
    assert shown(take(backlog)) == [("update", {"x": 2})]


def test_what_comes_back_goes_first_and_newer_values_win():
    backlog = Backlog(max_events=10)
    backlog.put_update("a", {"x": 1, "y": 1})
    backlog.put_event(event(1))
    failed = take(backlog)
    backlog.put_update("a", {"x": 2})
    backlog.put_event(event(2))
    backlog.put_back(failed)
    backlog.put_update("a", {"z": 3})
    written = [item for item in take(backlog) if not (isinstance(item, Update) and not item.row)]
    assert shown(written) == [("update", {"x": 2, "y": 1, "z": 3}), ("append", 1), ("append", 2)]


def test_an_outage_costs_events_beyond_the_bound_and_no_state():
    backlog = Backlog(max_events=5)
    for round_ in range(50):
        backlog.put_update("a", {"x": round_})
        backlog.put_update(f"call {round_}", {"x": 0})
        backlog.put_event(event(round_))
        backlog.put_back(take(backlog))
    assert backlog.put_event(event(99, EventKind.ENDED))  # a follower of the call must see its end
    assert backlog.dropped == 45
    left = take(backlog)
    updates = {item.call_id: item.row for item in left if isinstance(item, Update) and item.row}
    assert updates["a"] == {"x": 49}
    assert len(updates) == 51
    assert [item.row["seq"] for item in left if isinstance(item, Append)] == [0, 1, 2, 3, 4, 99]
    assert len(left) <= 51 + 6 + 1


def test_room_is_made_by_writing():
    backlog = Backlog(max_events=2)
    assert [backlog.put_event(event(seq)) for seq in (1, 2, 3)] == [True, True, False]
    batch = take(backlog)
    assert not backlog.put_event(event(4))  # taken is not written
    assert backlog.pending == 2
    backlog.settle(batch)
    assert backlog.pending == 0
    assert backlog.put_event(event(5))
    assert backlog.dropped == 2


def test_who_stopped_waiting_is_not_put_back():
    backlog = Backlog(max_events=2)
    gone, waiting = create("a"), create("b")
    backlog.put_awaited(gone)
    backlog.put_awaited(waiting)
    batch = take(backlog)
    assert gone.receipt.withdraw()
    backlog.put_back(batch)
    assert shown(take(backlog)) == [("create", "b")]


def test_reads_that_were_given_up_do_not_fill_the_batches_of_an_outage():
    backlog = Backlog(max_events=10)
    backlog.put_event(event(1))
    for _ in range(50):
        read = Barrier(Receipt())
        backlog.put_awaited(read)
        failed = take(backlog)
        assert read.receipt.withdraw()
        backlog.put_back(failed)
    waiting = Barrier(Receipt())
    backlog.put_awaited(waiting)
    backlog.put_back(take(backlog))  # whoever still waits is put back
    assert shown(take(backlog)) == [("append", 1), "barrier"]


def test_nor_do_they_grow_behind_more_writes_than_a_batch_takes():
    backlog = Backlog(max_events=10)
    for seq in range(1, 6):
        backlog.put_event(event(seq))
    for _ in range(50):
        read = Barrier(Receipt())
        backlog.put_awaited(read)
        backlog.put_back(take(backlog, 2))
        assert read.receipt.withdraw()
    assert backlog.pending <= 6
    new = create("a")
    backlog.put_awaited(new)
    assert shown(take(backlog)) == [*(("append", seq) for seq in range(1, 6)), ("create", "a")]
    assert not backlog._hurried()  # those who left are not counted as waiting


def test_somebody_waiting_ends_the_collecting():
    backlog = Backlog(max_events=2)
    backlog.put_update("a", {"x": 1})
    taken: list = []
    thread = threading.Thread(target=lambda: taken.extend(backlog.take(interval_s=300, idle_s=0, limit=10)))
    thread.start()
    backlog.put_awaited(Barrier(Receipt()))
    thread.join(60)
    assert shown(taken) == [("update", {"x": 1}), "barrier"]


def test_closing_ends_waits_and_hands_out_the_rest():
    backlog = Backlog(max_events=2)
    backlog.put_update("a", {"x": 1})
    backlog.close()
    assert not backlog.put_update("a", {"x": 2})
    assert not backlog.put_event(event(1))
    assert not backlog.put_awaited(Barrier(Receipt()))
    assert backlog.dropped == 2
    backlog.pause(300)
    assert shown(backlog.take(interval_s=300, idle_s=300, limit=10)) == [("update", {"x": 1})]
    assert backlog.take(interval_s=300, idle_s=300, limit=10) is None


def test_a_limit_leaves_the_rest():
    backlog = Backlog(max_events=10)
    for seq in (1, 2, 3):
        backlog.put_event(event(seq))
    assert shown(take(backlog, 2)) == [("append", 1), ("append", 2)]
    assert shown(take(backlog, 2)) == [("append", 3)]


class AgainstAPlainDictionary(RuleBasedStateMachine):
    """Whatever fails and comes back in whatever portions: what is written at last is what was asked for,
    and a barrier never passes a write before it."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog = Backlog(max_events=10_000)
        self.wanted: dict[str, dict[str, int]] = {}
        self.written: dict[str, dict[str, int]] = {}
        self.promised: dict[int, dict[str, dict[str, int]]] = {}
        self.count = 0

    @rule(call=st.sampled_from("ab"), field=st.sampled_from("xy"))
    def update(self, call, field):
        self.count += 1
        self.backlog.put_update(call, {field: self.count})
        self.wanted.setdefault(call, {})[field] = self.count

    @rule()
    def barrier(self):
        item = Barrier(Receipt())
        self.backlog.put_awaited(item)
        self.promised[id(item)] = {call: dict(row) for call, row in self.wanted.items()}
        self.keep = [*getattr(self, "keep", []), item]

    @rule(limit=st.integers(1, 4), good=st.integers(0, 4), late=st.none() | st.sampled_from("ab"))
    def write(self, limit, good, late):
        batch = list(take(self.backlog, limit))
        if late is not None:  # something comes while the batch is away
            self.update(late, "x")
        for item in batch[:good]:
            if isinstance(item, Update):
                self.written.setdefault(item.call_id, {}).update(item.row)
            else:
                for call, row in self.promised.pop(id(item)).items():
                    for field, value in row.items():
                        assert self.written[call][field] >= value
        self.backlog.settle(batch[:good])
        self.backlog.put_back(batch[good:])

    @invariant()
    def memory_is_bounded(self):
        assert self.backlog.pending <= 2 * 2 + len(self.promised) + 4

    def teardown(self):
        while self.backlog.pending:
            self.write(1000, 1000, None)
        assert self.written == self.wanted


TestAgainstAPlainDictionary = AgainstAPlainDictionary.TestCase
