"""Who gets a connection: by table, byte by byte, and with anything at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortwire.owner import MOST_WORKERS, ticket_mark
from shortwire.switchboard.ids import new_call_id
from shortwire.switchboard.tickets import Tickets
from shortwire.workers.choosing import LONGEST_HEAD, Asked, Chooser, Seat, read_request

ANYBODY = Asked()
CALL = "call_1hf7yat005sm8hkefw7gjwh8nh"
SID = b"CA" + b"1" * 32
FORM = b"AccountSid=AC1&CallSid=" + SID + b"&From=%2B1415"


def get(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: example.test\r\n\r\n".encode()


def post(target: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {target} HTTP/1.1", "Host: example.test", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.mark.parametrize(
    ("request_bytes", "asked"),
    [
        (get("/outbound-media-stream/w3.abc-_DEF"), Asked(3)),
        (get("/outbound-media-stream/w31.abc"), Asked(31)),
        (get("/outbound-media-stream/w3abc"), ANYBODY),
        (get("/outbound-media-stream/abcw3.def"), ANYBODY),
        (get("/outbound-media-stream/"), ANYBODY),
        (get("/doctor/echo/w2.abc?x=1"), Asked(2)),
        (get("/put/before/it/doctor/echo/w2.abc"), Asked(2)),
        (get("/doctor/tickets"), ANYBODY),
        (post(f"/status-callback/{CALL}", b"CallStatus=ringing"), Asked(5)),
        (get(f"/status-callback/{CALL}?CallStatus=ringing"), Asked(5)),
        (post(f"/outbound-call-twiml/{CALL}", FORM), Asked(5)),
        (get(f"/v1/calls/{CALL}"), Asked(5)),
        (get(f"/v1/calls/{CALL}/events"), Asked(5)),
        (get(f"/v1/calls/{CALL}?reveal=true"), Asked(5)),
        (get(f"http://example.test/v1/calls/{CALL}"), Asked(5)),
        (get(f"/v1/calls/{CALL.replace('_', '%5F')}"), Asked(5)),
        (get("/v1/calls/call_of_somebody_else"), ANYBODY),
        (get(f"/v2/v1/calls/{CALL}"), ANYBODY),
        (get("/v1/calls"), ANYBODY),
        (post("/v1/calls", b'{"number": "+14155550123"}'), ANYBODY),
        (get("/v1/health"), ANYBODY),
        (post("/incoming-call", FORM), Asked(call_sid=SID)),
        (post("/incoming-call", b"CallSid=" + SID), Asked(call_sid=SID)),
        (post("/incoming-call/", FORM), Asked(call_sid=SID)),
        (get("/incoming-call?From=1&CallSid=" + SID.decode()), Asked(call_sid=SID)),
        (post("/incoming-call", b"ParentCallSid=" + SID), ANYBODY),
        (post("/incoming-call", FORM, "Expect: 100-continue")[: -len(FORM)], ANYBODY),
        (post("/incoming-call", b"", f"X-Note: &CallSid={SID.decode()}"), ANYBODY),
        (b"\x16\x03\x01\x02\x00", ANYBODY),
        (b"hello?\r\n", ANYBODY),
        (b"NONSENSE\r\n\r\n", ANYBODY),
        (b"GET /" + b"a" * LONGEST_HEAD, ANYBODY),
    ],
)
def test_who_is_asked_for(request_bytes: bytes, asked: Asked) -> None:
    assert read_request(request_bytes) == asked


def test_a_body_in_chunks() -> None:
    head = b"POST /incoming-call HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = f"{len(FORM):x}\r\n".encode() + FORM + b"\r\n"
    assert read_request(head) is None
    assert read_request(head + chunk) == Asked(call_sid=SID)
    assert read_request(head + b"3\r\na=b\r\n0\r\n\r\n") == ANYBODY


@pytest.mark.parametrize(
    "request_bytes",
    [
        get(f"/v1/calls/{CALL}/hangup"),
        get("/outbound-media-stream/w3.abc"),
        post("/incoming-call", FORM),
        post("/incoming-call", b"From=1&To=2"),
    ],
)
def test_half_a_request_is_never_taken_for_another_one(request_bytes: bytes) -> None:
    whole = read_request(request_bytes)
    assert whole is not None
    assert {read_request(request_bytes[:length]) for length in range(1, len(request_bytes) + 1)} == {None, whole}


@given(st.binary(max_size=200) | st.binary(max_size=80).map(lambda b: b"GET /" + b) | st.just(b""))
def test_anything_may_come(peeked: bytes) -> None:
    asked = read_request(peeked)
    assert asked is None or asked.worker is None or 0 <= asked.worker < 100


@pytest.mark.parametrize("worker", [0, 1, MOST_WORKERS - 1])
def test_what_is_issued_is_found_again(worker: int) -> None:
    ticket = Tickets[str](worker).issue("call", 0, 1.0)
    assert ticket.startswith(ticket_mark(worker))
    assert read_request(get(f"/outbound-media-stream/{ticket}")) == Asked(worker)
    assert read_request(get(f"/v1/calls/{new_call_id(1_700_000_000, worker)}")) == Asked(worker)


def test_without_workers_a_ticket_names_nobody() -> None:
    ticket = Tickets[str]().issue("call", 0, 1.0)
    assert read_request(get(f"/outbound-media-stream/{ticket}")) == ANYBODY


def seats(*loads: int) -> list[Seat]:
    return [Seat(worker, load) for worker, load in enumerate(loads)]


@pytest.mark.parametrize(
    ("asked", "at", "chosen"),
    [
        (Asked(1), seats(0, 9), 1),
        (Asked(7), seats(3, 0), 1),
        (ANYBODY, seats(3, 1, 2), 1),
        (ANYBODY, [Seat(0, 0, fresh=False), Seat(1, 5)], 1),
        (ANYBODY, [Seat(0, 0, fresh=False), Seat(1, 5, fresh=False)], 0),
        (Asked(0), [Seat(0, 50, fresh=False), Seat(1, 0)], 0),
        (Asked(0), [Seat(1, 0)], 1),
        (ANYBODY, [], None),
        (Asked(0), [], None),
    ],
)
def test_who_is_chosen(asked: Asked, at: list[Seat], chosen: int | None) -> None:
    assert Chooser().choose(asked, at) == chosen


def test_equal_ones_take_turns() -> None:
    chooser = Chooser()
    assert [chooser.choose(ANYBODY, seats(0, 0, 0)) for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_a_repeated_webhook_finds_its_worker_whatever_the_load() -> None:
    chooser = Chooser()
    first = chooser.choose(Asked(call_sid=SID), seats(5, 0))
    assert first == 1
    assert chooser.choose(Asked(call_sid=SID), seats(0, 5)) == 1
    # It has died: somebody else, who is remembered from then on.
    assert chooser.choose(Asked(call_sid=SID), seats(5)) == 0
    assert chooser.choose(Asked(call_sid=SID), seats(9, 0)) == 0


def test_what_is_remembered_has_a_bound() -> None:
    chooser = Chooser(remembered=10)
    for number in range(50):
        chooser.choose(Asked(call_sid=b"CA%d" % number), seats(0, 0))
    assert len(chooser._by_sid) == 10
