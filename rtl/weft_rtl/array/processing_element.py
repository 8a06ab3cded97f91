# SPDX-License-Identifier: Apache-2.0
"""One cell of the systolic array."""

from amaranth import Module, Signal, Value, signed

from weft_rtl.array.multiplier import WEIGHT_BITS, MultiplierStyle, add_multiplier

__all__ = ["add_processing_element", "partial_sum_width"]


def partial_sum_width(activation_bits: int, row: int) -> int:
    """Bits of the sum of the products of rows 0 to ``row``."""
    return activation_bits + WEIGHT_BITS + row.bit_length()


def add_processing_element(
    m: Module,
    row: int,
    column: int,
    style: MultiplierStyle,
    *,
    activation: Value,
    weight: Value,
    preload: Value,
    swap: Value,
    partial_sum: Value | None,
) -> tuple[Signal, Signal]:
    """Add the cell ``row``, ``column`` to ``m``; returns its activation and partial sum.

    There are hundreds of cells, so a cell is signals of the array's module and not a module. ::

                    partial_sum
                         |
        weight --> [shadow] --> [weight]
                         |         |                 [ ] registers
        activation --> [a] ------> * [] []
                        |          |
                        |         (+) --> [sum]
                        v                   v
                 to the right            downwards

    Its sum is ready 4 cycles after its activation came in. Nothing but the weights is ever held:
    enables would cost wires, and time in simulation.

    Parameters
    ----------
    activation, partial_sum : Value
        From the left and from above (None in row 0).
    weight, preload : Value
        When ``preload``, the shadow register takes the weight.
    swap : Value
        The activation is the first of a tile: the shadow weight becomes the weight.
    """
    name = f"{row}_{column}"
    activation_bits = len(activation)
    travel = Signal(signed(activation_bits), name=f"activation_{name}", reset_less=True)
    shadow = Signal(signed(WEIGHT_BITS), name=f"shadow_{name}", reset_less=True)
    m.d.sync += travel.eq(activation)
    with m.If(preload):
        m.d.sync += shadow.eq(weight)
    product = add_multiplier(
        m,
        name,
        style,
        next_activation=activation,
        activation=travel,
        shadow_weight=shadow,
        swap=swap,
    )
    total = Signal(
        signed(partial_sum_width(activation_bits, row)), name=f"sum_{name}", reset_less=True
    )
    m.d.sync += total.eq(product if partial_sum is None else partial_sum + product)
    return travel, total
