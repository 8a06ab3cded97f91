# SPDX-License-Identifier: Apache-2.0
"""Steps the lanes' adders through the first part of a reduction."""

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import BLOCK
from weft_rtl.floating.adder import FloatAdder

__all__ = ["TREE_CONTROL", "ReductionSequencer"]


TREE_CONTROL = data.StructLayout(
    {
        "step": 1,  # the adders and the delays behind them move on
        "a_oldest": 1,  # adder operand a: the sum of one round ago
        "a_2": 1,  # the sum of two steps ago
        "a_1": 1,  # the sum of one step ago
        "b_product": 1,  # adder operand b: the product
        "b_sum": 1,  # the newest sum
        "take": 1,  # the newest sums are those of the lanes
    }
)
"""What the lanes do in a step of the tree."""


class ReductionSequencer(wiring.Component):
    """The first part of `weft_arch.blocks.reduce_sum`, with one adder per lane: a sum for each.

    The 32 partial sums are 32 / lanes phases in each lane. The adders, with delays behind them up
    to a round of as many steps, hold all of them and only move on when a word comes, so that word
    and partial sum always meet; missing words of the last round are zeros. Then the phases are
    added pairwise as they come out. `LaneTree` does the rest meanwhile.

    A word per cycle (with 16 lanes: in two). From the last word's product to `o.take`: 12 cycles
    for 8 lanes, 16 for 4, 7 for 16, and more for up to a round of missing words.

    Area: about 50 LUT4, 30 FF.

    Members
    -------
    i_word : In(1)
        The product of a word is there.
    i_last : In(1)
        It is the reduction's last.
    i_free : In(1)
        `LaneTree` has room for the sums.
    o : Out(TREE_CONTROL)
        What to do. Outside of reductions `b_product` is the only choice that is up.
    o_resume : Out(1)
        The next reduction's first word may be requested: its product may come from 6 cycles
        later on.
    """

    i_word: Signal
    i_last: Signal
    i_free: Signal
    o: data.View
    o_resume: Signal

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        super().__init__(
            {
                "i_word": In(1),
                "i_last": In(1),
                "i_free": In(1),
                "o": Out(TREE_CONTROL),
                "o_resume": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """A round counter, then a token that runs through the steps of the tree."""
        m = Module()
        phases = BLOCK // self._lanes
        latency = FloatAdder.LATENCY
        round_steps = max(phases, latency)

        # When which sums are added. At step 0 the oldest sum is phase 0.
        oldest_steps, two_steps, one_steps = [], [], []
        if phases == 8:
            oldest_steps, two_steps, one_steps = [0, 1, 2, 3], [6, 7], [11]
        elif phases == 4:
            two_steps, one_steps = [2, 3], [7]
        else:
            two_steps = [2]
        take_at = max(two_steps + one_steps) + latency

        slot = Signal(range(round_steps))
        first_round = Signal(init=1)
        ending, held = Signal(), Signal()
        tree = Signal()
        first_round_next, ending_next, tree_next = Signal(), Signal(), Signal()
        token = Signal(take_at + 1)
        end, begin = Signal(), Signal()
        move = Signal()
        last_slot = Signal()
        bubble = slot[0] if phases < latency else 0
        m.d.comb += [
            last_slot.eq(slot == round_steps - 1),
            move.eq(~tree & (self.i_word | bubble | ending)),
            end.eq(move & last_slot & ending_next),
            begin.eq((end | held) & self.i_free),
            ending_next.eq(ending | (self.i_word & self.i_last)),
            first_round_next.eq((first_round & ~(move & last_slot)) | begin),
            tree_next.eq((tree & ~token[take_at - 1]) | begin),
        ]
        with m.If(move):
            m.d.sync += slot.eq(slot + 1)
        m.d.sync += [
            first_round.eq(first_round_next),
            ending.eq(ending_next & ~end),
            held.eq((held | end) & ~begin),
            tree.eq(tree_next),
            token.eq(Cat(begin, token[:-1])),
        ]

        def before(steps: list[int]) -> Value:
            """The next step is one of these."""
            return Cat(token[step - 1] if step else begin for step in steps).any()

        # Operand choices go to every bit of every lane, so they are registers.
        a_oldest = Signal()
        a_2 = Signal()
        a_1 = Signal()
        b_product = Signal(init=1)
        b_sum = Signal()
        m.d.sync += [
            a_oldest.eq((~tree_next & ~first_round_next) | before(oldest_steps)),
            a_2.eq(before(two_steps)),
            a_1.eq(before(one_steps)),
            b_product.eq(~tree_next & ~(ending_next & ~end)),
            b_sum.eq(before([*oldest_steps, *two_steps, *one_steps])),
        ]
        m.d.comb += [
            self.o.step.eq(move | tree),
            self.o.a_oldest.eq(a_oldest),
            self.o.a_2.eq(a_2),
            self.o.a_1.eq(a_1),
            self.o.b_product.eq(b_product),
            self.o.b_sum.eq(b_sum),
            self.o.take.eq(token[take_at]),
            self.o_resume.eq(token[take_at - 6]),
        ]
        return m
