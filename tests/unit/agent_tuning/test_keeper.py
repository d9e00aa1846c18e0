"""The kept configurations: written before a change, private, and found again."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from shortwire.agent_tuning import Keeper
from shortwire.errors import ConfigError, NotFound

BEFORE = {"conversation_config": {"tts": {"model_id": "eleven_turbo_v2"}, "agent": {"first_message": "Grüß Gott"}}}
CHANGED = {"conversation_config.tts.model_id": "eleven_flash_v2"}


def test_what_was_kept_comes_back_and_tells_how_to_undo(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    first = keeper.keep("agent_1", "https://api.elevenlabs.io", BEFORE, CHANGED, 1_700_000_000.5)
    keeper.keep("agent_2", "https://api.elevenlabs.io", BEFORE, CHANGED, 1_700_000_001.0)
    assert keeper.one("agent_1") == first
    assert first.previous == {"conversation_config.tts.model_id": "eleven_turbo_v2"}
    assert first.id == "20231114T221320-500000"


def test_the_last_that_was_not_put_back_is_meant(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    first = keeper.keep("agent_1", "u", BEFORE, CHANGED, 1.0)
    second = keeper.keep("agent_1", "u", BEFORE, CHANGED, 2.0)
    assert keeper.one("agent_1") == second
    keeper.mark_restored(second)
    assert keeper.one("agent_1") == first
    assert keeper.one("agent_1", second.id).restored
    with pytest.raises(NotFound):
        keeper.one("agent_1", "never")
    keeper.mark_restored(first)
    with pytest.raises(NotFound, match="no configuration"):
        keeper.one("agent_1")


def test_a_field_that_did_not_exist_cannot_be_taken_back_so_nothing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be taken back"):
        Keeper(tmp_path).keep("agent_1", "u", BEFORE, {"conversation_config.turn.speculative_turn": True}, 1.0)
    assert Keeper(tmp_path).all("agent_1") == []


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    Keeper(tmp_path).keep("agent_1", "u", BEFORE, CHANGED, 1.0)
    (file,) = tmp_path.rglob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".json"]


def test_a_directory_that_cannot_be_written_stops_the_change(tmp_path: Path) -> None:
    (tmp_path / "agent-configurations").write_text("a file in the way")
    with pytest.raises(ConfigError, match="nothing was changed"):
        Keeper(tmp_path).keep("agent_1", "u", BEFORE, CHANGED, 1.0)


def test_an_id_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        Keeper(tmp_path).all("../../etc")
