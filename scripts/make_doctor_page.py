"""Write docs/reference/doctor.md from the registry of checks.

python scripts/make_doctor_page.py           write it
python scripts/make_doctor_page.py --check   exit 1 if it is not current
"""

from __future__ import annotations

import sys
from pathlib import Path

from shortwire.doctor import load_checks
from shortwire.doctor.report import page

PAGE = Path(__file__).resolve().parent.parent / "docs/reference/doctor.md"


def main() -> int:
    text = page(load_checks())
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text("utf-8") == text:
        return 0
    print("docs/reference/doctor.md is not current; run python scripts/make_doctor_page.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
