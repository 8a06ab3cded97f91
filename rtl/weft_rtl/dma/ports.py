# SPDX-License-Identifier: Apache-2.0
"""Payloads and signatures between the memory port and the engines that use it.

Signatures are the client's view; the memory port flips them.
"""

from amaranth import unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration

__all__ = [
    "BURST_BEATS",
    "TRANSFER_BEATS",
    "Burst",
    "Transfer",
    "read_client_signature",
    "write_beat",
    "write_client_signature",
]

BURST_BEATS = unsigned(9)
"""Beats of one burst, 1 to 256."""
TRANSFER_BEATS = unsigned(30)
"""Beats of a transfer of any length; the address space has at most 2**30."""


class Transfer(data.Struct):
    """Contiguous memory: at least one beat from a beat-aligned byte address.

    ``last`` marks the end of a write instruction; for reads it is not used."""

    address: 32
    beats: TRANSFER_BEATS
    last: 1


class Burst(data.Struct):
    """A legal AXI burst: at most max_burst_beats long, and never across a multiple of that.

    ``last``: the last burst of a transfer that has ``last``."""

    address: 32
    beats: BURST_BEATS
    last: 1


def read_client_signature(config: Configuration) -> wiring.Signature:
    """A reader of memory, its bursts as `BurstSplitter` makes them. The beats come in the order of
    the bursts, marked by ``valid``; there is no way to hold them off, so a client asks only for
    what it has room for."""
    return wiring.Signature(
        {
            "burst": Out(stream.Signature(Burst)),
            "valid": In(1),
            "data": In(8 * config.beat_bytes),
        }
    )


def write_beat(config: Configuration) -> data.StructLayout:
    """One beat of write data with its byte strobes."""
    return data.StructLayout(
        {"data": unsigned(8 * config.beat_bytes), "strobe": unsigned(config.beat_bytes)}
    )


def write_client_signature(config: Configuration) -> wiring.Signature:
    """A writer to memory: commands, and their beats one command after the other. Neither waits for
    the other in the memory port, so the client may give them in any order of time.

    ``done`` pulses when the memory has acknowledged all of a command with ``last`` and everything
    before it. Commands are at most 2**18 beats long."""
    return wiring.Signature(
        {
            "command": Out(stream.Signature(Transfer)),
            "data": Out(stream.Signature(write_beat(config))),
            "done": In(1),
        }
    )
