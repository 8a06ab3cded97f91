# SPDX-License-Identifier: Apache-2.0
"""The multiplier of a cell: signed activation times signed weight, 3 cycles."""

from amaranth import ClockSignal, Instance, Module, Signal, Value, signed
from amaranth.lib import enum

from weft_arch.config import BLOCK

__all__ = ["WEIGHT_BITS", "MultiplierStyle", "add_multiplier", "multiplier_style"]

WEIGHT_BITS = 8


class MultiplierStyle(enum.Enum):
    """How a cell multiplies."""

    BEHAVIOURAL = 0
    """``a * b``: simulation, and targets without an own mapping"""
    HARD = 1
    """black box ``weft_hard_multiplier``: a multiplier block with its registers in use"""
    ROWS = 2
    """black box ``weft_row_multiplier``: a tree of row adders in logic cells"""


def multiplier_style(platform: object, row: int, column: int) -> MultiplierStyle:
    """The style of a cell.

    A platform with an attribute ``hard_multipliers`` (see `ecp5_multiplier.Ecp5Target`) gets that
    many hard ones, column by column, and row adders elsewhere; all others get ``a * b``. Whole
    columns, because the blocks of a column then lie in rows of the chip
    (`weft_rtl.bitstream.floorplan`).
    """
    hard = getattr(platform, "hard_multipliers", None)
    if hard is None:
        return MultiplierStyle.BEHAVIOURAL
    return MultiplierStyle.HARD if column * BLOCK + row < hard else MultiplierStyle.ROWS


def add_multiplier(
    m: Module,
    name: str,
    style: MultiplierStyle,
    *,
    next_activation: Value,
    activation: Signal,
    shadow_weight: Signal,
    swap: Value,
) -> Signal:
    """Add a multiplier to ``m``; the product appears 3 cycles after its activation.

    Parameters
    ----------
    next_activation, activation : Value
        The activation in the cycle before and after the cell's own register, so that a hard
        multiplier can use its own.
    shadow_weight : Signal
        Becomes the weight when ``swap`` is up, in the same cycle as its first activation.
    """
    activation_bits = len(activation)
    product = Signal(signed(activation_bits + WEIGHT_BITS), name=f"product_{name}", reset_less=True)
    if style is MultiplierStyle.HARD:
        m.submodules[f"multiplier_{name}"] = Instance(
            "weft_hard_multiplier",
            i_clk=ClockSignal(),
            i_activation=next_activation,
            i_weight=shadow_weight,
            i_swap=swap,
            o_product=product,
        )
        return product

    weight = Signal(signed(WEIGHT_BITS), name=f"weight_{name}", reset_less=True)
    with m.If(swap):
        m.d.sync += weight.eq(shadow_weight)
    if style is MultiplierStyle.ROWS:
        m.submodules[f"multiplier_{name}"] = Instance(
            "weft_row_multiplier",
            i_clk=ClockSignal(),
            i_activation=activation,
            i_weight=weight,
            o_product=product,
        )
        return product

    inner = Signal(product.shape(), name=f"inner_product_{name}", reset_less=True)
    m.d.sync += [inner.eq(activation * weight), product.eq(inner)]
    return product
