# SPDX-License-Identifier: Apache-2.0
"""The memory of weight tiles that stay on the chip."""

from typing import Any

from amaranth import Cat, Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weft_arch.config import BLOCK, Configuration
from weft_rtl.memory.block_memory import block_memory, block_read

__all__ = ["ResidentMemory", "resident_signature"]

READ_CYCLES = 2
"""From an address to its word."""


def resident_signature(config: Configuration) -> wiring.Signature:
    """What the stream unit says to the resident memory.

    ``start`` is up for a cycle with ``place``, ``tiles`` and ``half_codes``, and with ``keep`` as
    it will stay until the end. While ``keep`` is up, the beats that go to the weight buffer are
    kept instead. Without it the tiles are replayed, each after a cycle with ``granted``: its room
    in the weight buffer is reserved. ``done``: the last word is in the weight buffer.
    ``waiting``: a tile waits to be granted.
    """
    return wiring.Signature(
        {
            "start": Out(1),
            "keep": Out(1),
            "place": Out(range(max(config.resident_places, 2))),
            "tiles": Out(24),
            "half_codes": Out(1),
            "granted": Out(1),
            "done": In(1),
            "waiting": In(1),
        }
    )


class ResidentMemory(wiring.Component):
    """Keeps tiles beat by beat and replays them, 32 bytes of codes per cycle.

    A place is ``array_cols`` / 2 words of 32 bytes of codes and one word of scales. A tile's scales
    are at its first place.

    Members
    -------
    control : `resident_signature`
    i_valid, i_is_scale, i_data : In(1), In(1), In(8 * beat_bytes)
        Beats to keep, in the order of memory.
    o_code_word_kept, o_scale_word_kept : Out(1)
        Pulse: a word is complete. Registered.
    o_codes_valid, o_codes : Out(1), Out(256)
    o_scales_valid, o_scales : Out(1), Out(16 * array_cols)
        Words on their way to the weight buffer, where their room is reserved.

    Throughput: a beat, or a word, per cycle; tiles follow each other without a gap while they are
    granted. Latency from ``granted`` to the tile's first words: 3 cycles.
    """

    control: Any
    i_valid: Signal
    i_is_scale: Signal
    i_data: Signal
    o_code_word_kept: Signal
    o_scale_word_kept: Signal
    o_codes_valid: Signal
    o_codes: Signal
    o_scales_valid: Signal
    o_scales: Signal

    def __init__(self, config: Configuration) -> None:
        if not config.resident_bytes:
            raise ValueError("resident_bytes is 0; a resident memory needs some")
        self._config = config
        super().__init__(
            {
                "control": In(resident_signature(config)),
                "i_valid": In(1),
                "i_is_scale": In(1),
                "i_data": In(8 * config.beat_bytes),
                "o_code_word_kept": Out(1),
                "o_scale_word_kept": Out(1),
                "o_codes_valid": Out(1),
                "o_codes": Out(8 * BLOCK),
                "o_scales_valid": Out(1),
                "o_scales": Out(16 * config.array_cols),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, control = self._config, self.control
        place_words = config.array_cols // 2
        place_bits = place_words.bit_length() - 1
        depth = config.resident_places * place_words
        m.submodules.codes = codes = block_memory(unsigned(8 * BLOCK), depth)
        m.submodules.scales = scales = block_memory(
            unsigned(16 * config.array_cols), config.resident_places
        )

        # One counter is enough for both directions. Its upper bits are the place.
        word = Signal(range(depth), reset_less=True)
        advance = Signal()
        with m.If(control.start):
            m.d.sync += word.eq(control.place << place_bits)
        with m.Elif(advance):
            m.d.sync += word.eq(word + 1)

        code_kept = self._write(m, codes, word, self.i_valid & ~self.i_is_scale, "codes")
        scale_place = word[place_bits:]
        scale_kept = self._write(m, scales, scale_place, self.i_valid & self.i_is_scale, "scales")
        m.d.sync += [self.o_code_word_kept.eq(code_kept), self.o_scale_word_kept.eq(scale_kept)]

        issue, is_first = self._replay(m)
        m.d.comb += [
            advance.eq(code_kept | issue),
            self.o_codes.eq(block_read(m, codes, word, "codes")),
            self.o_scales.eq(block_read(m, scales, scale_place, "scales")),
        ]
        on_its_way = Signal(READ_CYCLES)
        first_on_its_way = Signal(READ_CYCLES)
        m.d.sync += [
            on_its_way.eq(Cat(issue, on_its_way)),
            first_on_its_way.eq(Cat(issue & is_first, first_on_its_way)),
        ]
        m.d.comb += [
            self.o_codes_valid.eq(on_its_way[-1]),
            self.o_scales_valid.eq(first_on_its_way[-1]),
        ]
        return m

    def _replay(self, m: Module) -> tuple[Signal, Signal]:
        """When words are read, and whether one is the first of its tile."""
        config, control = self._config, self.control
        most_granted = 2 * config.weight_buffer_bytes // (BLOCK * config.array_cols)
        tiles = Signal(24)
        granted = Signal(range(most_granted + 2))
        word_in_tile = Signal(range(config.array_cols), reset_less=True)
        last_word = Signal(range(config.array_cols), reset_less=True)
        issue, is_first, is_last = Signal(), Signal(), Signal()
        m.d.comb += [
            is_first.eq(word_in_tile == 0),
            is_last.eq(word_in_tile == last_word),
            control.waiting.eq(tiles.any() & is_first & ~granted.any()),
            issue.eq(tiles.any() & (~is_first | granted.any())),
        ]
        m.d.sync += granted.eq(granted + control.granted - (issue & is_first))
        with m.If(control.start & ~control.keep):
            m.d.sync += [
                tiles.eq(control.tiles),
                word_in_tile.eq(0),
                last_word.eq(
                    Mux(control.half_codes, config.array_cols // 2 - 1, config.array_cols - 1)
                ),
            ]
        with m.Elif(issue):
            m.d.sync += word_in_tile.eq(Mux(is_last, 0, word_in_tile + 1))
            with m.If(is_last):
                m.d.sync += tiles.eq(tiles - 1)
        # The last word is written in the cycle in which it is valid.
        end = Signal(READ_CYCLES)
        m.d.sync += [
            end.eq(Cat(issue & is_last & (tiles == 1), end)),
            control.done.eq(end[-1]),
        ]
        return issue, is_first

    def _write(self, m: Module, memory: Memory, address: Value, valid: Value, name: str) -> Signal:
        """Put beats into words, the first lowest; tells when a word is complete."""
        beat_bits = 8 * self._config.beat_bytes
        beats = Shape.cast(memory.shape).width // beat_bits
        beat = Signal(range(max(beats, 2)), name=f"{name}_beat")
        complete = Signal(name=f"{name}_complete")
        write = memory.write_port(granularity=beat_bits)
        m.d.comb += [
            complete.eq(valid & (beat == beats - 1)),
            write.en.eq(valid << beat),
            write.addr.eq(address),
            write.data.eq(self.i_data.replicate(beats)),
        ]
        with m.If(valid):
            m.d.sync += beat.eq(Mux(complete, 0, beat + 1))
        return complete
