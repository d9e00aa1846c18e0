"""Write docs/reference/settings.md and .env.example from the settings model.

python scripts/make_settings_page.py           write both
python scripts/make_settings_page.py --check   exit 1 if one of them is not current
"""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from shortwire.call.options import Toggles
from shortwire.settings import GROUPS, Settings

ROOT = Path(__file__).resolve().parent.parent
BASELINE = Toggles.baseline()
OPTIMIZED = Toggles()

HEAD = """# Settings

<!-- Made by scripts/make_settings_page.py from src/shortwire/settings/model.py. Change those, not this page. -->

A setting comes from the command line, else from the environment, else from `.env` in the working directory
(`--env-file` names another). An empty value counts as not set. `shortwire serve` names everything that is
missing or wrong at once, says what to write, and exits with status 78.

Secrets have no flag on the command line: everybody on a machine can read its process list.
"""

TAIL = """## Outside the server

| Variable | Read by | What it does |
|---|---|---|
| `SHORTWIRE_URL` | `shortwire call`, `shortwire calls` | The server to talk to. Default: the profile's port here. |
| `SSL_CERT_FILE` | the connections to both vendors | Another list of trusted certificate authorities. |
"""


def by_group() -> dict[str, list[tuple[str, FieldInfo]]]:
    groups: dict[str, list[tuple[str, FieldInfo]]] = {group: [] for group in GROUPS}
    for field, info in Settings.model_fields.items():
        extra = info.json_schema_extra
        assert isinstance(extra, dict)
        groups[str(extra["group"])].append((field, info))
    return groups


def shown(value: Any) -> str:
    match value:
        case None | "":
            return ""
        case bool():
            return str(value).lower()
        case Enum():
            return str(value.value)
        case frozenset():
            return ",".join(sorted(value))
    return str(value)


def default_of(field: str, info: FieldInfo) -> str:
    if info.is_required():
        return "**needed**"
    if field in Toggles.__dataclass_fields__:
        return f"`{shown(getattr(OPTIMIZED, field))}` optimized, `{shown(getattr(BASELINE, field))}` baseline"
    if field == "server_url":
        return "**needed** without a tunnel"
    return f"`{text}`" if (text := shown(info.default)) else "not set"


def settings_page() -> str:
    parts = [HEAD]
    for group, fields in by_group().items():
        parts.append(f"## {GROUPS[group]}\n\n| Variable | Default | What it does | Example |\n|---|---|---|---|")
        for field, info in fields:
            example = f"`{(info.examples or [''])[0]}`"
            parts.append(f"| `{field.upper()}` | {default_of(field, info)} | {info.description} | {example} |")
        parts.append("")
    return "\n".join([*parts, TAIL])


def env_example() -> str:
    parts = ["# Copy to .env and fill in. Lines that begin with # show defaults or examples.", ""]
    for group, fields in by_group().items():
        parts.append(f"# --- {GROUPS[group]}")
        for field, info in fields:
            parts.append(f"# {info.description}")
            if info.is_required() or field == "server_url":
                # Left empty, so that a copied file names exactly what is still to be filled in.
                parts.append(f"# e.g. {(info.examples or [''])[0]}\n{field.upper()}=")
            else:
                parts.append(f"#{field.upper()}={shown(info.default) or (info.examples or [''])[0]}")
        parts.append("")
    return "\n".join(parts)


def main() -> int:
    pages = {ROOT / "docs/reference/settings.md": settings_page(), ROOT / ".env.example": env_example()}
    if "--check" not in sys.argv[1:]:
        for path, text in pages.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [path.name for path, text in pages.items() if not path.is_file() or path.read_text("utf-8") != text]
    if stale:
        print(f"not current: {', '.join(stale)}; run python scripts/make_settings_page.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
