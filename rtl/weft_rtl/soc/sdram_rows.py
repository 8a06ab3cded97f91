# SPDX-License-Identifier: Apache-2.0
"""Opens and closes rows, refreshes, and wakes the SDRAM up."""

from functools import reduce
from operator import or_
from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.one_hot import OneHotStates
from weft_rtl.soc.sdram_interfaces import SdramCommand, command_word, segment, split_address
from weft_rtl.soc.sdram_refresh import RefreshTimer
from weft_rtl.soc.sdram_timing import SdramTiming

__all__ = ["RowEngine"]

_ALL_BANKS = 1 << 10
_TIMER_DELAY = 5
"""Least cycles from one REFRESH to the next: when the refresh timer knows of the first."""


class RowEngine(wiring.Component):
    """Prepares the next segment's row while the present segment's columns move.

    One segment at a time: is its row open, and if not, PRECHARGE and ACTIVATE; then it waits for
    the column engine. From a segment's arrival to its handover are at least 5 cycles, and one more
    to the next arrival. Rows stay open until another row of the bank is wanted or a refresh is.
    Refreshes are done between segments: when none waits, or all that are due when they become
    urgent.

    A command is first asked for and goes ahead in the next cycle without ``i_column``, so the
    column engine never waits for this one. All that is looked at is a register's.

    Members
    -------
    i : stream of `segment`, In
    o : stream of `segment`, Out
        To the column engine; its row is open. Registered.
    i_column : In(1)
        The column engine decides on a command.
    i_column_issued, i_column_write : In(1)
        It did so the cycle before, in bank ``i_bank``, and it was a WRITE.
    i_busy : In(1)
        The column engine has a segment, in bank ``i_bank``.
    i_bank : In(2)
    o_issued : Out(1)
        ``o_command`` goes out. Never together with the column engine's. Registered.
    o_command : Out(`command_word`)
        Registered.
    o_ready : Out(1)
        The SDRAM is initialised. Registered.
    """

    i: stream.Interface
    o: stream.Interface
    i_column: Signal
    i_column_issued: Signal
    i_column_write: Signal
    i_busy: Signal
    i_bank: Signal
    o_issued: Signal
    o_command: Any
    o_ready: Signal

    def __init__(self, timing: SdramTiming) -> None:
        self._timing = timing
        super().__init__(
            {
                "i": In(stream.Signature(segment(timing))),
                "o": Out(stream.Signature(segment(timing))),
                "i_column": In(1),
                "i_column_issued": In(1),
                "i_column_write": In(1),
                "i_busy": In(1),
                "i_bank": In(2),
                "o_issued": Out(1),
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
        m.submodules.rows = rows = memory.Memory(shape=place.row.shape(), depth=banks, init=[])
        open_row, opened_row = rows.read_port(domain="comb"), rows.write_port()
        row = Signal(place.row.shape())
        is_open, hit = Signal(), Signal()

        # Timers are shift registers of ones that run out: bit 0 is 1 while there is to wait.
        longest = max(timing.refresh_cycles, timing.activate_to_column_cycles, _TIMER_DELAY)
        wait = Signal(longest)

        def ones(cycles: int) -> int:
            """For a timer that starts with `o_issued` and is looked at two cycles before what it
            holds off."""
            return (1 << max(cycles, 3) - 3) - 1

        states = OneHotStates(
            "POWER_UP",
            "IDLE",
            "LOOK",
            "COMPARE",
            "DECIDE",
            "CLOSE",
            "ACTIVATE",
            "OPENED",
            "DRAIN",
            "REFRESH",
            "MODE",
        )
        asks, grant = Signal(), Signal()
        activated, offered, handover, take = Signal(), Signal(), Signal(), Signal()
        # What is granted is known late: all but the command itself follows a cycle later.
        done = self.o_issued
        m.d.comb += [
            grant.eq(asks & ~self.i_column),
            activated.eq(done & states["ACTIVATE"]),
            self.o.valid.eq(offered),
            self.o.payload.eq(held),
            handover.eq(offered & self.o.ready),
            self.i.ready.eq(states["IDLE"] & ~refresh.o_urgent),
            take.eq(self.i.valid & self.i.ready),
        ]
        with m.If(take):
            m.d.sync += held.eq(self.i.payload)

        # Before PRECHARGE, for each bank. A timer starts a cycle after its command, and what it
        # holds off is asked for two cycles after it has run out: four in all.
        words = timing.burst_words
        after_read = max(words - 4, 0)
        after_write = max(words + timing.write_recovery_cycles - 5, 0)
        after_activate = max(timing.row_active_cycles - 4, 0)
        mask_bits = max(after_read, after_write, after_activate, 1)
        busy = [Signal(mask_bits, name=f"busy_{b}") for b in range(banks)]
        for b in range(banks):
            column_here = self.i_column_issued & (self.i_bank == b)
            mask = Mux(self.i_column_write, (1 << after_write) - 1, (1 << after_read) - 1)
            m.d.sync += busy[b].eq(
                busy[b] >> 1
                | Mux(column_here, mask, 0)
                | Mux(activated & (place.bank == b), (1 << after_activate) - 1, 0)
            )
        in_use, bank_busy, quiet = Signal(), Signal(), Signal()
        columns_move = self.i_busy | self.i_column_issued
        m.d.sync += [
            in_use.eq(columns_move & (self.i_bank == place.bank)),
            bank_busy.eq(Array(timer[0] for timer in busy)[place.bank]),
            quiet.eq(~columns_move & ~Cat(timer[0] for timer in busy).any()),
        ]

        # A row that is open, a cycle after its ACTIVATE. DRAIN closes all.
        m.d.comb += [
            open_row.addr.eq(place.bank),
            opened_row.addr.eq(place.bank),
            opened_row.data.eq(place.row),
            opened_row.en.eq(activated),
        ]
        with m.If(activated):
            m.d.sync += open_banks.bit_select(place.bank, 1).eq(1)
        with m.If(states["REFRESH"]):
            m.d.sync += open_banks.eq(0)
        m.d.sync += [
            row.eq(open_row.data),
            is_open.eq(open_banks.bit_select(place.bank, 1)),
            hit.eq(row == place.row),
        ]

        # What is asked for stays right until it is granted.
        may_ask = (
            states["ACTIVATE"]
            | states["MODE"]
            | (states["CLOSE"] & ~in_use & ~bank_busy)
            | (states["DRAIN"] & quiet)
            | (states["REFRESH"] & refresh.o_any)
        )
        m.d.sync += [
            asks.eq(may_ask & ~wait[0] & ~grant & ~done),
            offered.eq(states["OPENED"] & ~wait[0] & ~handover),
        ]
        waits = {
            "CLOSE": timing.precharge_cycles,
            # The column engine can issue in the cycle after the handover.
            "ACTIVATE": timing.activate_to_column_cycles - 1,
            "DRAIN": timing.precharge_cycles,
            # As long as the timer's flag is late, too.
            "REFRESH": max(timing.refresh_cycles, _TIMER_DELAY),
            "MODE": timing.part.mode_cycles,
        }
        starts = [Mux(done & states[name], ones(cycles), 0) for name, cycles in waits.items()]
        m.d.sync += wait.eq(reduce(or_, starts, wait >> 1))

        states.move("POWER_UP", "DRAIN", refresh.o_powered_up)
        states.move("IDLE", "LOOK", take)
        states.move("IDLE", "DRAIN", refresh.o_urgent | (refresh.o_any & ~self.i.valid))
        states.move("LOOK", "COMPARE")
        states.move("COMPARE", "DECIDE")
        states.move("DECIDE", "ACTIVATE", ~is_open)
        states.move("DECIDE", "OPENED", is_open & hit)
        states.move("DECIDE", "CLOSE", is_open & ~hit)
        states.move("CLOSE", "ACTIVATE", done)
        states.move("ACTIVATE", "OPENED", done)
        states.move("OPENED", "IDLE", handover)
        # Refresh: all banks closed, then one REFRESH after the other.
        states.move("DRAIN", "REFRESH", done)
        refreshed = ~wait[0] & ~refresh.o_any
        states.move("REFRESH", "IDLE", refreshed & self.o_ready)
        states.move("REFRESH", "MODE", refreshed & ~self.o_ready)
        states.move("MODE", "IDLE", done)
        states.build(m)
        m.d.comb += refresh.i_done.eq(done & states["REFRESH"])
        with m.If(states["MODE"] & asks):
            m.d.sync += self.o_ready.eq(1)

        commands = {
            "CLOSE": (SdramCommand.PRECHARGE.value, 0),
            "ACTIVATE": (SdramCommand.ACTIVATE.value, place.row),
            "DRAIN": (SdramCommand.PRECHARGE.value, _ALL_BANKS),
            "REFRESH": (SdramCommand.REFRESH.value, 0),
            "MODE": (SdramCommand.MODE.value, timing.mode_register),
        }
        m.d.sync += [self.o_issued.eq(grant), self.o_command.bank.eq(place.bank)]
        for field, part in ((self.o_command.command, 0), (self.o_command.address, 1)):
            chosen = (Mux(states[name], c[part], 0) for name, c in commands.items())
            m.d.sync += field.eq(reduce(or_, chosen))
        with m.If(states["MODE"]):
            m.d.sync += self.o_command.bank.eq(0)
        return m
