# SPDX-License-Identifier: Apache-2.0
"""The vector memory: priorities, latency, and what a read sees of the writes around it."""

from __future__ import annotations

from collections import deque

from weft_arch.config import PRESETS
from weft_rtl.interfaces import MEMORY_READ_LATENCY, float_word, vector_write
from weft_rtl.memory.vector_memory import VectorMemory
from weft_sim.bench import Bench, Packer, StreamDriver, bench_test, run_cocotb

CONFIG = PRESETS["tiny"]
WRITERS = ("compute_write", "vector_write", "load_write")
READERS = ("compute_read", "store_read", "vector_read")
DEPTH = CONFIG.vector_memory_words


class Model:
    """The memory as its clients see it, cycle by cycle: reads first, then the write."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        dut = bench.dut
        self.words: dict[int, int] = {}
        self.checked = 0
        self.arriving: deque[tuple[int, str, int]] = deque()
        self.write_payload = Packer(vector_write(CONFIG))
        self.word = Packer(float_word(CONFIG))
        self.read_ports = {
            r: (
                getattr(dut, f"{r}__request__valid"),
                getattr(dut, f"{r}__request__ready"),
                getattr(dut, f"{r}__request__payload"),
                getattr(dut, f"{r}__valid"),
                getattr(dut, f"{r}__data"),
            )
            for r in READERS
        }
        self.write_ports = {
            w: tuple(getattr(dut, f"{w}__{part}") for part in ("valid", "ready", "payload"))
            for w in WRITERS
        }
        bench.add_agent(self._at_edge)

    def _at_edge(self) -> None:
        cycle = self.bench.cycle
        arriving = None
        if self.arriving and self.arriving[0][0] == cycle:
            arriving = self.arriving.popleft()
        wanted_ready = True
        for name, (valid, ready, payload, arrived, value) in self.read_ports.items():
            expect_data = arriving is not None and arriving[1] == name
            assert int(arrived.value) == expect_data, f"{name} valid in cycle {cycle}"
            if arriving is not None and expect_data:
                assert int(value.value) == arriving[2], f"{name} in cycle {cycle}"
                self.checked += 1
            assert int(ready.value) == wanted_ready, f"{name} ready in cycle {cycle}"
            if int(valid.value) and wanted_ready:
                address = int(payload.value) % DEPTH
                due = cycle + MEMORY_READ_LATENCY
                self.arriving.append((due, name, self.words.get(address, 0)))
            wanted_ready = wanted_ready and not int(valid.value)
        wanted_ready = True
        for name, (valid, ready, payload) in self.write_ports.items():
            assert int(ready.value) == wanted_ready, f"{name} ready in cycle {cycle}"
            if int(valid.value) and wanted_ready:
                write = self.write_payload.unpack(int(payload.value))
                self.words[write["address"] % DEPTH] = self.word.pack(write["data"])
            wanted_ready = wanted_ready and not int(valid.value)


@bench_test(deadline_cycles=20_000)
async def keeps_words(bench: Bench) -> None:
    rng = bench.random
    stalls = dict(zip(READERS + WRITERS, (0.7, 0.5, 0.3, 0.7, 0.5, 0.3), strict=True))
    readers = [StreamDriver(bench, f"{r}__request", 14, stall=stalls[r]) for r in READERS]
    writers = [StreamDriver(bench, w, vector_write(CONFIG), stall=stalls[w]) for w in WRITERS]
    model = Model(bench)
    # few addresses, so that reads and writes meet; all bits of an address, which wraps
    hot = [rng.randrange(1 << 14) for _ in range(12)] + [0, DEPTH - 1]
    count = 1500
    for reader in readers:
        reader.send_all(rng.choice(hot) for _ in range(count))
    for writer in writers:
        writer.send_all(
            {
                "address": rng.choice(hot),
                "data": [rng.getrandbits(24) for _ in range(CONFIG.lanes)],
            }
            for _ in range(count)
        )
    for agent in (*readers, *writers):
        await agent.drained()
    await bench.cycles(4)
    assert model.checked == 3 * count


def test_vector_memory() -> None:
    run_cocotb(VectorMemory(CONFIG), __file__, tests="keeps_words")
