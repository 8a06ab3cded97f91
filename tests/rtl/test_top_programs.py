# SPDX-License-Identifier: Apache-2.0
"""Programs of all engines on the whole accelerator, against the reference."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from weft_arch import float24, isa
from weft_arch.config import preset
from weft_arch.isa import (
    InitMode,
    OperandB,
    ReduceOp,
    ReducePost,
    VectorDestination,
    VectorOp,
    WeightFormat,
)
from weft_arch.layouts import KVLayout
from weft_arch.registers import Status
from weft_sim.bench import Bench, bench_test, run_cocotb
from weft_sim.top_bench import (
    ProgramBuilder,
    TopDevice,
)


@bench_test(deadline_cycles=100_000)
async def computes_vectors(bench: Bench) -> None:
    device = TopDevice(bench)
    await device.prepare()
    rng = np.random.default_rng(bench.seed)
    for round_ in range(3):
        w = ProgramBuilder(device.config, rng)
        words = int(rng.integers(1, 9))
        rows, values = int(rng.integers(1, 9)), words * device.config.lanes
        w.load(rows, values, 0)
        w.load(rows, values, 512)
        strides = {"a_outer": words, "b_outer": words, "d_outer": words}
        w.add(
            isa.Vector(
                operation=VectorOp(1 + round_), count=rows, words=words, b=512, d=1024, **strides
            )
        )
        w.add(
            isa.Reduce(
                operation=ReduceOp.SUM_SQUARES,
                post=ReducePost.RSQRT,
                count=rows,
                words=words,
                a=1024,
                a_outer=words,
                d_outer=1,
                address=int(float24.encode(1 / values)),
                offset=int(float24.encode(1e-5)),
            )
        )
        w.add(
            isa.Vector(
                operation=VectorOp.MUL,
                operand_b=OperandB.ROW_SCALAR,
                count=rows,
                words=words,
                a=1024,
                d=1536,
                a_outer=words,
                b_outer=1,
                d_outer=words,
            )
        )
        w.store(rows, values, 1536)
        w.store(rows, values, 1024)
        await w.compare(device)


@bench_test(deadline_cycles=100_000)
async def multiplies(bench: Bench) -> None:
    """Quantise, stream weights, multiply, store: both formats, residual, top-k."""
    device = TopDevice(bench)
    await device.prepare()
    config = device.config
    rng = np.random.default_rng(bench.seed)
    for bits, accumulates in ((8, False), (4, False), (8, True), (4, True)):
        w = ProgramBuilder(config, rng)
        rows = int(rng.integers(1, config.max_rows + 1))
        k_blocks, n_tiles = int(rng.integers(1, 4)), int(rng.integers(1, 7))
        outputs = n_tiles * config.array_cols
        w.load(rows, 32 * k_blocks, 0)
        w.load(rows, outputs, 1024)
        w.quantize(rows, 32 * k_blocks, 0, 5)
        if bits == 4:
            entries = rng.integers(-127, 128, 16).astype(np.int8).tobytes()
            w.add(
                isa.Codebook(
                    entries_low=int.from_bytes(entries[:8], "little"),
                    entries_high=int.from_bytes(entries[8:], "little"),
                )
            )
        matmul = isa.Matmul(
            format=WeightFormat.W4 if bits == 4 else WeightFormat.W8,
            address=5,
            count=rows,
            activation_stride=k_blocks,
            k_blocks=k_blocks,
            n_tiles=n_tiles,
            init=InitMode.VECTOR_MEMORY if accumulates else InitMode.ZERO,
            initial=1024,
            initial_stride=n_tiles,
            destination=1024,
            destination_stride=n_tiles,
        )
        w.add(matmul)
        w.store(rows, outputs, 1024)
        w.add(
            dataclasses.replace(
                matmul,
                count=1,
                to_vector_memory=0,
                init=InitMode.ZERO,
                to_top_k=1,
                clear_top_k=1,
                top_k_base=3,
                top_k_limit=outputs - 1,
            )
        )
        w.add(isa.StoreTopK(address=w.room(8 * config.top_k_entries)))
        w.weights(n_tiles, k_blocks, bits)
        w.weights(n_tiles, k_blocks, bits)
        await w.compare(device)
        assert await device.read("STATUS") == Status.DONE


@bench_test(deadline_cycles=200_000)
async def attends(bench: Bench) -> None:
    """Keys and values to memory, and attention over them."""
    device = TopDevice(bench)
    await device.prepare()
    config = device.config
    rng = np.random.default_rng(bench.seed)
    for k_blocks, keys, causal, wide_keys in (
        (1, 40, 1, 0),
        (2, 70, 0, 0),
        (1, 32, 1, 0),
        (1, 37, 1, 1),
        (2, 66, 0, 1),
    ):
        w = ProgramBuilder(config, rng)
        channels = 32 * k_blocks
        words = channels // config.lanes
        layout = KVLayout(config, k_blocks, bool(wide_keys))
        slot = w.room(layout.slot_bytes(keys))
        for values in (0, 1):
            w.load(keys, channels, 0)
            w.add(
                isa.Vector(
                    operation=VectorOp.COPY,
                    to=VectorDestination.VALUES if values else VectorDestination.KEYS,
                    count=keys,
                    words=words,
                    a_outer=words,
                    group_words=words if values else config.words_per_block,
                    wide_keys=wide_keys,
                )
            )
            # The groups go straight to the store unit, so the two instructions run at once.
            w.add(
                isa.StoreKV(
                    address=slot,
                    count=keys,
                    values=values,
                    k_blocks=k_blocks,
                    slots=1,
                    wide_keys=wide_keys,
                ),
                waits=False,
            )
        rows = min(6, config.max_rows)
        # The weight buffer cannot hold it all, so nothing may wait for its end.
        w.add(
            isa.StreamKV(address=slot, count=keys, k_blocks=k_blocks, wide_keys=wide_keys),
            aside=True,
        )
        w.load(rows, channels, 0, scale=3.0)
        w.quantize(rows, channels, 0, 7)
        w.add(
            isa.Attend(
                address=7,
                count=rows,
                aux_a_reg=1,
                aux_b_reg=2,
                activation_stride=k_blocks,
                k_blocks=k_blocks,
                rows_per_position=2,
                causal=causal,
                probabilities=100,
                destination=1024,
                destination_stride=words,
                row_scalar=9,
                wide_keys=wide_keys,
            )
        )
        w.add(
            isa.Vector(
                operation=VectorOp.MUL,
                operand_b=OperandB.ROW_SCALAR,
                count=rows,
                words=words,
                a=1024,
                a_outer=words,
                b=9,
                b_outer=1,
                d=1536,
                d_outer=words,
            )
        )
        w.store(rows, channels, 1536)
        await device.write("SCALAR_1", keys - 3)
        await device.write("SCALAR_2", keys)
        await w.compare(device)


@pytest.fixture(scope="module")
def verilog() -> dict[str, str]:
    from weft_rtl.top import generate_verilog

    return {name: generate_verilog(preset(name)) for name in ("tiny",)}


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize(
    "name",
    [
        "computes_vectors",
        "multiplies",
        "attends",
    ],
)
def test_programs(name: str, stall: float, verilog: dict[str, str]) -> None:
    parameters = {"preset": "tiny", "stall": stall}
    run_cocotb(verilog["tiny"], __file__, name="weft_top", tests=name, parameters=parameters)
