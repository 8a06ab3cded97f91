# SPDX-License-Identifier: Apache-2.0
"""Several AXI4 managers on one memory: the accelerator first, nobody for ever last."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_rtl.dma.axi import axi4_signature

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

    Latency: an address takes one cycle, data and answers none. Throughput: an address every other
    cycle, a beat per cycle. At most 32 bursts of each direction are outstanding.

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
        memory = self.memory
        managers = [getattr(self, name) for name in MANAGERS]

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
        for name, begun, queue in (("reads", reads, asked), ("writes", writes, issued)):
            outstanding = Signal(range(_OUTSTANDING + 2), name=f"outstanding_{name}")
            ended = queue.r_en & (queue.r_data == 0)
            m.d.sync += outstanding.eq(outstanding + begun - ended)
            quiet.append((outstanding == 0) & ~begun)
        m.d.sync += self.o_quiet.eq(Cat(quiet).all())
        return m

    def _addresses(
        self, m: Module, managers: list[Any], channel: str, queues: list[SyncFIFOBuffered]
    ) -> Value:
        """Choose a manager whenever the register to the memory is empty, and note it; whether it
        is the accelerator."""
        memory = self.memory
        valid = getattr(memory, f"{channel}valid")
        asking = Signal(len(managers), name=f"{channel}_asking")
        allowed = Cat(~self.i_hold, 1, 1)
        owner = Signal(2, name=f"{channel}_owner")
        go = Signal(name=f"{channel}_go")
        passed = Signal(range(PATIENCE_BURSTS + 1), name=f"{channel}_passed")
        link_next = Signal(name=f"{channel}_link_next")
        others = asking[1:].any()
        m.d.comb += [
            asking.eq(Cat(getattr(manager, f"{channel}valid") for manager in managers) & allowed),
            go.eq(~valid & queues[0].w_rdy & asking.any()),
        ]
        with m.If(~asking[0] | (others & (passed == PATIENCE_BURSTS))):
            m.d.comb += owner.eq(Mux(asking[2] & (link_next | ~asking[1]), 2, 1))
        with m.If(valid & getattr(memory, f"{channel}ready")):
            m.d.sync += valid.eq(0)
        with m.If(go):
            m.d.sync += valid.eq(1)
            with m.If(owner == 0):
                m.d.sync += passed.eq(Mux(others, passed + 1, 0))
            with m.Else():
                m.d.sync += [passed.eq(0), link_next.eq(owner == 1)]
        for queue in queues:
            m.d.comb += [queue.w_data.eq(owner), queue.w_en.eq(go)]
        for index, manager in enumerate(managers):
            mine = go & (owner == index)
            m.d.comb += getattr(manager, f"{channel}ready").eq(mine)
            with m.If(mine):
                m.d.sync += [f.eq(getattr(manager, n)) for n, f in _payload(memory, channel)]
        return go & (owner == 0)

    def _answers(
        self, m: Module, managers: list[Any], channel: str, owners: SyncFIFOBuffered
    ) -> None:
        """Give what comes to the owner of the oldest burst."""
        memory = self.memory
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
