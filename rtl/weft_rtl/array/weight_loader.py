# SPDX-License-Identifier: Apache-2.0
"""Bytes of the weight buffer to columns of weights in the array."""

from amaranth import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weft_arch.config import BLOCK, Configuration
from weft_rtl.array.multiplier import WEIGHT_BITS
from weft_rtl.array.tile import Tile, TileFeed
from weft_rtl.interfaces import TileSource

__all__ = ["Codebook", "WeightLoader"]


class Codebook(wiring.Component):
    """16 entries of int8, looked up 32 times per cycle.

    The entries live in LUT memory, one copy per pair of lookups, which takes a quarter of the area
    of multiplexers; a new set is copied in, one entry per cycle.

    Members
    -------
    i_entries : In(16 x signed(8))
        Static while codes are looked up.
    o_fresh : Out(1)
        The memory holds ``i_entries``; down 2 cycles after they changed, up 20 cycles after.
    i_codes, o_weights : In(32 x 4), Out(32 x signed(8))
        Combinational.
    """

    i_entries: data.View
    o_fresh: Signal
    i_codes: data.View
    o_weights: data.View

    def __init__(self) -> None:
        super().__init__(
            {
                "i_entries": In(data.ArrayLayout(signed(WEIGHT_BITS), 16)),
                "o_fresh": Out(1),
                "i_codes": In(data.ArrayLayout(4, BLOCK)),
                "o_weights": Out(data.ArrayLayout(signed(WEIGHT_BITS), BLOCK)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.entries = memory = Memory(
            shape=unsigned(WEIGHT_BITS), depth=16, init=[], attrs={"ram_style": "distributed"}
        )
        entries = self.i_entries.as_value()
        seen = Signal(len(entries))
        left = Signal(5, init=16)
        changed = Signal()
        m.d.sync += changed.eq(seen != entries)
        with m.If(changed):
            m.d.sync += [seen.eq(entries), left.eq(16), self.o_fresh.eq(0)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.Else():
            m.d.sync += self.o_fresh.eq(1)
        write = memory.write_port()
        m.d.comb += [
            write.en.eq(left != 0),
            write.addr.eq(left[:4]),
            write.data.eq(seen.word_select(left[:4], WEIGHT_BITS)),
        ]
        for index in range(BLOCK):
            read = memory.read_port(domain="comb")
            m.d.comb += [
                read.addr.eq(self.i_codes[index]),
                self.o_weights[index].eq(read.data.as_signed()),
            ]
        return m


class WeightLoader(wiring.Component):
    """Loads tiles into the array's shadow weights, one tile ahead of the rows.

    One column per cycle: a word of 32 bytes is one column of int8 (W8, VALUES) or two of 4-bit
    codes (W4). A tile is handed on to the feeder with its last column; the first word of the next
    tile waits in a register by then, and goes on as soon as the feeder has started the tile. So a
    tile can follow the one before it after ``array_cols`` cycles.

    Members
    -------
    i_tiles : stream of Tile, In
        Taken when the tile is as good as loaded.
    i_codes : stream of unsigned(256), In
    o_value_exponents : stream of 32 x signed(8), Out
        The header word of a tile that has one.
    i_codebook : In(16 x signed(8))
        Change it only while no W4 tile is in work.
    o_feed : stream of TileFeed, Out
        A loaded tile. ``ready`` for one cycle *is* the start of the tile: its first row must enter
        the array 3 cycles later.
    o_preload, o_weights : Out(array_cols), Out(32 x signed(8))
        To the array.
    o_waiting : Out(1)
        A tile is being loaded, and no loaded one waits for the feeder.

    Latency: a column leaves 3 cycles after its word was taken, at best. Area: about 1,150 LUT4, 970
    flip-flops.
    """

    i_tiles: stream.Interface
    i_codes: stream.Interface
    o_value_exponents: stream.Interface
    i_codebook: data.View
    o_feed: stream.Interface
    o_preload: Signal
    o_weights: data.View
    o_waiting: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        weights = data.ArrayLayout(signed(WEIGHT_BITS), BLOCK)
        super().__init__(
            {
                "i_tiles": In(stream.Signature(Tile)),
                "i_codes": In(stream.Signature(unsigned(8 * BLOCK))),
                "o_value_exponents": Out(stream.Signature(data.ArrayLayout(signed(8), BLOCK))),
                "i_codebook": In(data.ArrayLayout(signed(WEIGHT_BITS), 16)),
                "o_feed": Out(stream.Signature(TileFeed)),
                "o_preload": Out(config.array_cols),
                "o_weights": Out(weights),
                "o_waiting": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cols = self._config.array_cols
        m.submodules.codebook = codebook = Codebook()
        m.d.comb += codebook.i_entries.eq(self.i_codebook)

        tile = self.i_tiles.payload
        narrow = Signal()
        m.d.comb += narrow.eq(tile.source == TileSource.W4)

        # The header word goes past the array.
        header_done = Signal()
        header = Signal()
        m.d.comb += [
            header.eq(self.i_tiles.valid & tile.has_header & ~header_done),
            self.o_value_exponents.valid.eq(header & self.i_codes.valid),
            self.o_value_exponents.payload.eq(self.i_codes.payload),
        ]
        with m.If(header & self.i_codes.valid & self.o_value_exponents.ready):
            m.d.sync += header_done.eq(1)

        # A word waits in ``word`` until its columns have gone.
        word = Signal(8 * BLOCK, reset_less=True)
        word_valid = Signal()
        word_narrow = Signal(reset_less=True)
        half = Signal()
        column = Signal(range(cols))
        words_left = Signal(range(cols), init=cols - 1)  # of a tile of 8-bit weights
        last_wide, last_narrow = Signal(), Signal()  # the next word is a tile's last
        first_column, last_narrow_column = Signal(init=1), Signal()
        shadow_free = Signal(init=1)

        issue = Signal()
        word_done = Signal()
        take = Signal()
        last_word = Signal()
        loaded = Signal()
        m.d.comb += [
            issue.eq(word_valid & (~first_column | shadow_free)),
            word_done.eq(issue & (half | ~word_narrow)),
            take.eq(
                self.i_tiles.valid
                & self.i_codes.valid
                & ~header
                & codebook.o_fresh
                & (~word_valid | word_done)
            ),
            self.i_codes.ready.eq(
                Mux(
                    header,
                    self.o_value_exponents.ready,
                    self.i_tiles.valid & codebook.o_fresh & (~word_valid | word_done),
                )
            ),
            last_word.eq(Mux(narrow, last_narrow, last_wide)),
            # From here on the last column goes one cycle later without fail.
            loaded.eq((take & last_word & ~narrow) | (issue & word_narrow & last_narrow_column)),
            self.i_tiles.ready.eq(loaded),
            self.o_waiting.eq(self.i_tiles.valid & ~self.o_feed.valid),
        ]
        with m.If(word_done):
            m.d.sync += word_valid.eq(0)
        with m.If(take):
            m.d.sync += [
                word.eq(self.i_codes.payload),
                word_valid.eq(1),
                word_narrow.eq(narrow),
                words_left.eq(Mux(last_word, cols - 1, words_left - 1)),
                last_wide.eq((words_left == 1) & ~last_word),
                last_narrow.eq((words_left == cols // 2 + 1) & ~last_word),
            ]
        with m.If(issue):
            m.d.sync += [
                column.eq(column + 1),
                first_column.eq(column == cols - 1),
                last_narrow_column.eq(column == cols - 3),
                half.eq(~half & word_narrow),
            ]
            with m.If(first_column):
                m.d.sync += shadow_free.eq(0)

        # The tile's rows wait for the feeder; there is room, because the tile before has started.
        with m.If(self.o_feed.ready):
            m.d.sync += self.o_feed.valid.eq(0)
            with m.If(self.o_feed.valid):
                m.d.sync += shadow_free.eq(1)
        with m.If(loaded):
            m.d.sync += [
                self.o_feed.valid.eq(1),
                self.o_feed.payload.eq(tile.feed),
                header_done.eq(0),
            ]

        self._columns(m, codebook, word, word_narrow, half, issue, column)
        return m

    def _columns(
        self,
        m: Module,
        codebook: Codebook,
        word: Signal,
        narrow: Signal,
        half: Signal,
        issue: Signal,
        column: Signal,
    ) -> None:
        """Two steps: pick the column's codes; look them up."""
        cols = self._config.array_cols
        codes = Signal(8 * BLOCK, reset_less=True)
        codes_narrow = Signal(reset_less=True)
        preload = Signal(cols)
        picked = []
        for j in range(BLOCK):
            byte = word[8 * j : 8 * j + 8]
            # Byte j of a block of 4-bit codes holds codes j and j + 16.
            place = 8 * (j % 16) + 4 * (j // 16)
            nibble = Mux(half, word[128 + place : 132 + place], word[place : place + 4])
            picked += [Mux(narrow, nibble, byte[:4]), byte[4:]]
        m.d.sync += [preload.eq(issue << column), self.o_preload.eq(preload)]
        with m.If(issue):
            m.d.sync += [codes.eq(Cat(picked)), codes_narrow.eq(narrow)]

        weights = Signal.like(self.o_weights, reset_less=True)
        for j in range(BLOCK):
            code = codes[8 * j : 8 * j + 8]
            m.d.comb += codebook.i_codes[j].eq(code[:4])
            with m.If(preload.any()):
                m.d.sync += weights[j].eq(
                    Mux(codes_narrow, codebook.o_weights[j], code.as_signed())
                )
        m.d.comb += self.o_weights.eq(weights)
