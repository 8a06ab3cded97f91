# SPDX-License-Identifier: Apache-2.0
"""Which benchmarks there are."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from weft.benchmarks import attention, decode, gemm, gemm_on_chip, gemmini, lora, prefill, speed
from weft.benchmarks.result import Progress, Result
from weft.errors import WeftError, shown
from weft.kv_format import KVFormat
from weft.model.shapes import ENCODER_SHAPES, KNOWN_SHAPES

__all__ = ["BENCHMARKS", "Benchmark", "Result", "run_benchmark"]


ALL_MATRICES = ("wq", "wk", "wv", "wo", "w_gate", "w_up", "w_down")
"""The matrices of a layer."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A named piece of work."""

    doc: str
    run: Callable[[Progress], Result | list[Result]]


BENCHMARKS: dict[str, Benchmark] = {
    **{
        name: Benchmark(
            doc=f"decode of the shipped model, {weights}: fraction of the memory bandwidth",
            run=partial(decode.decode_shipped, name, weights, "90 %"),
        )
        for name, weights in (("decode_shipped", "w8"), ("decode_shipped_w4", "w4"))
    },
    **{
        name: Benchmark(
            doc=f"decode step of the stories15M shape at position 255, {weights}: fraction of the "
            "memory bandwidth",
            run=partial(decode.decode_random, name, KNOWN_SHAPES["stories15m"], weights, "97 %"),
        )
        for name, weights in (("decode_15m_w8", "w8"), ("decode_15m_w4", "w4"))
    },
    "decode_batch8": Benchmark(
        doc="a step of 8 sequences of the stories15M shape at position 31: cycles of one of 1",
        run=partial(
            decode.batch_ratio, "decode_batch8", KNOWN_SHAPES["stories15m"], 8, 31, "at most 1.10"
        ),
    ),
    "gemm_256_chip": Benchmark(
        doc="256 x 256 x 256 matrix product on the chip, weights streamed: useful MAC cycles",
        run=partial(gemm_on_chip.gemm_on_chip, "gemm_256_chip"),
    ),
    **{
        name: Benchmark(
            doc=f"{m} x {n} x {k} matrix product from and to DRAM: fraction of the roofline",
            run=partial(gemm.gemm_from_dram, name, (m, n, k), target),
        )
        for name, (m, n, k), target in (
            ("gemm_256_dram", (256, 256, 256), "96 %"),
            ("gemm_1024_dram", (1024, 1024, 1024), "99.5 %"),
            ("gemm_m32", (32, 1024, 1024), "95 %"),
            ("gemm_m64", (64, 1024, 1024), "95 %"),
        )
    },
    **{
        f"attention_{length}": Benchmark(
            doc=f"causal attention of {length} tokens, one head of 64 channels: useful cycles",
            run=partial(attention.attention, f"attention_{length}", length),
        )
        for length in (512, 2048)
    },
    **{
        name: Benchmark(
            doc=f"256 tokens through two layers of the SmolLM2-135M shape, {weights}: useful array "
            "cycles",
            run=partial(
                prefill.prefill_layers,
                name,
                KNOWN_SHAPES["smollm2-135m"],
                weights,
                2,
                256,
                "90 %",
            ),
        )
        for name, weights in (("prefill_smollm2", "w8"), ("prefill_smollm2_w4", "w4"))
    },
    **{
        name: Benchmark(
            doc=f"128 tokens through an encoder of the MiniLM-L6 shape, {weights}: useful array "
            "cycles",
            run=partial(prefill.encode, name, ENCODER_SHAPES["minilm-l6"], weights, 128, "90 %"),
        )
        for name, weights in (("prefill_minilm", "w8"), ("prefill_minilm_w4", "w4"))
    },
    **{
        name: Benchmark(
            doc=f"a decode step of two layers of the SmolLM2-135M shape, {weights}, with a rank 16 "
            f"adapter of {what}: cycles of one without",
            run=partial(
                lora.adapter_ratio,
                name,
                KNOWN_SHAPES["smollm2-135m"],
                weights,
                2,
                matrices,
                16,
                target,
            ),
        )
        for name, weights, what, matrices, target in (
            ("lora", "w8", "queries and values", ("wq", "wv"), "at most 1.05"),
            ("lora_w4", "w4", "queries and values", ("wq", "wv"), "at most 1.05"),
            ("lora_all", "w8", "all matrices", ALL_MATRICES, ""),
        )
    },
    "gemmini": Benchmark(
        doc="matrix products on preset wide: cycles, beside those of Gemmini",
        run=partial(gemmini.gemmini, "gemmini"),
    ),
    **{
        name: Benchmark(
            doc=f"stories260K shape on preset wide, {weights}, {kv}, {work}: cycles",
            run=partial(decode.cycles_260k, name, weights, kv, prompt, target),
        )
        for name, weights, kv, work, prompt, target in (
            ("decode_260k", "w8", KVFormat.K8V8, "a decode step at position 128", 0, "20,000"),
            ("decode_260k_w4", "w4", KVFormat.K8V8, "a decode step at position 128", 0, "20,000"),
            ("decode_260k_k16v8", "w8", KVFormat.K16V8, "a decode step at position 128", 0, ""),
            ("prefill_260k", "w8", KVFormat.K8V8, "64 tokens of prefill", 64, "90,000"),
        )
    },
    "resident": Benchmark(
        doc="a decode step of the stories260K shape at position 128 with all weights on the chip, "
        "preset resident: cycles, and bytes of weights from memory",
        run=partial(decode.resident_260k, "resident"),
    ),
    "simulator": Benchmark(
        doc="simulated cycles per second of the default preset on this machine",
        run=speed.simulator_speed,
    ),
}


def run_benchmark(name: str, progress: Progress) -> list[Result]:
    """Run one, which has one result or more; a `WeftError` lists the names there are."""
    if name not in BENCHMARKS:
        known = ", ".join(BENCHMARKS)
        raise WeftError(f"benchmark {shown(name)} is unknown; there are {known}.")
    found = BENCHMARKS[name].run(progress)
    return found if isinstance(found, list) else [found]
