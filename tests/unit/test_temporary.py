"""A server's temporary files: in memory, unless somebody wants them elsewhere."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from shortwire import temporary
from shortwire.temporary import temporary_files_in_memory


@pytest.fixture(autouse=True)
def put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", "")  # so that it is put back
    monkeypatch.delenv("TMPDIR")


def test_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(temporary, "_MEMORY", tmp_path)
    temporary_files_in_memory()
    with tempfile.NamedTemporaryFile() as file:
        assert Path(file.name).parent == tmp_path


def test_where_somebody_wants_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    temporary_files_in_memory()
    assert tempfile.gettempdir() == str(tmp_path)


def test_where_there_is_no_such_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = tempfile.gettempdir()
    monkeypatch.setattr(temporary, "_MEMORY", tmp_path / "nowhere")
    temporary_files_in_memory()
    assert tempfile.gettempdir() == before
