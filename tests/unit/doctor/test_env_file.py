"""Writing into `.env`: what is asked for changes, nothing else does; read back by the parser that reads it at start."""

from __future__ import annotations

import stat
from io import StringIO
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from shortwire.doctor.env_file import with_values, write_values
from shortwire.errors import ConfigError

FILE = """# my settings
ELEVENLABS_API_KEY=sk_1   # the key of the team

export TWILIO_EDGE='dublin'  # near
TWILIO_REGION="ie1"
EMPTY=
# TWILIO_EDGE=ashburn
LAST=no newline"""


def read(text: str) -> dict[str, str | None]:
    return dict(dotenv_values(stream=StringIO(text)))


def test_one_value_changes_and_its_comment_stays() -> None:
    text = with_values(FILE, {"TWILIO_EDGE": "sydney"})
    assert text == FILE.replace("export TWILIO_EDGE='dublin'  # near", "export TWILIO_EDGE=sydney  # near")


def test_double_quotes_and_unquoted_values_with_a_comment() -> None:
    text = with_values(FILE, {"TWILIO_REGION": "us1", "ELEVENLABS_API_KEY": "sk_2"})
    assert text == FILE.replace('"ie1"', "us1").replace("sk_1   #", "sk_2   #")


def test_a_new_setting_comes_last_after_a_missing_line_end() -> None:
    assert with_values(FILE, {"NEW": "a b"}) == FILE + "\nNEW='a b'\n"


def test_an_empty_value_is_filled() -> None:
    assert with_values(FILE, {"EMPTY": "x"}) == FILE.replace("EMPTY=\n", "EMPTY=x\n")


def test_of_several_lines_the_last_counts_and_is_changed() -> None:
    assert with_values("A=1\nA=2\n", {"A": "3"}) == "A=1\nA=3\n"


def test_windows_line_ends_stay() -> None:
    assert with_values("A=1\r\nB=2\r\n", {"A": "3", "C": "4"}) == "A=3\r\nB=2\r\nC=4\r\n"


@given(
    st.lists(
        st.sampled_from(["# a comment", "", "A=1", "B='x y'", 'C="z"  # why', "export D=5", "  E = 6"]), max_size=8
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f\x85\xa0"), max_size=20),
)
def test_whatever_is_written_is_read_back_and_the_rest_is_as_before(lines: list[str], value: str) -> None:
    before = "".join(f"{line}\n" for line in lines)
    after = with_values(before, {"A": value})
    assert read(after)["A"] == value
    assert {name: text for name, text in read(after).items() if name != "A"} == {
        name: text for name, text in read(before).items() if name != "A"
    }
    kept = [line for line in lines if not line.startswith("A")]
    assert [line for line in after.splitlines() if line in kept] == kept


def test_the_file_keeps_its_mode_and_a_new_one_is_private(tmp_path: Path) -> None:
    old, new = tmp_path / ".env", tmp_path / "new.env"
    old.write_text("A=1\n")
    old.chmod(0o640)
    write_values(old, {"A": "2"})
    write_values(new, {"A": "2"})
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    assert [path.name for path in sorted(tmp_path.iterdir())] == [".env", "new.env"]


def test_a_link_is_followed_and_stays_one(tmp_path: Path) -> None:
    real = tmp_path / "real.env"
    real.write_text("A=1\n")
    (tmp_path / ".env").symlink_to(real)
    write_values(tmp_path / ".env", {"A": "2"})
    assert (tmp_path / ".env").is_symlink()
    assert real.read_text() == "A=2\n"


def test_a_file_that_is_no_text_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"A=\xff\xfe\n")
    with pytest.raises(ConfigError, match="is as it was"):
        write_values(file, {"A": "2"})
    assert file.read_bytes() == b"A=\xff\xfe\n"
