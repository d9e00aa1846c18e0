"""The documents parse, hold our own URL and nothing else, and end the call behind a dead bridge."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortwire.wire.twiml import BUSY, HANGUP, connect_stream


def shape(document: str) -> list[tuple[str, dict[str, str], int]]:
    """Tag, attributes and depth of every element."""

    def walk(element: ElementTree.Element, depth: int) -> list[tuple[str, dict[str, str], int]]:
        assert not (element.text or "").strip()
        inner = [found for child in element for found in walk(child, depth + 1)]
        return [(element.tag, dict(element.attrib), depth), *inner]

    assert document.startswith('<?xml version="1.0" encoding="UTF-8"?>')
    return walk(ElementTree.fromstring(document.encode()), 0)


def test_a_call_is_joined_then_hung_up() -> None:
    url = "wss://bridge.example.com/outbound-media-stream/tkt_abc-DEF_123"
    assert shape(connect_stream(url)) == [
        ("Response", {}, 0),
        ("Connect", {}, 1),
        ("Stream", {"url": url}, 2),
        ("Hangup", {}, 1),
    ]


def test_the_two_documents_without_a_stream() -> None:
    assert shape(HANGUP) == [("Response", {}, 0), ("Hangup", {}, 1)]
    assert shape(BUSY) == [("Response", {}, 0), ("Reject", {"reason": "busy"}, 1)]


@pytest.mark.parametrize("url", ["wss://h.example/m?ticket=1", "wss://h.example/m?", "wss://h.example/m#a"])
def test_a_query_is_refused_since_the_carrier_drops_it(url: str) -> None:
    with pytest.raises(ValueError, match="no query"):
        connect_stream(url)


xml_text = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="?#\ufffe\uffff"), max_size=40)


@given(xml_text)
@settings(deadline=None)
def test_nothing_gets_out_of_the_attribute(tail: str) -> None:
    url = "wss://h.example/" + tail
    assert [tag for tag, _, _ in shape(connect_stream(url))] == ["Response", "Connect", "Stream", "Hangup"]
    assert shape(connect_stream(url))[2][1] == {"url": url}


@pytest.mark.parametrize("tail", ['"/><Say>hi</Say><X a="', "'/><Dial>+1</Dial>", "&amp;", "]]>", "<!--", "\n\r\t"])
def test_markup_stays_text(tail: str) -> None:
    assert shape(connect_stream(f"wss://h.example/{tail}"))[2][1] == {"url": f"wss://h.example/{tail}"}


def test_an_inline_document_fits_the_carriers_limit() -> None:
    # 4000 characters, protocols/twilio.md section 3.2; a public name has at most 253.
    url = f"wss://{'h' * 253}/outbound-media-stream/{'t' * 64}"
    assert len(connect_stream(url)) < 4000
