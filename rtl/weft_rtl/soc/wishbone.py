# SPDX-License-Identifier: Apache-2.0
"""The bus of the CPU: Wishbone, classic cycles, 32 bits."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["wishbone_signature"]


def wishbone_signature() -> wiring.Signature:
    """The CPU's side. ``adr`` counts words. A request holds until ``ack`` or ``err``, one cycle."""
    return wiring.Signature(
        {
            "cyc": Out(1),
            "stb": Out(1),
            "we": Out(1),
            "adr": Out(30),
            "sel": Out(4),
            "dat_w": Out(32),
            "dat_r": In(32),
            "ack": In(1),
            "err": In(1),
        }
    )
