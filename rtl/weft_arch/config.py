# SPDX-License-Identifier: Apache-2.0
"""One frozen parameter object describes a weft accelerator; presets are its tested instances."""

import dataclasses
import hashlib
from dataclasses import dataclass

__all__ = ["BLOCK", "PRESETS", "Configuration", "ConfigurationError", "preset"]

BLOCK = 32
"""Values per block along the reduction dimension; also the rows of the systolic array."""


class ConfigurationError(ValueError):
    """A parameter outside its bounds; the message names the parameter, the value and the bound."""


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigurationError(message)


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What a user may choose. Everything that follows from it is a property.

    Members
    -------
    name : str
        Preset name, printed and part of the fingerprint.
    array_cols : int
        Columns of the systolic array = lanes of the vector unit = values per vector memory word.
        4, 8 or 16.
    beat_bytes : int
        Bytes per beat of the AXI4 data bus. 4, 8 or 16, and at most twice ``array_cols`` so that a
        tile's scales are whole beats.
    activation_bits : int
        Bits of a quantised activation, sign included. 8 to 12.
    vector_memory_words : int
        Depth of the vector memory, in words of ``array_cols`` floats. Power of two.
    activation_blocks : int
        Depth of the activation buffer, in blocks of 32 codes. Power of two.
    weight_buffer_bytes : int
        Prefetch buffer for weight codes, in bytes. Power of two, at least four 8-bit tiles.
    resident_bytes : int
        Memory for codes of weights that stay on the chip, in bytes (their scales' comes on top). 0:
        none; else whole 8-bit tiles, at least four.
    accumulator_words : int
        Depth of the accumulator memory of each column, in floats. Power of two.
    max_rows : int
        Most rows that one MATMUL or ATTEND handles. Power of two.
    instruction_words : int
        Depth of the instruction memory, in instructions. Power of two.
    top_k_entries : int
        Entries of the sorted list kept in the logit stream.
    max_burst_beats : int
        Longest AXI burst that the DMA engines issue; 2 to 256, power of two. So none is longer
        than the 4096 bytes that a burst may not cross.
    memory_latency_cycles, memory_bytes_per_cycle : int
        What the simulated memory of this preset does (the hardware does not depend on it).
    clock_hz : int
        Clock that tokens per second are quoted at.
    """

    name: str
    array_cols: int
    beat_bytes: int
    activation_bits: int = 10
    vector_memory_words: int
    activation_blocks: int
    weight_buffer_bytes: int
    accumulator_words: int
    max_rows: int
    resident_bytes: int = 0
    instruction_words: int = 512
    top_k_entries: int = 8
    max_burst_beats: int = 32
    memory_latency_cycles: int = 40
    memory_bytes_per_cycle: int = 8
    clock_hz: int = 80_000_000

    def __post_init__(self) -> None:
        cols, beat = self.array_cols, self.beat_bytes
        _check(cols in (4, 8, 16), f"array_cols is {cols}; it must be 4, 8 or 16")
        _check(beat in (4, 8, 16), f"beat_bytes is {beat}; it must be 4, 8 or 16")
        _check(
            2 * cols % beat == 0,
            f"beat_bytes is {beat}; it must divide the {2 * cols} bytes of a tile's scales",
        )
        _check(
            8 <= self.activation_bits <= 12,
            f"activation_bits is {self.activation_bits}; it must be 8 to 12",
        )
        for field, low, high in (
            ("vector_memory_words", 64, 1 << 14),
            ("activation_blocks", 32, 1 << 14),
            ("weight_buffer_bytes", 4 * cols * BLOCK, 1 << 20),
            ("accumulator_words", 64, 1 << 12),
            ("max_rows", 4, 256),
            ("instruction_words", 64, 1 << 12),
            ("max_burst_beats", 2, 256),
        ):
            value = getattr(self, field)
            _check(
                _is_power_of_two(value) and low <= value <= high,
                f"{field} is {value}; it must be a power of two from {low} to {high}",
            )
        resident, tile = self.resident_bytes, cols * BLOCK
        _check(
            resident == 0 or (resident % tile == 0 and 4 * tile <= resident <= 1 << 24),
            f"resident_bytes is {resident}; it must be 0 or a multiple of {tile} from {4 * tile} "
            f"to {1 << 24}",
        )
        _check(
            1 <= self.top_k_entries <= 64,
            f"top_k_entries is {self.top_k_entries}; it must be 1 to 64",
        )

    @property
    def array_rows(self) -> int:
        """Rows of the systolic array: one block, so that a column sums exactly one block."""
        return BLOCK

    @property
    def lanes(self) -> int:
        """Floats per vector memory word."""
        return self.array_cols

    @property
    def words_per_block(self) -> int:
        """Vector memory words that hold one block of 32 values."""
        return BLOCK // self.array_cols

    @property
    def partial_sum_width(self) -> int:
        """Bits of a column's integer dot product: code + weight + log2(32)."""
        return self.activation_bits + 8 + 5

    @property
    def cells(self) -> int:
        """Multiply-accumulate cells."""
        return BLOCK * self.array_cols

    @property
    def scale_beats(self) -> int:
        """Beats of one tile's scales (array_cols float16 values)."""
        return 2 * self.array_cols // self.beat_bytes

    def tile_bytes(self, weight_bits: int) -> int:
        """Bytes of one 32 x array_cols tile with its scales; ``weight_bits`` is 8 or 4."""
        return 2 * self.array_cols + BLOCK * self.array_cols * weight_bits // 8

    @property
    def resident_place_bytes(self) -> int:
        """Bytes of codes that a place of the resident memory holds: those of a 4-bit tile."""
        return self.array_cols * BLOCK // 2

    @property
    def resident_places(self) -> int:
        """Places of the resident memory."""
        return self.resident_bytes // self.resident_place_bytes

    def resident_tile_places(self, weight_bits: int) -> int:
        """Adjacent places that a tile takes."""
        return weight_bits // 4

    @property
    def fingerprint(self) -> int:
        """64-bit digest of what a program or memory image depends on."""
        skip = {"name", "memory_latency_cycles", "memory_bytes_per_cycle", "clock_hz"}
        if not self.resident_bytes:
            skip.add("resident_bytes")  # programs are what they were before there was any
        text = ",".join(
            f"{f.name}={getattr(self, f.name)}"
            for f in dataclasses.fields(self)
            if f.name not in skip
        )
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


PRESETS: dict[str, Configuration] = {
    c.name: c
    for c in (
        Configuration(
            name="tiny",
            array_cols=4,
            beat_bytes=8,
            vector_memory_words=4096,
            activation_blocks=512,
            weight_buffer_bytes=2048,
            accumulator_words=256,
            max_rows=16,
            max_burst_beats=16,
        ),
        Configuration(
            name="default",
            array_cols=8,
            beat_bytes=8,
            vector_memory_words=4096,
            activation_blocks=2048,
            weight_buffer_bytes=16384,
            accumulator_words=1024,
            max_rows=64,
        ),
        Configuration(
            name="wide",
            array_cols=8,
            beat_bytes=16,
            vector_memory_words=4096,
            activation_blocks=2048,
            weight_buffer_bytes=16384,
            accumulator_words=1024,
            max_rows=64,
            memory_latency_cycles=20,
            memory_bytes_per_cycle=16,
        ),
        Configuration(
            name="resident",
            array_cols=8,
            beat_bytes=16,
            vector_memory_words=4096,
            activation_blocks=2048,
            weight_buffer_bytes=16384,
            resident_bytes=327680,
            accumulator_words=1024,
            max_rows=64,
            memory_latency_cycles=20,
            memory_bytes_per_cycle=16,
        ),
    )
}
"""The tested configurations by name."""


def preset(name: str) -> Configuration:
    """The preset called ``name``; a `ConfigurationError` lists the names there are."""
    if name not in PRESETS:
        raise ConfigurationError(f"unknown preset {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
