"""From the answer to the first word: parts that add up, whatever happened beside what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortwire.call.setup import SETUP_LABELS, SetupInstants, answer_notice_ms, setup_parts

MS = 1_000_000


def at(**instants_ms: float) -> SetupInstants:
    return SetupInstants(**{f"{name}_ns": int(ms * MS) for name, ms in instants_ms.items()})


def test_a_prewarmed_call() -> None:
    parts = setup_parts(
        at(
            news=1000, media_open=1002, started=1094, opening=1002, url=500, agent_open=1139, agent_ready=1139.2,
            first_audio=1424, written=1426, heard=1518,
        ),
        92.0,
    )  # fmt: skip
    assert parts == {
        "answer_notice_ms": 92.0,
        "stream_open_ms": 2.0,
        "agent_upgrade_ms": 137.0,
        "agent_ready_ms": 0.2,
        "first_audio_ms": 284.8,
        "bridge_ms": 2.0,
        "playout_ms": 92.0,
    }


def test_a_cold_call_waits_for_everything_in_turn() -> None:
    parts = setup_parts(
        at(
            news=1000, media_open=1193, started=1289, opening=1289, url=1696, looked_up=1720, tcp=1810,
            tls=2000, agent_open=2100, agent_ready=2099, first_audio=2392, written=2393, heard=2487,
        )
    )  # fmt: skip
    assert list(parts) == [
        "stream_open_ms", "stream_start_ms", "signed_url_ms", "agent_lookup_ms", "agent_tcp_ms", "agent_tls_ms",
        "agent_upgrade_ms", "first_audio_ms", "bridge_ms", "playout_ms",
    ]  # fmt: skip
    assert [parts[f"agent_{name}_ms"] for name in ("lookup", "tcp", "tls", "upgrade")] == [24, 90, 190, 100]
    assert sum(parts.values()) == pytest.approx(1487)


def test_a_connection_made_while_it_rang_is_no_part() -> None:
    parts = setup_parts(at(news=1000, media_open=1010, looked_up=300, tcp=390, tls=580, agent_open=1100, heard=1500))
    assert list(parts) == ["stream_open_ms", "agent_upgrade_ms", "playout_ms"]


def test_somebody_who_picks_up_before_the_connection_is_there_waits_for_the_rest_of_it() -> None:
    parts = setup_parts(at(news=1000, media_open=1010, looked_up=900, tcp=990, tls=1180, agent_open=1300, heard=1500))
    assert parts == {"stream_open_ms": 10.0, "agent_tls_ms": 170.0, "agent_upgrade_ms": 120.0, "playout_ms": 200.0}


def test_a_proxy_makes_the_connection_one_part() -> None:
    parts = setup_parts(at(news=1000, media_open=1010, connected=1300, agent_open=1400))
    assert parts == {"stream_open_ms": 10.0, "agent_connect_ms": 290.0, "agent_upgrade_ms": 100.0}


def test_an_agent_that_was_there_first_makes_the_stream_the_part() -> None:
    parts = setup_parts(
        at(news=1000, media_open=1100, opening=900, agent_open=950, agent_ready=960, first_audio=1050, started=1200,
           written=1201, heard=1300)
    )  # fmt: skip
    assert parts == {"stream_open_ms": 100.0, "stream_start_ms": 100.0, "bridge_ms": 1.0, "playout_ms": 99.0}


def test_a_stream_that_opened_before_the_news_came_is_the_news() -> None:
    assert setup_parts(at(news=1000, media_open=990, heard=1100)) == {"playout_ms": 110.0}


def test_nothing_happened() -> None:
    assert setup_parts(SetupInstants()) == {}


@given(st.dictionaries(st.sampled_from(sorted(SetupInstants.__dataclass_fields__)), st.integers(1, 10**10)))
def test_the_parts_add_up_in_any_order_of_things(instants: dict[str, int]) -> None:
    found = SetupInstants(**instants)
    parts = setup_parts(found, 10.0)
    assert set(parts) <= set(SETUP_LABELS)
    assert all(ms > 0 for ms in (value for value in parts.values() if value != 0))
    zero = min((ns for ns in (found.news_ns, found.media_open_ns) if ns), default=0)
    counted = [ns for name, ns in instants.items() if name not in ("news_ns", "opening_ns")]
    last = max([zero, *counted]) if zero else 0
    assert sum(parts.values()) == pytest.approx(10.0 + (last - zero) / MS, abs=0.06)


def test_the_news_of_the_answer() -> None:
    assert answer_notice_ms(90.0, secure=False, inbound=False) == 90.0
    assert answer_notice_ms(90.0, secure=True, inbound=False) == 180.0
    assert answer_notice_ms(90.0, secure=True, inbound=True) == 0.0
    assert answer_notice_ms(None, secure=True, inbound=False) == 0.0
