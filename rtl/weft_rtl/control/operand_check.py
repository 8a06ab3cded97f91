# SPDX-License-Identifier: Apache-2.0
"""Whether the operands of an instruction of the compute unit are in their ranges."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft_arch import isa
from weft_arch.config import Configuration
from weft_rtl.control.decode import arguments
from weft_rtl.interfaces import ROW, ResolvedInstruction

__all__ = ["POSITION_BITS", "OperandCheck"]

POSITION_BITS = 23
"""Positions and numbers of keys are below 2**23."""


class OperandCheck(wiring.Component):
    """Checks MATMUL, ATTEND and CODEBOOK.

    Bad are: rows not in 1 to max_rows; MATMUL: no k_blocks or n_tiles, more than one row with
    to_top_k; ATTEND: k_blocks not in 1 to 8, no rows_per_position, no keys, a position or number of
    keys of 2**23 or more, or rows * (1 + 32/array_cols * k_blocks) accumulators that are not there;
    any other opcode.

    Members
    -------
    i : In(ResolvedInstruction)
        Held until the answer is used.
    o_bad : Out(1)
        Right from 2 cycles after ``i`` on.

    Area: 100 LUT4, 20 CCU2C.
    """

    i: data.View
    o_bad: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__({"i": In(ResolvedInstruction), "o_bad": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, instruction = self._config, self.i
        matmul = arguments(isa.Matmul, instruction.arguments)
        attend = arguments(isa.Attend, instruction.arguments)
        rows = instruction.count
        most_rows = min(config.max_rows, config.accumulator_words)
        bad_rows, bad_matmul, bad_attend = Signal(), Signal(), Signal()
        m.d.sync += [
            bad_rows.eq((rows == 0) | (rows >= most_rows + 1)),
            bad_matmul.eq(
                (matmul.k_blocks == 0) | (matmul.n_tiles == 0) | (matmul.to_top_k & (rows != 1))
            ),
            bad_attend.eq(
                (attend.k_blocks == 0)
                | (attend.k_blocks > 8)
                | (attend.rows_per_position == 0)
                | (instruction.aux_b == 0)
                | instruction.aux_b[POSITION_BITS:].any()
                | (attend.causal & instruction.aux_a[POSITION_BITS:].any())
            ),
        ]
        needed = self._accumulators(m, rows[: ROW.width], attend.k_blocks)
        # Not as `>`, of which synthesis makes a comparison for equality as well.
        many = needed >= config.accumulator_words + 1
        with m.Switch(instruction.opcode):
            with m.Case(isa.Opcode.MATMUL):
                m.d.sync += self.o_bad.eq(bad_rows | bad_matmul)
            with m.Case(isa.Opcode.ATTEND):
                m.d.sync += self.o_bad.eq(bad_rows | bad_attend | many)
            with m.Default():
                m.d.sync += self.o_bad.eq(instruction.opcode != isa.Opcode.CODEBOOK)
        return m

    def _accumulators(self, m: Module, rows: Value, k_blocks: Value) -> Value:
        """What an ATTEND needs, a cycle later; by additions, to spare a multiplier."""
        low, high = [
            sum((Mux(k_blocks[k], rows << k, 0) for k in bits), start=0)
            for bits in ((0, 1), (2, 3))
        ]
        product = Signal(ROW.width + len(k_blocks), reset_less=True)
        m.d.sync += product.eq(low + high)
        return rows + product * self._config.words_per_block
