# SPDX-License-Identifier: Apache-2.0
"""Probabilities from scores: 2**(score - maximum), as fixed point and as floats."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weft_arch.attention import SCORE_BITS, SUM_FRACTION_BITS
from weft_arch.functions import EXP2, SCORE_FRACTION_BITS
from weft_rtl.attention.score_buffer import masked_scores
from weft_rtl.floating.float_to_fixed import FloatToFixed
from weft_rtl.floating.formats import BIAS, FLOAT, pipeline

__all__ = ["P_FIXED", "RUNNING_MAX", "Exponential"]

P_FIXED = SUM_FRACTION_BITS + 1
"""Bits of a probability with 24 fraction bits, 1 included."""
RUNNING_MAX = signed(SCORE_BITS - SCORE_FRACTION_BITS + 1)
"""A running maximum: -2048 to 2048."""
_POWER_BITS = 16


class Exponential(wiring.Component):
    """p = EXP2(f) >> i for i + f = maximum - score, in each lane; 0 for hidden keys and i > 24.

    One word per cycle, `LATENCY` = 7 cycles: two to fixed point; subtract; two of the table; shift
    by eights, exponent; shift by ones, flush. The table is EXP2 at every argument, in block RAM:
    two lanes share one.

    Members
    -------
    i_scores : In(masked_scores)
    i_maximum : In(RUNNING_MAX)
        Running maximum of the row, `MAXIMUM_CYCLE` = 2 cycles later than the scores; not below any
        visible one.
    i_value_exponents : In(ArrayLayout(signed(8), lanes))
        Exponents of the keys' values, `EXPONENT_CYCLE` = 5 cycles later than the scores.
    o_fixed : Out(ArrayLayout(25, lanes))
        p rounded down to 24 fraction bits.
    o_floats : Out(ArrayLayout(F24, lanes))
        p * 2**value_exponent, exact but for flush; never negative.

    Area (4 lanes): 1,290 LUT4, 190 CCU2C, 4 block RAMs.
    """

    LATENCY = 7
    MAXIMUM_CYCLE = FloatToFixed.LATENCY
    EXPONENT_CYCLE = MAXIMUM_CYCLE + 3

    i_scores: data.View
    i_maximum: Signal
    i_value_exponents: data.View
    o_fixed: data.View
    o_floats: data.View

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        super().__init__(
            {
                "i_scores": In(masked_scores(lanes)),
                "i_maximum": In(RUNNING_MAX),
                "i_value_exponents": In(data.ArrayLayout(signed(8), lanes)),
                "o_fixed": Out(data.ArrayLayout(P_FIXED, lanes)),
                "o_floats": Out(data.ArrayLayout(FLOAT, lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for first in range(0, self._lanes, 2):
            m.submodules[f"table_{first}"] = table = self._table()
            for lane in range(first, min(first + 2, self._lanes)):
                self._lane(m, lane, table)
        return m

    def _table(self) -> Memory:
        """The fraction of EXP2 as a float of exponent -1, which is also right for 1.0. An entry has
        two neighbours, which takes half the block RAM: the first, and how much less the second is,
        less the least of these."""
        powers = [int(power) for power in EXP2.evaluate(range(1 << SCORE_FRACTION_BITS))]
        pairs = list(zip(powers[::2], powers[1::2], strict=True))
        steps = [first - second for first, second in pairs]
        self._least = min(steps)
        layout = data.StructLayout(
            {"first": _POWER_BITS - 1, "step": range(max(steps) - self._least + 1)}
        )
        entries = [
            {"first": first & ((1 << (_POWER_BITS - 1)) - 1), "step": step - self._least}
            for (first, _), step in zip(pairs, steps, strict=True)
        ]
        return Memory(shape=layout, depth=len(entries), init=entries, attrs={"rom_style": "block"})

    def _lane(self, m: Module, lane: int, table: Memory) -> None:
        score = self.i_scores[lane]
        # 1, 2: fixed point
        m.submodules[f"to_fixed_{lane}"] = to_fixed = FloatToFixed(SCORE_FRACTION_BITS, SCORE_BITS)
        m.d.comb += to_fixed.i.eq(score.score)
        visible = pipeline(m, score.visible, 3, f"visible_{lane}")

        # 3: distance from the maximum; not negative where it matters
        distance = Signal(SCORE_BITS + 1, name=f"distance_{lane}", reset_less=True)
        m.d.sync += distance.eq((self.i_maximum << SCORE_FRACTION_BITS) - to_fixed.o)
        fraction, whole = distance[:SCORE_FRACTION_BITS], distance[SCORE_FRACTION_BITS:]

        # 4, 5: table
        port = table.read_port()
        power = Signal(_POWER_BITS - 1, name=f"power_{lane}", reset_less=True)
        second = pipeline(m, fraction[0], 1, f"second_{lane}")
        m.d.comb += port.addr.eq(fraction[1:])
        step = Mux(second, port.data.step + self._least, 0)
        m.d.sync += power.eq(port.data.first - step)
        is_one = pipeline(m, ~fraction.any(), 2, f"is_one_{lane}")
        seen_4 = pipeline(m, visible & (whole <= SUM_FRACTION_BITS), 1, f"near_{lane}")
        seen = pipeline(m, seen_4, 1, f"seen_{lane}")
        shift = pipeline(m, whole[:5], 2, f"shift_{lane}")

        # 6, 7: fixed point
        coarse = Signal(P_FIXED, name=f"coarse_{lane}", reset_less=True)
        fine = pipeline(m, shift[:3], 1, f"fine_{lane}")
        fixed = Signal(P_FIXED, name=f"fixed_{lane}", reset_less=True)
        full = Cat(power, ~is_one, is_one) << (SUM_FRACTION_BITS - _POWER_BITS)
        m.d.sync += [
            coarse.eq(Mux(seen, full >> (shift[3:] << 3), 0)),
            fixed.eq(coarse >> fine),
        ]
        m.d.comb += self.o_fixed[lane].eq(fixed)

        # 6, 7: float
        exponent = Signal(signed(10), name=f"exponent_{lane}", reset_less=True)
        fraction_6 = pipeline(m, power, 1, f"fraction_{lane}")
        is_float = pipeline(m, seen, 1, f"is_float_{lane}")
        value = Signal(FLOAT, name=f"value_{lane}", reset_less=True)
        m.d.sync += [
            exponent.eq(self.i_value_exponents[lane] + Mux(is_one, BIAS, BIAS - 1) - shift),
            value.eq(Mux(is_float & (exponent > 0), Cat(fraction_6, exponent[:8]), 0)),
        ]
        m.d.comb += self.o_floats[lane].eq(value)
