# SPDX-License-Identifier: Apache-2.0
"""The weight-stationary systolic array."""

from amaranth import Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import BLOCK, Configuration
from weft_rtl.array.delay_ring import delayed
from weft_rtl.array.multiplier import WEIGHT_BITS, multiplier_style
from weft_rtl.array.processing_element import add_processing_element

__all__ = ["SystolicArray"]

_GROUP = 4
"""Rows that share a delay while they can: fewer, wider memories simulate faster."""


class SystolicArray(wiring.Component):
    """32 x ``array_cols`` cells: ``o[c] = sum over r of activations[r] * weights[r][c]``.

    Activations travel along the rows, partial sums down the columns, one cell per cycle. Row r
    works r cycles late: activations and weights are delayed on their way in. A column of weights
    goes to all cells of its row at once and is taken by one of them, in step with the activations,
    so a new tile may come in while the one before it is still being used further right and down.

    Members
    -------
    i_valid, i_activations : In(1), In(32 x signed(activation_bits))
        One row of activations per cycle.
    i_swap : In(1)
        With ``i_valid``: first row of a tile. The weights taken since the last swap are used from
        this row on. Column c must have been taken at most c - 1 cycles later.
    i_preload : In(array_cols)
        Column c takes ``i_weights`` when bit c is set; at most one bit is set. Column c of the
        next tile may be taken c cycles after ``i_swap`` and later.
    i_weights : In(32 x signed(8))
        Weights of one column.
    o_valid, o_partial_sums : Out(1), Out(array_cols x signed(partial_sum_width))
        Exact sums, `latency` cycles after their activations; all columns at once.

    Area (8 columns, ECP5, half the multipliers hard): about 17k LUT4 (all of them
    carry cells), 27k flip-flops, 128 MULT18X18D.
    """

    i_valid: Signal
    i_activations: data.View
    i_swap: Signal
    i_preload: Signal
    i_weights: data.View
    o_valid: Signal
    o_partial_sums: data.View

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "i_valid": In(1),
                "i_activations": In(data.ArrayLayout(signed(config.activation_bits), BLOCK)),
                "i_swap": In(1),
                "i_preload": In(config.array_cols),
                "i_weights": In(data.ArrayLayout(signed(WEIGHT_BITS), BLOCK)),
                "o_valid": Out(1),
                "o_partial_sums": Out(
                    data.ArrayLayout(signed(config.partial_sum_width), config.array_cols)
                ),
            }
        )

    @staticmethod
    def latency(config: Configuration) -> int:
        """Cycles from ``i_valid`` to ``o_valid``: row skew, cell, column skew."""
        return BLOCK + 3 + config.array_cols - 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        cols = config.array_cols
        valid = _delay_line(m, "valid", self.i_valid, self.latency(config))
        # Cell (r, c) works r + c cycles after the row came in: one delay line serves them all.
        swap = _delay_line(m, "swap", self.i_swap & self.i_valid, BLOCK + cols - 2)
        preload = _delay_line(m, "preload", self.i_preload, BLOCK - 1)

        activations = _skew(m, "activations", self.i_activations.as_value())
        weights = _skew(m, "weights", self.i_weights.as_value())
        sums: list[Value | None] = [None] * cols
        for row in range(BLOCK):
            activation = activations[row].as_signed()
            for column in range(cols):
                activation, sums[column] = add_processing_element(
                    m,
                    row,
                    column,
                    multiplier_style(platform, row, column),
                    activation=activation,
                    weight=weights[row].as_signed(),
                    preload=preload[row][column],
                    swap=swap[row + column],
                    partial_sum=sums[column],
                )

        m.d.comb += self.o_valid.eq(valid[-1])
        for column in range(cols):
            total = sums[column]
            assert total is not None
            for step in range(cols - 1 - column):
                delayed = Signal(
                    config.partial_sum_width, name=f"deskew_{column}_{step}", reset_less=True
                )
                m.d.sync += delayed.eq(total)
                total = delayed
            m.d.comb += self.o_partial_sums[column].eq(total)
        return m


def _delay_line(m: Module, name: str, value: Value, cycles: int) -> list[Value]:
    """``value`` and its copies 1 to ``cycles`` cycles later."""
    line = [value]
    for step in range(cycles):
        register = Signal(len(value), name=f"{name}_{step + 1}")
        m.d.sync += register.eq(line[-1])
        line.append(register)
    return line


def _skew(m: Module, name: str, value: Value) -> list[Value]:
    """Split ``value`` into 32 rows and delay row r by r cycles."""
    width = len(value) // BLOCK
    rows = []
    for first in range(0, BLOCK, _GROUP):
        group = value[first * width : (first + _GROUP) * width]
        group = delayed(m, f"{name}_{first}", group, first)
        for inner in range(_GROUP):
            single = group[inner * width : (inner + 1) * width]
            rows.append(delayed(m, f"{name}_{first + inner}", single, inner))
    return rows
