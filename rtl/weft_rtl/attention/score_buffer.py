# SPDX-License-Identifier: Apache-2.0
"""Scores on their way into the softmax unit: mask, store, maximum per row."""

from amaranth import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import BLOCK, Configuration
from weft_rtl.attention.flags import delay
from weft_rtl.floating.formats import FLOAT, pipeline
from weft_rtl.interfaces import SoftmaxJob, score_word, strobe_signature
from weft_rtl.memory.block_memory import block_memory, block_read

__all__ = ["MAXIMUM", "ScoreBuffer", "masked_scores", "probability_lanes"]

MAXIMUM = unsigned(24)
"""A maximum of scores: the F24 in sortable form (larger number, larger score), 0 for no score."""


def probability_lanes(config: Configuration) -> int:
    """Probabilities per cycle: a word of scores, so that the array waits no longer for them than it
    has multiplied for them; at most 8, because the running maximum takes four cycles per row."""
    return min(config.lanes, 8)


def masked_scores(lanes: int) -> data.ArrayLayout:
    """Scores, each with the flag that its key is visible."""
    return data.ArrayLayout(data.StructLayout({"score": FLOAT, "visible": 1}), lanes)


class ScoreBuffer(wiring.Component):
    """Masks the score words of a job, stores them and reduces them to a maximum per row.

    Takes a word per cycle; a row's words must be at least 8 cycles apart (TILE_SPACING). The words
    of a job come row by row within each word number: for word in 0.., for row in 0... A score is
    visible if its key's position is below the row's limit; with ``causal`` the limit rises by one
    after every ``rows_per_position`` rows. ``key_base`` is a multiple of 32.

    Members
    -------
    i_job : In(strobe of SoftmaxJob)
        Its words may come from the second cycle after on, and follow those of the job before, which
        may still be coming if it is of the same instruction (then only ``key_base`` and ``parity``
        matter).
    i_scores : In(strobe of score_word)
    o_done : Out(1)
        Pulse, in the order of the jobs: all of a job's scores and maxima can be read.
    i_maximum_address, o_maximum : In, Out(MAXIMUM)
        Reads a row's maximum, address {parity, row}, 2 cycles.
    i_score_address, o_scores : In, Out(masked_scores)
        Reads `probability_lanes` scores, address {parity, row, part}, 3 cycles.

    From the last word to ``o_done`` are 6 + log2(lanes) cycles. Area (8 lanes): about 650 LUT4 and
    8 block RAMs.
    """

    i_job: wiring.PureInterface
    i_scores: wiring.PureInterface
    o_done: Signal
    i_maximum_address: Signal
    o_maximum: Signal
    i_score_address: Signal
    o_scores: data.View

    def __init__(self, config: Configuration) -> None:
        self._config = config
        self._parts = BLOCK // probability_lanes(config)
        rows = 2 * config.max_rows
        super().__init__(
            {
                "i_job": In(strobe_signature(SoftmaxJob)),
                "i_scores": In(strobe_signature(score_word(config))),
                "o_done": Out(1),
                "i_maximum_address": In(range(rows)),
                "o_maximum": Out(MAXIMUM),
                "i_score_address": In(range(rows * self._parts)),
                "o_scores": Out(masked_scores(probability_lanes(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, scores = self._config, self.i_scores.payload
        row_bits = (config.max_rows - 1).bit_length()
        word_bits = (config.words_per_block - 1).bit_length()
        tree = (config.lanes - 1).bit_length()

        last_row = Signal.like(scores.row, reset_less=True)
        with m.If(self.i_job.valid):
            m.d.sync += last_row.eq(self.i_job.payload.rows - 1)
        last = scores.row == last_row
        visible = self._mask(m, last)
        patterns = pipeline(m, scores.data.as_value(), 2, "scores")
        valid = delay(m, self.i_scores.valid, 2, "valid")
        row = pipeline(m, scores.row[:row_bits], 2, "row")
        word = pipeline(m, scores.word[:word_bits], 2, "word")
        address = Cat(row, pipeline(m, scores.parity, 2, "parity"))

        # 2: store
        values = [patterns[FLOAT.width * k : FLOAT.width * (k + 1)] for k in range(config.lanes)]
        self._store(
            m, Cat(Cat(*p) for p in zip(values, visible, strict=True)), valid, address, word
        )

        # 2 to 3 + log2(lanes): maximum over the lanes, then with that of the row's words before
        maximum = self._reduce(m, values, visible)
        m.submodules.maxima = memory = block_memory(MAXIMUM, 2 << row_bits)
        write = memory.write_port()
        new = Signal(MAXIMUM, reset_less=True)
        early = pipeline(m, address, tree - 1, "address")
        late = pipeline(m, early, 3, "address_reduced")
        first_word = pipeline(m, ~word.any(), 1 + tree, "first_word")
        m.d.comb += [
            write.en.eq(delay(m, valid, 2 + tree, "reduced")),
            write.addr.eq(late),
            write.data.eq(new),
            self.o_maximum.eq(block_read(m, memory, self.i_maximum_address, "maximum")),
        ]
        before = block_read(m, memory, early, "before")
        m.d.sync += new.eq(Mux(first_word | (maximum > before), maximum, before))

        is_end = self.i_scores.valid & last & (scores.word == config.words_per_block - 1)
        m.d.comb += self.o_done.eq(delay(m, is_end, 6 + tree, "end"))
        return m

    def _mask(self, m: Module, last: Value) -> Value:
        """Which lanes are visible, 2 cycles after the word."""
        job, lanes = self.i_job.payload, self._config.lanes
        lane_bits = (lanes - 1).bit_length()
        word_bits = 5 - lane_bits
        first_limit = Signal.like(job.first_limit, reset_less=True)
        rows_per_position = Signal.like(job.rows_per_position, reset_less=True)
        causal = Signal(reset_less=True)
        key_bases = Signal(data.ArrayLayout(len(job.key_base) - 5, 2), reset_less=True)
        start = Signal()
        m.d.sync += start.eq(self.i_job.valid & job.first)
        with m.If(self.i_job.valid):
            m.d.sync += [
                first_limit.eq(job.first_limit),
                rows_per_position.eq(job.rows_per_position),
                causal.eq(job.causal),
                key_bases[job.parity].eq(job.key_base[5:]),
            ]

        # The limit of the row that comes; every word begins anew with row 0.
        limit = Signal.like(first_limit, reset_less=True)
        left = Signal.like(rows_per_position, reset_less=True)
        turns = left == 1
        with m.If(start | (self.i_scores.valid & last)):
            m.d.sync += [limit.eq(first_limit), left.eq(rows_per_position)]
        with m.Elif(self.i_scores.valid):
            m.d.sync += [
                limit.eq(limit + (causal & turns)),
                left.eq(Mux(turns, rows_per_position, left - 1)),
            ]

        scores = self.i_scores.payload
        position = Cat(scores.word[:word_bits], key_bases[scores.parity])
        above = Signal(signed(len(limit) + 1), reset_less=True)
        m.d.sync += above.eq(limit - (position << lane_bits))
        visible = Signal(lanes, reset_less=True)
        whole = above[lane_bits:-1].any()
        m.d.sync += visible.eq(
            Cat(~above[-1] & (whole | (above[:lane_bits] > lane)) for lane in range(lanes))
        )
        return visible

    def _store(
        self, m: Module, word_data: Value, valid: Value, address: Value, word: Value
    ) -> None:
        """The memory of words, read whole or in halves."""
        halves = self._parts // self._config.words_per_block
        half_bits = len(word_data) // 2
        m.submodules.scores = memory = block_memory(
            unsigned(len(word_data)), 1 << (len(address) + len(word))
        )
        write = memory.write_port()
        word_address = self.i_score_address[halves - 1 :]
        output = block_read(m, memory, word_address, "output")
        m.d.comb += [
            write.en.eq(valid),
            write.addr.eq(Cat(word, address)),
            write.data.eq(word_data),
        ]
        chosen: Value = output
        if halves == 2:
            upper = Signal(2, reset_less=True)
            m.d.sync += upper.eq(Cat(self.i_score_address[0], upper))
            chosen = Mux(upper[1], output[half_bits:], output[:half_bits])
        m.d.sync += self.o_scores.eq(chosen)

    def _reduce(self, m: Module, values: list[Value], visible: Value) -> Value:
        """The maximum of the visible lanes in sortable form, 1 + log2(lanes) cycles later."""
        level: list[Value] = []
        for lane, value in enumerate(values):
            sortable = Signal(MAXIMUM, name=f"sortable_{lane}", reset_less=True)
            order = Mux(value[-1], ~value, value ^ (1 << (len(value) - 1)))
            m.d.sync += sortable.eq(Mux(visible[lane], order, 0))
            level.append(sortable)
        while len(level) > 1:
            step = len(level) // 2
            larger = []
            for k in range(step):
                result = Signal(MAXIMUM, name=f"larger_{step}_{k}", reset_less=True)
                a, b = level[k], level[k + step]
                m.d.sync += result.eq(Mux(a > b, a, b))
                larger.append(result)
            level = larger
        return level[0]
