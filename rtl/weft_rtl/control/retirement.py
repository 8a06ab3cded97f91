# SPDX-License-Identifier: Apache-2.0
"""When the instructions that the compute unit has started are done."""

from amaranth import Module, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.interfaces import strobe_signature

__all__ = ["Retirement", "StartedInstruction"]

_DEPTH = 16


class StartedInstruction(data.Struct):
    """What an instruction has to wait for besides its last pass."""

    attend: 1
    """the row scalars"""
    top_k: 1
    """the top-k list"""


class Retirement(wiring.Component):
    """Reports started instructions done, in order, at most one every second cycle, and not before
    the second cycle after their start.

    Members
    -------
    i_started : In(strobe of StartedInstruction)
        Only while not ``o_full``.
    i_pass_done : In(1)
        Pulse: the last pass of an instruction is through.
    i_final_done : In(1)
        Pulse: the row scalars of an ATTEND are written.
    i_top_k_busy : In(1)
        Candidates are on their way into the top-k list.
    o_done : Out(1)
        Pulse.
    o_full, o_empty : Out(1)
        15 instructions are in work; none is.

    Area: about 50 LUT4.
    """

    i_started: wiring.PureInterface
    i_pass_done: Signal
    i_final_done: Signal
    i_top_k_busy: Signal
    o_done: Signal
    o_full: Signal
    o_empty: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "i_started": In(strobe_signature(StartedInstruction)),
                "i_pass_done": In(1),
                "i_final_done": In(1),
                "i_top_k_busy": In(1),
                "o_done": Out(1),
                "o_full": Out(1),
                "o_empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # LUT memory; the oldest one's kind is looked up a cycle before it is needed.
        m.submodules.kinds = kinds = memory.Memory(shape=StartedInstruction, depth=_DEPTH, init=[])
        write, read = kinds.write_port(), kinds.read_port(domain="comb")
        in_work = Signal(range(_DEPTH))
        passed = Signal(range(_DEPTH))
        finals = Signal(range(_DEPTH))
        head = Signal(StartedInstruction, reset_less=True)
        looked_up = Signal()
        m.d.comb += [
            write.en.eq(self.i_started.valid),
            write.data.eq(self.i_started.payload),
            self.o_done.eq(
                looked_up
                & (passed != 0)
                & ~(head.attend & (finals == 0))
                & ~(head.top_k & self.i_top_k_busy)
            ),
            self.o_full.eq(in_work == _DEPTH - 1),
            self.o_empty.eq(in_work == 0),
        ]
        m.d.sync += [
            head.eq(read.data),
            looked_up.eq(~self.o_done),
            write.addr.eq(write.addr + self.i_started.valid),
            read.addr.eq(read.addr + self.o_done),
            in_work.eq(in_work + self.i_started.valid - self.o_done),
            passed.eq(passed + self.i_pass_done - self.o_done),
            finals.eq(finals + self.i_final_done - (self.o_done & head.attend)),
        ]
        return m
