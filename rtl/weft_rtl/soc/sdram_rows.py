# SPDX-License-Identifier: Apache-2.0
"""Opens and closes rows, refreshes, and wakes the SDRAM up."""

from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.soc.sdram_interfaces import SdramCommand, command_word, segment, split_address
from weft_rtl.soc.sdram_refresh import RefreshTimer
from weft_rtl.soc.sdram_timing import SdramTiming

__all__ = ["RowEngine"]

_ALL_BANKS = 1 << 10


class RowEngine(wiring.Component):
    """Prepares the next segment's row while the present segment's columns move.

    One segment at a time: is its row open, and if not, PRECHARGE and ACTIVATE; then it waits for
    the column engine. From a segment's arrival to its handover are at least 4 cycles. Rows stay
    open until another row of the bank is wanted or a refresh is. Refreshes are done between
    segments: when none waits, or all that are due when they become urgent.

    Commands go out in cycles without ``i_column``, so the column engine never waits for this one.

    Members
    -------
    i : stream of `segment`, In
    o : stream of `segment`, Out
        To the column engine; its row is open.
    i_column, i_column_write : In(1)
        The column engine issues a command, and it is a WRITE.
    i_busy : In(1)
        The column engine has a segment, in bank ``i_bank``.
    i_bank : In(2)
    o_issue : Out(1)
        ``o_command`` goes out. Never together with ``i_column``.
    o_command : Out(`command_word`)
    o_ready : Out(1)
        The SDRAM is initialised. Registered.
    """

    i: stream.Interface
    o: stream.Interface
    i_column: Signal
    i_column_write: Signal
    i_busy: Signal
    i_bank: Signal
    o_issue: Signal
    o_command: Any
    o_ready: Signal

    def __init__(self, timing: SdramTiming) -> None:
        self._timing = timing
        super().__init__(
            {
                "i": In(stream.Signature(segment(timing))),
                "o": Out(stream.Signature(segment(timing))),
                "i_column": In(1),
                "i_column_write": In(1),
                "i_busy": In(1),
                "i_bank": In(2),
                "o_issue": Out(1),
                "o_command": Out(command_word(timing.part)),
                "o_ready": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timing = self._timing
        banks = timing.part.banks
        refresh = m.submodules.refresh = RefreshTimer(timing)

        held: Any = Signal(self.i.payload.shape())
        place = data.View(split_address(timing), held.address)
        open_banks = Signal(banks)
        rows = Array(Signal(place.row.shape(), name=f"row_{b}") for b in range(banks))
        row = Signal(place.row.shape())
        is_open, hit = Signal(), Signal()

        # Timers are shift registers of ones that run out: bit 0 is 1 while there is to wait.
        longest = max(timing.refresh_cycles, timing.activate_to_column_cycles, 4)
        wait = Signal(longest)
        m.d.sync += wait.eq(wait >> 1)

        def wait_for(cycles: int) -> Any:
            """The next command is at least so many cycles after this one."""
            return wait.eq((1 << cycles - 1) - 1)

        want, grant, activate, close = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            grant.eq(want & ~self.i_column),
            self.o_issue.eq(grant),
            self.o_command.bank.eq(place.bank),
            self.o.payload.eq(held),
        ]

        # Before PRECHARGE, for each bank. The flags below are looked at a cycle after they are
        # computed, so the timers are a cycle shorter.
        words = timing.burst_words
        after_read = words - 2
        after_write = words + timing.write_recovery_cycles - 3
        after_activate = timing.row_active_cycles - 2
        mask_bits = max(after_read, after_write, after_activate, 1)
        busy = [Signal(mask_bits, name=f"busy_{b}") for b in range(banks)]
        for b in range(banks):
            column_here = self.i_column & (self.i_bank == b)
            mask = Mux(self.i_column_write, (1 << after_write) - 1, (1 << after_read) - 1)
            m.d.sync += busy[b].eq(
                busy[b] >> 1
                | Mux(column_here, mask, 0)
                | Mux(activate & (place.bank == b), (1 << after_activate) - 1, 0)
            )
        may_close, quiet = Signal(), Signal()
        m.d.sync += [
            may_close.eq(
                ~(self.i_busy & (self.i_bank == place.bank))
                & ~Array(timer[0] for timer in busy)[place.bank]
            ),
            quiet.eq(~self.i_busy & ~Cat(timer[0] for timer in busy).any()),
        ]

        with m.If(activate):
            m.d.sync += [open_banks.bit_select(place.bank, 1).eq(1), rows[place.bank].eq(place.row)]
        with m.If(close):
            m.d.sync += open_banks.bit_select(place.bank, 1).eq(0)

        take = self.i.valid & self.i.ready
        with m.If(take):
            m.d.sync += held.eq(self.i.payload)

        with m.FSM():
            with m.State("POWER_UP"), m.If(refresh.o_powered_up):
                m.next = "DRAIN"
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(~refresh.o_urgent)
                with m.If(take):
                    m.next = "LOOK"
                with m.Elif(refresh.o_urgent | (refresh.o_any & ~self.i.valid)):
                    m.next = "DRAIN"
            with m.State("LOOK"):
                m.d.sync += [
                    row.eq(rows[place.bank]),
                    is_open.eq(open_banks.bit_select(place.bank, 1)),
                ]
                m.next = "COMPARE"
            with m.State("COMPARE"):
                m.d.sync += hit.eq(row == place.row)
                m.next = "DECIDE"
            with m.State("DECIDE"):
                with m.If(~is_open):
                    m.next = "ACTIVATE"
                with m.Elif(hit):
                    m.next = "OPENED"
                with m.Else():
                    m.next = "CLOSE"
            with m.State("CLOSE"):
                m.d.comb += [
                    want.eq(may_close & ~wait[0]),
                    self.o_command.command.eq(SdramCommand.PRECHARGE),
                    close.eq(grant),
                ]
                with m.If(grant):
                    m.d.sync += wait_for(timing.precharge_cycles)
                    m.next = "ACTIVATE"
            with m.State("ACTIVATE"):
                m.d.comb += [
                    want.eq(~wait[0]),
                    self.o_command.command.eq(SdramCommand.ACTIVATE),
                    self.o_command.address.eq(place.row),
                    activate.eq(grant),
                ]
                with m.If(grant):
                    # The column engine can issue in the cycle after the handover.
                    m.d.sync += wait_for(timing.activate_to_column_cycles - 1)
                    m.next = "OPENED"
            with m.State("OPENED"):
                m.d.comb += self.o.valid.eq(~wait[0])
                with m.If(self.o.valid & self.o.ready):
                    m.d.comb += self.i.ready.eq(~refresh.o_urgent)
                    m.next = "IDLE"
                    with m.If(take):
                        m.next = "LOOK"

            # Refresh: all banks closed, then one REFRESH after the other.
            with m.State("DRAIN"):
                m.d.comb += [
                    want.eq(quiet & ~wait[0]),
                    self.o_command.command.eq(SdramCommand.PRECHARGE),
                    self.o_command.address.eq(_ALL_BANKS),
                ]
                with m.If(grant):
                    m.d.sync += [wait_for(timing.precharge_cycles), open_banks.eq(0)]
                    m.next = "REFRESH"
            with m.State("REFRESH"):
                m.d.comb += [
                    want.eq(~wait[0] & refresh.o_any),
                    self.o_command.command.eq(SdramCommand.REFRESH),
                    refresh.i_done.eq(grant),
                ]
                with m.If(grant):
                    # As long as the timer's flag is late, too.
                    m.d.sync += wait_for(max(timing.refresh_cycles, 3))
                with m.If(~wait[0] & ~refresh.o_any):
                    m.next = "IDLE"
                    with m.If(~self.o_ready):
                        m.next = "MODE"
            with m.State("MODE"):
                m.d.comb += [
                    want.eq(~wait[0]),
                    self.o_command.command.eq(SdramCommand.MODE),
                    self.o_command.bank.eq(0),
                    self.o_command.address.eq(timing.mode_register),
                ]
                with m.If(grant):
                    m.d.sync += [wait_for(max(timing.part.mode_cycles, 2)), self.o_ready.eq(1)]
                    m.next = "IDLE"
        return m
