"""A ticket opens one stream of one call, once, within its time."""

from __future__ import annotations

from shortwire.clock import NS_PER_S
from shortwire.switchboard.tickets import Tickets


def test_once() -> None:
    tickets: Tickets[str] = Tickets()
    ticket = tickets.issue("call", 0, 1.0)
    assert tickets.redeem(ticket, 1) == "call"
    assert tickets.redeem(ticket, 2) is None
    assert len(tickets) == 0


def test_in_time() -> None:
    tickets: Tickets[str] = Tickets()
    first, second = tickets.issue("a", 0, 1.0), tickets.issue("b", 0, 1.0)
    assert tickets.redeem(first, NS_PER_S) == "a"
    assert tickets.redeem(second, NS_PER_S + 1) is None


def test_revoked_and_unknown() -> None:
    tickets: Tickets[str] = Tickets()
    ticket = tickets.issue("call", 0, 1.0)
    tickets.revoke(ticket)
    tickets.revoke("never issued")
    assert tickets.redeem(ticket, 1) is None
    for stranger in ("", "x", "\ud800", "é" * 100):
        assert tickets.redeem(stranger, 1) is None


def test_no_two_are_alike_and_none_is_kept_as_it_is() -> None:
    tickets: Tickets[int] = Tickets()
    issued = [tickets.issue(n, 0, 1.0) for n in range(1000)]
    assert len(set(issued)) == 1000
    assert not any(ticket.encode() in tickets._open for ticket in issued)
    assert all(len(ticket) >= 32 and ticket.replace("-", "").replace("_", "").isalnum() for ticket in issued)
