# SPDX-License-Identifier: Apache-2.0
"""Finds what other packages do for this one, by entry point: it imports none of them."""

from importlib.metadata import entry_points
from typing import Any

from weft.errors import WeftError

__all__ = ["find_tool"]


def find_tool(name: str, missing: str) -> Any:
    """The tool of a name in the group ``weft.tools``; a `WeftError` says what is ``missing``
    without it."""
    point = next(iter(entry_points(group="weft.tools", name=name)), None)
    if point is None:
        raise WeftError(missing)
    return point.load()
