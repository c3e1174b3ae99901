"""Writes the list of source files in ``architecture.md`` from the first lines of their documentation."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "hdmf_zarr"
PAGE = ROOT / "docs" / "architecture.md"
START, END = "<!-- files -->\n", "<!-- end of files -->"


def headline(path: Path) -> str:
    """Return the first line of a module's documentation."""
    documentation = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return documentation.partition("\n")[0]


def listed() -> Iterator[str]:
    """Give the lines of the list, a table for each folder."""
    folders = sorted({path.parent for path in SOURCE.rglob("*.py")})
    for folder in folders:
        files = [path for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]
        if not files:
            continue
        name = folder.relative_to(SOURCE.parent).as_posix()
        yield f"\n**`{name}/`** {headline(folder / '__init__.py')}\n"
        yield "| file | |"
        yield "|---|---|"
        for path in files:
            yield f"| `{path.name}` | {headline(path).replace('|', chr(92) + '|')} |"


def page_with_list() -> str:
    """Return the page with the list as it is now."""
    before, _, rest = PAGE.read_text("utf-8").partition(START)
    after = rest.partition(END)[2]
    return before + START + "\n".join(listed()) + "\n\n" + END + after


def main() -> int:
    """Write the page."""
    PAGE.write_text(page_with_list(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
