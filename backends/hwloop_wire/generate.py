"""Writes what follows from the messages: `python -m hwloop_wire.generate [--check]`.

That is firmware_stubs/core/messages.h, the generated sections of docs/protocol.md, and
tests/data/golden_frames.json. With `--check` nothing is written, and the exit code says whether all
are up to date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hwloop_wire import golden, header, tables

ROOT = Path(__file__).parents[2]
HEADER = Path("firmware_stubs/core/messages.h")
PAGE = Path("docs/protocol.md")
FRAMES = Path("tests/data/golden_frames.json")


def replaced(page: str, section: str, text: str) -> str:
    """Return a page with the text of one generated section replaced."""
    begin, end = f"<!-- generated: {section} -->", "<!-- /generated -->"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{text}\n{end}{after}"


def generated(root: Path = ROOT) -> dict[Path, str]:
    """Return the generated files with their contents."""
    page = (root / PAGE).read_text(encoding="utf-8")
    page = replaced(page, "messages", tables.messages())
    page = replaced(page, "frames", golden.section())
    frames = json.dumps(golden.records(), indent=1) + "\n"
    return {HEADER: header.header(), PAGE: page, FRAMES: frames}


def main(arguments: list[str]) -> int:
    """Write or check the generated files."""
    stale = []
    for path, text in generated().items():
        target = ROOT / path
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            stale.append(path)
            if "--check" not in arguments:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
    for path in stale:
        print(path, "is out of date" if "--check" in arguments else "written")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
