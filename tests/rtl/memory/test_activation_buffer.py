# SPDX-License-Identifier: Apache-2.0
"""The activation buffer: priority of its writers, latency of its reader."""

from __future__ import annotations

from collections import deque

from weft_arch.config import PRESETS
from weft_rtl.interfaces import MEMORY_READ_LATENCY, activation_block, activation_write
from weft_rtl.memory.activation_buffer import ActivationBuffer
from weft_sim.bench import Bench, Packer, StreamDriver, bench_test, run_cocotb

CONFIG = PRESETS["tiny"]
DEPTH = CONFIG.activation_blocks


@bench_test(deadline_cycles=20_000)
async def keeps_blocks(bench: Bench) -> None:
    rng, dut = bench.random, bench.dut
    shape = activation_write(CONFIG)
    softmax = StreamDriver(bench, "softmax_write", shape, stall=0.6)
    vector = StreamDriver(bench, "vector_write", shape, stall=0.3)
    write_payload, block = Packer(shape), Packer(activation_block(CONFIG))
    hot = [rng.randrange(1 << 14) for _ in range(8)] + [0, DEPTH - 1]
    blocks: dict[int, int] = {}
    arriving: deque[tuple[int, int]] = deque()
    reads = 0
    request = (0, 0)
    dut.array_read__request.value = 0

    def edge() -> None:
        nonlocal reads, request
        due = bool(arriving) and arriving[0][0] == bench.cycle
        assert int(dut.array_read__valid.value) == due
        if due:
            assert int(dut.array_read__data.value) == arriving.popleft()[1]
            reads += 1
        if request[0]:
            value = blocks.get(request[1] % DEPTH, 0)
            arriving.append((bench.cycle + MEMORY_READ_LATENCY, value))
        first, second = int(dut.softmax_write__valid.value), int(dut.vector_write__valid.value)
        assert int(dut.vector_write__ready.value) == (not first)
        if first or second:
            port = dut.softmax_write__payload if first else dut.vector_write__payload
            write = write_payload.unpack(int(port.value))
            blocks[write["address"] % DEPTH] = block.pack(write["block"])
        request = (int(rng.random() < 0.7), rng.choice(hot))
        dut.array_read__request.value = request[0]
        dut.array_read__address.value = request[1]

    bench.add_agent(edge)
    limit = 1 << (CONFIG.activation_bits - 1)
    for driver in (softmax, vector):
        driver.send_all(
            {
                "address": rng.choice(hot),
                "block": {
                    "codes": [rng.randrange(-limit, limit) for _ in range(32)],
                    "exponent": rng.randrange(-128, 128),
                },
            }
            for _ in range(800)
        )
    await softmax.drained()
    await vector.drained()
    await bench.cycles(10)
    assert reads > 800


def test_activation_buffer() -> None:
    run_cocotb(ActivationBuffer(CONFIG), __file__, tests="keeps_blocks")
