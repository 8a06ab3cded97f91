# SPDX-License-Identifier: Apache-2.0
"""Watches streamed text for stop texts, which may begin in one piece and end in a later one."""

from collections.abc import Sequence

__all__ = ["StopWatch"]


class StopWatch:
    """Lets text through as soon as it cannot be part of a stop text.

    `text` is everything let through so far. Once a stop text has appeared, `stopped` is true and
    nothing from its first character on is let through.
    """

    def __init__(self, stop_texts: Sequence[str]) -> None:
        self._stop_texts = tuple(stop_texts)
        self._held = ""
        self.text = ""
        self.stopped = False

    def add(self, piece: str) -> str:
        """Take more text and return what can be shown now."""
        if self.stopped:
            return ""
        self._held += piece
        places = [at for at in map(self._held.find, self._stop_texts) if at >= 0]
        if places:
            self.stopped = True
            return self._release(min(places))
        return self._release(len(self._held) - self._possible_start())

    def flush(self) -> str:
        """The text held back, at the end of the output."""
        return "" if self.stopped else self._release(len(self._held))

    def _release(self, size: int) -> str:
        shown, self._held = self._held[:size], self._held[size:]
        self.text += shown
        return shown

    def _possible_start(self) -> int:
        """Length of the longest end of the held text that begins some stop text."""
        longest = max((len(stop) for stop in self._stop_texts), default=1) - 1
        for size in range(min(longest, len(self._held)), 0, -1):
            end = self._held[-size:]
            if any(stop.startswith(end) for stop in self._stop_texts):
                return size
        return 0
