# SPDX-License-Identifier: Apache-2.0
"""The prefetch buffer between the weight stream and the array."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from weft_arch.config import BLOCK, Configuration
from weft_rtl.memory.resident_memory import ResidentMemory, resident_signature

__all__ = [
    "BeatPacker",
    "WeightBuffer",
    "code_word_depth",
    "freed_at_once",
    "scale_tile_depth",
    "weight_beat",
]


def code_word_depth(config: Configuration) -> int:
    """Words of 32 bytes that the code part holds: the code credits at reset."""
    return config.weight_buffer_bytes // BLOCK


def scale_tile_depth(config: Configuration) -> int:
    """Tiles whose scales the scale part holds: the scale credits at reset.

    Twice the 4-bit tiles that fill the code part, because scales are popped later than codes, when
    a tile's results leave the array; block RAM has that depth anyway.
    """
    return 2 * config.weight_buffer_bytes // (BLOCK // 2 * config.array_cols)


def freed_at_once(config: Configuration) -> int:
    """Most words of a kind that come free in a cycle: one has left the buffer, and one is kept."""
    return 2 if config.resident_bytes else 1


def weight_beat(config: Configuration) -> data.StructLayout:
    """One bus beat on its way into the weight buffer."""
    return data.StructLayout({"data": unsigned(8 * config.beat_bytes), "is_scale": 1})


class BeatPacker(wiring.Component):
    """A FIFO whose words are written one beat at a time and read whole.

    Each beat of a word has its own memory, so nothing is collected in registers. A word can be
    read once its last beat is written; from the transfer of that beat to ``o.valid`` are 3 cycles.

    Members
    -------
    i : stream of beats, In
        First beat of a word = lowest bits. Always ready; the writer never sends more than the
        words that are free.
    o : stream of words, Out
        One word per cycle.
    o_freed : Out(1)
        Pulse: a word has left the memory and its place can be written again.
    o_level : Out(range(depth + 1))
        Words in the memory.
    i_word_valid, i_word : In(1), In(word_bits), only with ``whole_words``
        A whole word at once; not in a cycle with a beat, and not inside a word.

    Parameters
    ----------
    word_bits, beat_bits : int
        ``word_bits`` is a multiple of ``beat_bits``.
    depth : int
        Words, a power of two.
    whole_words : bool
        Whether words may also be written whole.
    """

    i: stream.Interface
    o: stream.Interface
    o_freed: Signal
    o_level: Signal
    i_word_valid: Signal
    i_word: Signal

    def __init__(
        self, word_bits: int, beat_bits: int, depth: int, *, whole_words: bool = False
    ) -> None:
        if word_bits % beat_bits or depth & (depth - 1):
            raise ValueError(
                f"a word of {word_bits} bits in beats of {beat_bits}, {depth} deep: the word must "
                "be whole beats and the depth a power of two"
            )
        self._beats = word_bits // beat_bits
        self._beat_bits = beat_bits
        self._depth = depth
        self._whole_words = whole_words
        words = {"i_word_valid": In(1), "i_word": In(word_bits)} if whole_words else {}
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(beat_bits))),
                "o": Out(stream.Signature(unsigned(word_bits))),
                "o_freed": Out(1),
                "o_level": Out(range(depth + 1)),
                **words,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last_beat = self._beats - 1
        beat = Signal(range(max(self._beats, 2)))
        write_address = Signal(range(self._depth))
        read_address = Signal(range(self._depth))
        level = self.o_level

        write = Signal()
        m.d.comb += [self.i.ready.eq(1), write.eq(self.i.valid & (beat == last_beat))]
        with m.If(self.i.valid):
            m.d.sync += beat.eq(beat + 1)
            with m.If(beat == last_beat):
                m.d.sync += [beat.eq(0), write_address.eq(write_address + 1)]
        if self._whole_words:
            with m.If(self.i_word_valid):
                m.d.comb += write.eq(1)
                m.d.sync += write_address.eq(write_address + 1)

        # An elastic pipeline of two stages: the memory's own output, then ``o``. Between them is a
        # spare place, so that no path leads from who takes words to the memory.
        fetched, spared = Signal(), Signal()
        o_free = ~self.o.valid | self.o.ready
        fetched_free = Signal()
        read = Signal()
        m.d.comb += [
            fetched_free.eq(~fetched | ~spared),
            read.eq(fetched_free & (level != 0)),
        ]
        m.d.sync += [
            level.eq(level + write - read),
            self.o_freed.eq(read),
            spared.eq(~o_free & (spared | fetched)),
        ]
        with m.If(read):
            m.d.sync += read_address.eq(read_address + 1)
        with m.If(fetched_free):
            m.d.sync += fetched.eq(level != 0)
        with m.If(o_free):
            m.d.sync += self.o.valid.eq(spared | fetched)

        words = []
        for index in range(self._beats):
            # A word is read after it was written, so no bypass for collisions is needed.
            memory = Memory(
                shape=unsigned(self._beat_bits),
                depth=self._depth,
                init=[],
                attrs={"no_rw_check": 1},
            )
            m.submodules[f"beat_{index}"] = memory
            write_port = memory.write_port()
            read_port = memory.read_port()
            m.d.comb += [
                write_port.en.eq(self.i.valid & (beat == index)),
                write_port.addr.eq(write_address),
                write_port.data.eq(self.i.payload),
                read_port.en.eq(fetched_free),
                read_port.addr.eq(read_address),
            ]
            if self._whole_words:
                with m.If(self.i_word_valid):
                    part = self.i_word.word_select(index, self._beat_bits)
                    m.d.comb += [write_port.en.eq(1), write_port.data.eq(part)]
            words.append(read_port.data)
        o_word = Signal(self._beats * self._beat_bits, reset_less=True)
        spare = Signal.like(o_word)
        with m.If(~spared):
            m.d.sync += spare.eq(Cat(words))
        with m.If(o_free):
            m.d.sync += o_word.eq(Mux(spared, spare, Cat(words)))
        m.d.comb += self.o.payload.eq(o_word)
        return m


class WeightBuffer(wiring.Component):
    """Prefetch buffer for weight tiles: beats from memory in, 32-byte words and scale words out.

    Beats come in the order of memory. Consecutive code beats are packed to words of 32 bytes
    (first beat lowest), consecutive scale beats to words of ``array_cols`` float16 patterns, one
    per tile (column 0 lowest). The value exponents of a kv block are code bytes like any other.
    Everything that is streamed is a whole number of such words, so nothing needs flushing.

    **Credits.** ``i_beats`` is always ready: the stream unit may request only what has a place. It
    keeps two counters, of free code words and of free scale tiles, which start at
    ``code_word_depth(config)`` and ``scale_tile_depth(config)``. It subtracts a burst's words and
    tiles when it *issues the request* (a word that only begins in the burst counts fully, once),
    and adds 1 in every cycle in which ``o_code_word_freed`` or ``o_scale_tile_freed`` is up. The
    counters never exceed their start value. All reset together.

    **Resident memory.** A configuration with ``resident_bytes`` has a `ResidentMemory` in here:
    beats that are kept give their places in the buffer back once they are written there (so the
    credit returns may be 2), and tiles that are replayed enter the buffer word by word.

    Members
    -------
    i_beats : stream of `weight_beat`, In
        Always ready.
    o_codes : stream of unsigned(256), Out
        One word per cycle.
    o_scales : stream of unsigned(16 * array_cols), Out
        One word per cycle.
    o_code_word_freed, o_scale_tile_freed : Out(range(freed_at_once(config) + 1))
        Credit returns, see above. Registered.
    resident : `resident_signature`, only with resident memory
    o_low : Out(1)
        Less than a 32nd of the code words is there. Registered.

    Latency from the last beat of a word to its ``valid``: 3 cycles. Area (default preset):
    12 DP16KD, about 520 LUT4, 850 flip-flops.
    """

    i_beats: stream.Interface
    o_codes: stream.Interface
    o_scales: stream.Interface
    o_code_word_freed: Signal
    o_scale_tile_freed: Signal
    o_low: Signal
    resident: Any

    def __init__(self, config: Configuration) -> None:
        self._config = config
        freed = range(freed_at_once(config) + 1)
        super().__init__(
            {
                "i_beats": In(stream.Signature(weight_beat(config))),
                "o_codes": Out(stream.Signature(unsigned(8 * BLOCK))),
                "o_scales": Out(stream.Signature(unsigned(16 * config.array_cols))),
                "o_code_word_freed": Out(freed),
                "o_scale_tile_freed": Out(freed),
                "o_low": Out(1, init=1),
                **({"resident": In(resident_signature(config))} if config.resident_bytes else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        beat_bits = 8 * config.beat_bytes
        has_resident = config.resident_bytes > 0
        codes = BeatPacker(8 * BLOCK, beat_bits, code_word_depth(config), whole_words=has_resident)
        scales = BeatPacker(
            16 * config.array_cols, beat_bits, scale_tile_depth(config), whole_words=has_resident
        )
        m.submodules.codes = codes
        m.submodules.scales = scales
        beats = self.i_beats
        m.d.comb += [
            codes.i.payload.eq(beats.payload.data),
            scales.i.payload.eq(beats.payload.data),
            codes.i.valid.eq(beats.valid & ~beats.payload.is_scale),
            scales.i.valid.eq(beats.valid & beats.payload.is_scale),
            beats.ready.eq(1),
            self.o_code_word_freed.eq(codes.o_freed),
            self.o_scale_tile_freed.eq(scales.o_freed),
        ]
        if has_resident:
            self._add_resident(m, codes, scales)
        m.d.sync += self.o_low.eq(codes.o_level < code_word_depth(config) // 32)
        connect(m, codes.o, flipped(self.o_codes))
        connect(m, scales.o, flipped(self.o_scales))
        return m

    def _add_resident(self, m: Module, codes: BeatPacker, scales: BeatPacker) -> None:
        """The resident memory takes the beats that are to be kept, and gives words."""
        m.submodules.resident = resident = ResidentMemory(self._config)
        connect(m, flipped(self.resident), resident.control)
        beats, keep = self.i_beats, self.resident.keep
        m.d.comb += [
            resident.i_valid.eq(beats.valid & keep),
            resident.i_is_scale.eq(beats.payload.is_scale),
            resident.i_data.eq(beats.payload.data),
            codes.i_word_valid.eq(resident.o_codes_valid),
            codes.i_word.eq(resident.o_codes),
            scales.i_word_valid.eq(resident.o_scales_valid),
            scales.i_word.eq(resident.o_scales),
            self.o_code_word_freed.eq(codes.o_freed + resident.o_code_word_kept),
            self.o_scale_tile_freed.eq(scales.o_freed + resident.o_scale_word_kept),
        ]
        with m.If(keep):
            m.d.comb += [codes.i.valid.eq(0), scales.i.valid.eq(0)]
