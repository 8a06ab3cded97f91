# SPDX-License-Identifier: Apache-2.0
"""A few RISC-V instructions as words, for the programs of benches."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Program"]


class Program:
    """Instructions in their order from address 0.

    Registers are numbers.
    """

    def __init__(self) -> None:
        self.words: list[int] = []

    @property
    def image(self) -> bytes:
        return b"".join(word.to_bytes(4, "little") for word in self.words)

    @property
    def here(self) -> int:
        return 4 * len(self.words)

    def li(self, rd: int, value: int) -> None:
        """Load a constant of 32 bits."""
        low = ((value & 0xFFF) ^ 0x800) - 0x800
        self.words.append((value - low & 0xFFFF_F000) | rd << 7 | 0x37)
        self.words.append((low & 0xFFF) << 20 | rd << 15 | rd << 7 | 0x13)

    def addi(self, rd: int, rs: int, value: int) -> None:
        self.words.append((value & 0xFFF) << 20 | rs << 15 | rd << 7 | 0x13)

    def mul(self, rd: int, rs: int, rt: int) -> None:
        self.words.append(1 << 25 | rt << 20 | rs << 15 | rd << 7 | 0x33)

    def load(self, rd: int, base: int, offset: int = 0, *, kind: int = 2) -> None:
        """``kind`` 0 byte, 1 half, 2 word, 4 byte without sign."""
        self.words.append((offset & 0xFFF) << 20 | base << 15 | kind << 12 | rd << 7 | 0x03)

    def store(self, rs: int, base: int, offset: int = 0, *, kind: int = 2) -> None:
        high, low = offset >> 5 & 0x7F, offset & 0x1F
        self.words.append(high << 25 | rs << 20 | base << 15 | kind << 12 | low << 7 | 0x23)

    def branch(self, rs: int, rt: int, to: int, *, kind: int = 1) -> None:
        """``kind`` 0 if equal, 1 if not, 4 if less."""
        d = to - self.here
        word = (d >> 12 & 1) << 31 | (d >> 5 & 0x3F) << 25 | rt << 20 | rs << 15
        self.words.append(word | kind << 12 | (d >> 1 & 0xF) << 8 | (d >> 11 & 1) << 7 | 0x63)

    def set_csr(self, csr: int, rs: int) -> None:
        self.words.append(csr << 20 | rs << 15 | 1 << 12 | 0x73)

    def get_csr(self, rd: int, csr: int) -> None:
        self.words.append(csr << 20 | 2 << 12 | rd << 7 | 0x73)

    def jump(self, rs: int) -> None:
        self.words.append(rs << 15 | 0x67)

    def stop(self) -> None:
        """For ever here."""
        self.words.append(0x6F)

    def data(self, values: Sequence[int]) -> int:
        """Words behind the program; their address."""
        at = self.here
        self.words.extend(values)
        return at
