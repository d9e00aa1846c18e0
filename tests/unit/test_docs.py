"""The pages keep their word: links lead somewhere, and nothing that exists is left out.

Reads the checkout; needs no server. What a page says about behaviour is tried by hand, with the command beside it.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer.main

from shortwire import errors
from shortwire.cli.live import EXIT
from shortwire.cli.root import app
from shortwire.records import EventKind
from shortwire.settings import Settings
from shortwire.terms import HangupCause

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CAUSES_PAGE = DOCS / "how-to" / "troubleshooting.md"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

FENCE = re.compile(r"^(?P<fence>`{3,})(?P<language>[^\n`]*)\n(?P<code>.*?)^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
INLINE_CODE = re.compile(r"`[^`\n]*`")


def prose(page: Path) -> str:
    return INLINE_CODE.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """Of the page's headings, made as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-"))
    return found


def problem(page: Path, target: str) -> str:
    """What is wrong with a link of a page; empty if nothing."""
    if re.match(r"[a-z]+:", target):
        return ""
    name, _, anchor = unquote(target).partition("#")
    file = (page.parent / name).resolve() if name else page
    if not file.is_relative_to(ROOT) or not file.exists():
        return "leads nowhere"
    if anchor and (file.suffix != ".md" or anchor not in anchors(file)):
        return "has no such heading"
    return ""


def commands() -> Iterator[str]:
    """Every command as a person types it."""
    from typer.core import TyperGroup

    waiting = [("shortwire", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop()
        if isinstance(command, TyperGroup):
            waiting += [(f"{name} {sub}", inner) for sub, inner in command.commands.items()]
        else:
            yield name


def tracked_text() -> Iterator[tuple[Path, str]]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout.decode()
    for name in filter(None, names.split("\0")):
        data = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b""
        if b"\0" not in data:
            try:
                yield Path(name), data.decode()
            except UnicodeDecodeError:
                continue


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_images_lead_somewhere(page: Path) -> None:
    targets = [match["target"] for match in LINK.finditer(prose(page))]
    assert [(target, fault) for target in targets if (fault := problem(page, target))] == []


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("no-such-page.md", "leads nowhere"),
        ("docs/glossary.md#no-such-heading", "has no such heading"),
        ("../outside.md", "leads nowhere"),
        ("docs/how-to/troubleshooting.md#causes", ""),
    ],
)
def test_the_check_of_links_can_fail(target: str, fault: str) -> None:
    assert problem(ROOT / "README.md", target) == fault


def test_every_page_can_be_reached_from_the_index() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        for match in LINK.finditer(prose(page)):
            waiting.append((page.parent / match["target"].partition("#")[0]).resolve())
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in seen] == []


def test_every_setting_is_explained() -> None:
    text = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    assert [name.upper() for name in Settings.model_fields if f"`{name.upper()}`" not in text] == []


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    known = {name.upper() for name in Settings.model_fields}
    known |= {"SHORTWIRE_URL", "SHORTWIRE_TEST_POSTGRES_URL", "SHORTWIRE_REQUIRE_NODE"}
    named = {
        (page.name, name) for page in PAGES for name in re.findall(r"\bSHORTWIRE_[A-Z_]+\b", page.read_text("utf-8"))
    }
    assert {(page, name) for page, name in named if name not in known} == set()


def test_every_command_is_shown() -> None:
    names = sorted(commands())
    assert "shortwire calls show" in names
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in names if name not in text] == []


def test_the_page_of_commands_has_every_one() -> None:
    """Those behind the first of a row are shown without the program's name."""
    text = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    assert [name for name in commands() if f"`{name}" not in text and f"`{name.partition(' ')[2]}" not in text] == []


def test_every_exit_status_is_on_the_page_of_commands() -> None:
    text = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.BridgeError)]
    known = {kind.exit_status for kind in kinds} | set(EXIT.values())
    assert [status for status in sorted(known) if f"\n| {status} | " not in text] == []


@pytest.mark.parametrize("cause", HangupCause, ids=str)
def test_every_cause_says_what_to_do(cause: HangupCause) -> None:
    rows = [
        row for row in CAUSES_PAGE.read_text(encoding="utf-8").splitlines() if row.startswith(f"| `{cause.value}` |")
    ]
    assert len(rows) == 1
    _, _, fault, meaning, remedy, _ = (cell.strip() for cell in rows[0].split("|"))
    assert fault == cause.fault.value
    assert meaning
    assert remedy or cause.fault.value == "none"


@pytest.mark.parametrize("page", ["api.md", "events.md"])
def test_every_event_is_explained(page: str) -> None:
    kinds = [kind for name, kind in vars(EventKind).items() if name.isupper()]
    assert "call.ended" in kinds
    text = (DOCS / "reference" / page).read_text(encoding="utf-8")
    assert [kind for kind in kinds if f"`{kind}`" not in text] == []


def test_python_in_pages_compiles() -> None:
    blocks = [
        (page, match["code"])
        for page in PAGES
        for match in FENCE.finditer(page.read_text(encoding="utf-8"))
        if match["language"].strip() == "python"
    ]
    assert blocks
    for page, code in blocks:
        compile(code, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_nothing_tells_of_the_machine_it_was_written_on() -> None:
    # Put together from pieces, so that this file is not its own first find.
    homes = "|".join(["ro" + "ot", "wo" + "rk", "Us" + "ers/[a-z]+", "ho" + "me/[a-z]+", "opt/py" + "pi"])
    hosts = "|".join(["py" + r"pi\.org", "python" + "hosted", "registry" + r"\.npmjs"])
    forbidden = re.compile(rf"(?<![\w.~])/({homes})/|{hosts}")
    files = dict(tracked_text())
    assert Path("README.md") in files
    assert [(str(file), match[0]) for file, text in files.items() for match in forbidden.finditer(text)] == []


def test_nothing_is_left_to_do_in_passing() -> None:
    # A plan belongs into an issue: a note in a file is read by nobody.
    left = re.compile(r"\b(?:" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b")
    found = [(str(f), m[0]) for f, t in tracked_text() for m in left.finditer(t)]
    assert found == []


def test_the_picture_is_small_enough_to_load() -> None:
    for image in (DOCS / "images").iterdir():
        assert 0 < image.stat().st_size < 250_000, image.name
