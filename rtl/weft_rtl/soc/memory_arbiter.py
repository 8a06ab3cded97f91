# SPDX-License-Identifier: Apache-2.0
"""Several AXI4 managers on one memory: the accelerator first, nobody for ever last."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_rtl.dma.axi import axi4_signature
from weft_rtl.register_slice import RegisterSlice

__all__ = ["MANAGERS", "PATIENCE_BURSTS", "MemoryArbiter"]

MANAGERS = ("accelerator", "cpu", "link")
PATIENCE_BURSTS = 8
"""Bursts of the accelerator that another manager waits for at most, in each direction."""
_OUTSTANDING = 32


class MemoryArbiter(wiring.Component):
    """Joins `MANAGERS` to one memory that answers in order.

    Reads and writes are arbitrated apart. Bursts stay whole: the data of a burst are not mixed with
    another's. The accelerator comes first, so that its stream keeps its order at the memory; CPU
    and link, who issue one burst at a time, wait for at most `PATIENCE_BURSTS` of its bursts and
    then take turns. IDs pass through; answers go back by the order of the addresses.

    Latency: an address takes 2 cycles, a beat of data one, an answer to a write none. Throughput:
    an address every third cycle, a beat per cycle. At most 32 bursts of each direction are
    outstanding. Addresses and data end all paths here, for the managers are far apart.

    Members
    -------
    accelerator, cpu, link : AXI4 manager's signature, flipped
    memory : AXI4 manager's signature
    i_hold : In(1)
        Take no address from the accelerator.
    o_quiet : Out(1)
        Nothing of the accelerator's is outstanding; while ``i_hold`` is up, it stays so.
    """

    accelerator: Any
    cpu: Any
    link: Any
    memory: Any
    i_hold: Signal
    o_quiet: Signal

    def __init__(self, config: Configuration) -> None:
        signature = axi4_signature(config)
        self._memory: Any = signature.create(path=("inner",))
        super().__init__(
            {
                **dict.fromkeys(MANAGERS, In(signature)),
                "memory": Out(signature),
                "i_hold": In(1),
                "o_quiet": Out(1, init=1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        managers = [getattr(self, name) for name in MANAGERS]
        # The memory as the rest of this sees it: data pass through registers.
        memory = self._memory
        for name, member in memory.signature.members.items():
            inner, outer = getattr(memory, name), getattr(self.memory, name)
            if not name.startswith(("w", "r")):
                m.d.comb += outer.eq(inner) if member.flow is Out else inner.eq(outer)
        self._slice(m, "w", memory, self.memory)
        self._slice(m, "r", self.memory, memory)

        asked = m.submodules.read_owners = SyncFIFOBuffered(width=2, depth=_OUTSTANDING)
        reads = self._addresses(m, managers, "ar", [asked])
        self._answers(m, managers, "r", asked)
        m.d.comb += asked.r_en.eq(memory.rvalid & memory.rready & memory.rlast)

        # What has no data yet has no answer either, so the second queue is never the fuller one.
        issued = m.submodules.write_owners = SyncFIFOBuffered(width=2, depth=_OUTSTANDING)
        sending = m.submodules.data_owners = SyncFIFOBuffered(width=2, depth=_OUTSTANDING)
        writes = self._addresses(m, managers, "aw", [issued, sending])
        self._answers(m, managers, "b", issued)
        m.d.comb += [
            issued.r_en.eq(memory.bvalid & memory.bready),
            sending.r_en.eq(memory.wvalid & memory.wready & memory.wlast),
        ]
        for index, manager in enumerate(managers):
            with m.If(sending.r_rdy & (sending.r_data == index)):
                m.d.comb += [manager.wready.eq(memory.wready), memory.wvalid.eq(manager.wvalid)]
                m.d.comb += [f.eq(getattr(manager, n)) for n, f in _payload(memory, "w")]

        quiet = []
        for name, (chosen, begun), queue in (("reads", reads, asked), ("writes", writes, issued)):
            outstanding = Signal(range(_OUTSTANDING + 2), name=f"outstanding_{name}")
            ended = queue.r_en & (queue.r_data == 0)
            m.d.sync += outstanding.eq(outstanding + begun - ended)
            quiet.append((outstanding == 0) & ~chosen & ~begun)
        m.d.sync += self.o_quiet.eq(Cat(quiet).all())
        return m

    @staticmethod
    def _slice(m: Module, channel: str, source: Any, sink: Any) -> None:
        """Join the data channel of two interfaces by a register."""
        fields = _payload(source, channel)
        given = Cat(getattr(sink, name) for name, _ in fields)
        m.submodules[f"{channel}_slice"] = part = RegisterSlice(len(given))
        m.d.comb += [
            part.i.payload.eq(Cat(field for _, field in fields)),
            part.i.valid.eq(getattr(source, f"{channel}valid")),
            getattr(source, f"{channel}ready").eq(part.i.ready),
            given.eq(part.o.payload),
            getattr(sink, f"{channel}valid").eq(part.o.valid),
            part.o.ready.eq(getattr(sink, f"{channel}ready")),
        ]

    def _addresses(
        self, m: Module, managers: list[Any], channel: str, queues: list[SyncFIFOBuffered]
    ) -> tuple[Value, Value]:
        """Choose a manager whenever the register to the memory is empty, take its address a cycle
        later, and note it; whether the accelerator's is being chosen, and whether it is being
        taken."""
        memory = self._memory
        valid = getattr(memory, f"{channel}valid")
        asking = Signal(len(managers), name=f"{channel}_asking")
        allowed = Cat(~self.i_hold, 1, 1)
        owner = Signal(2, name=f"{channel}_owner")
        taking = Signal(len(managers), name=f"{channel}_taking")  # one-hot
        choose = Signal(name=f"{channel}_choose")
        passed = Signal(range(PATIENCE_BURSTS + 1), name=f"{channel}_passed")
        link_next = Signal(name=f"{channel}_link_next")
        others = asking[1:].any()
        m.d.comb += [
            asking.eq(Cat(getattr(manager, f"{channel}valid") for manager in managers) & allowed),
            choose.eq(~valid & ~taking.any() & queues[0].w_rdy & asking.any()),
        ]
        with m.If(~asking[0] | (others & (passed == PATIENCE_BURSTS))):
            m.d.comb += owner.eq(Mux(asking[2] & (link_next | ~asking[1]), 2, 1))
        m.d.sync += taking.eq(choose << owner)
        with m.If(valid & getattr(memory, f"{channel}ready")):
            m.d.sync += valid.eq(0)
        with m.If(taking.any()):
            m.d.sync += valid.eq(1)
        with m.If(choose):
            with m.If(owner == 0):
                m.d.sync += passed.eq(Mux(others, passed + 1, 0))
            with m.Else():
                m.d.sync += [passed.eq(0), link_next.eq(owner == 1)]
        for queue in queues:
            m.d.comb += [queue.w_data.eq(owner), queue.w_en.eq(choose)]
        for index, manager in enumerate(managers):
            # Valid holds until it is taken, so what was chosen is still there.
            m.d.comb += getattr(manager, f"{channel}ready").eq(taking[index])
            with m.If(taking[index]):
                m.d.sync += [f.eq(getattr(manager, n)) for n, f in _payload(memory, channel)]
        return choose & (owner == 0), taking[0]

    def _answers(
        self, m: Module, managers: list[Any], channel: str, owners: SyncFIFOBuffered
    ) -> None:
        """Give what comes to the owner of the oldest burst."""
        memory = self._memory
        for index, manager in enumerate(managers):
            mine = owners.r_rdy & (owners.r_data == index)
            valid = getattr(memory, f"{channel}valid")
            m.d.comb += getattr(manager, f"{channel}valid").eq(mine & valid)
            m.d.comb += [getattr(manager, n).eq(f) for n, f in _payload(memory, channel)]
            with m.If(mine):
                ready = getattr(manager, f"{channel}ready")
                m.d.comb += getattr(memory, f"{channel}ready").eq(ready)


def _payload(bus: Any, channel: str) -> list[tuple[str, Signal]]:
    """Names and signals of a channel without its handshake."""
    names = [n for n in bus.signature.members if n.startswith(channel)]
    return [(n, getattr(bus, n)) for n in names if not n.endswith(("valid", "ready"))]
