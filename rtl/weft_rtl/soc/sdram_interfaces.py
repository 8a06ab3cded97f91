# SPDX-License-Identifier: Apache-2.0
"""What passes between the parts of the SDRAM controller, and its pads."""

from amaranth import unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.soc.sdram_timing import SdramPart, SdramTiming

__all__ = [
    "SEGMENT_BEATS",
    "SdramCommand",
    "command_word",
    "masked_beat",
    "sdram_pads_signature",
    "segment",
    "split_address",
]

SEGMENT_BEATS = 32
"""Most beats of a segment; none crosses a multiple of it, so none crosses a page either."""


class SdramCommand(enum.Enum, shape=unsigned(3)):
    """RAS#, CAS# and WE#, WE# lowest."""

    MODE = 0b000
    REFRESH = 0b001
    PRECHARGE = 0b010
    ACTIVATE = 0b011
    WRITE = 0b100
    READ = 0b101
    NOP = 0b111


def segment(timing: SdramTiming) -> data.StructLayout:
    """Consecutive beats in one page, to read or to write. ``address`` counts beats in the part."""
    return data.StructLayout(
        {
            "address": range(timing.size_beats),
            "beats": range(SEGMENT_BEATS + 1),
            "write": 1,
        }
    )


def split_address(timing: SdramTiming) -> data.StructLayout:
    """A beat's address: consecutive pages are in different banks."""
    return data.StructLayout(
        {
            "beat": range(timing.page_beats),
            "bank": range(timing.part.banks),
            "row": range(timing.part.rows),
        }
    )


def masked_beat(timing: SdramTiming) -> data.StructLayout:
    """A beat to write, with a strobe per byte."""
    return data.StructLayout({"data": 8 * timing.beat_bytes, "strobe": timing.beat_bytes})


def command_word(part: SdramPart) -> data.StructLayout:
    """What the command pins show in one cycle."""
    return data.StructLayout(
        {"command": SdramCommand, "bank": range(part.banks), "address": part.address_bits}
    )


def sdram_pads_signature(part: SdramPart) -> wiring.Signature:
    """The pads of a part. DQ has an enable per pin, so that each has its register at the pin."""
    return wiring.Signature(
        {
            "clk": Out(1),
            "cke": Out(1),
            "cs_n": Out(1),
            "ras_n": Out(1),
            "cas_n": Out(1),
            "we_n": Out(1),
            "ba": Out(2),
            "a": Out(part.address_bits),
            "dqm": Out(part.data_bits // 8),
            "dq_o": Out(part.data_bits),
            "dq_oe": Out(part.data_bits),
            "dq_i": In(part.data_bits),
        }
    )
