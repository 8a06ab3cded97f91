# SPDX-License-Identifier: Apache-2.0
"""Writes what is derived from the contract into the checkout.

``python -m weft_arch.generate`` writes the files, ``--check`` only says which are stale.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from weft_arch.generators import (
    c_header,
    c_jobs,
    instruction_page,
    jobs_page,
    link_page,
    register_page,
    soc_page,
)

__all__ = ["FILES", "main", "stale"]

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

FILES: dict[str, Callable[[], str]] = {
    "docs/instruction-set.md": instruction_page.render,
    "docs/registers.md": register_page.render,
    "docs/link.md": link_page.render,
    "docs/soc.md": soc_page.render,
    "docs/jobs.md": jobs_page.render,
    "firmware/weft_arch.h": c_header.render,
    "firmware/weft_jobs.h": c_jobs.render,
    "firmware/exp2_table.h": c_jobs.render_table,
}
"""Each generated file, from the checkout on, and what makes it."""


def stale(root: Path = ROOT) -> list[str]:
    """The generated files that do not hold what the contract says now."""
    return [name for name, render in FILES.items() if _text(root / name) != render()]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m weft_arch.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a stale file")
    check: bool = parser.parse_args(arguments).check
    if not (ROOT / "pyproject.toml").is_file():
        sys.stderr.write(f"{ROOT} is not a checkout of weft, so there is nothing to generate.\n")
        return 2
    names = stale()
    for name in names:
        if not check:
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_text(FILES[name](), encoding="utf-8")
        sys.stdout.write(f"{name} {'is stale' if check else 'written'}\n")
    return 1 if check and names else 0


if __name__ == "__main__":
    sys.exit(main())
