# SPDX-License-Identifier: Apache-2.0
"""Reference machines in random states, beside their direct transcription."""

import dataclasses

import numpy as np

from tests.reference.direct import Direct
from weft_arch import float24, isa
from weft_arch.config import Configuration, preset
from weft_sim.reference.machine import Machine
from weft_sim.reference.state import MachineState, Memory

__all__ = ["CONFIGS", "Pair", "random_floats"]

MEMORY_BYTES = 1 << 16
CONFIGS: list[Configuration] = [
    dataclasses.replace(preset("tiny"), vector_memory_words=256, activation_blocks=64),
    dataclasses.replace(preset("default"), vector_memory_words=256, activation_blocks=64),
    dataclasses.replace(
        preset("default"),
        array_cols=16,
        beat_bytes=16,
        activation_bits=12,
        vector_memory_words=256,
        activation_blocks=64,
    ),
]


def random_floats(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """F24 values: mostly ordinary, some zero, some near both ends of the range."""
    x = rng.normal(size=shape) * 2.0 ** rng.integers(-8, 8, shape)
    kind = rng.random(shape)
    x[kind < 0.1] = 0
    x = np.where(kind > 0.97, x * 2.0**120, x)
    x = np.where((kind > 0.94) & (kind < 0.97), x * 2.0**-120, x)
    return float24.round_to_f24(x)


class Pair:
    """A reference machine and its transcription, which run the same instructions."""

    def __init__(self, config: Configuration, seed: int) -> None:
        rng = self.rng = np.random.default_rng(seed)
        self.config = config
        data = rng.integers(0, 256, MEMORY_BYTES).astype(np.uint8)
        memory = Memory(data, 0, config.beat_bytes)
        memory.region = memory.write_region = (0, MEMORY_BYTES)
        self.state = state = MachineState(config, memory)
        state.vectors[:] = random_floats(rng, state.vectors.shape)
        state.row_scalars[:] = random_floats(rng, state.row_scalars.shape)
        limit = (1 << config.activation_bits - 1) - 1
        state.codes[:] = rng.integers(-limit, limit + 1, state.codes.shape)
        state.exponents[:] = rng.integers(-20, 5, state.exponents.shape)
        state.codebook = rng.integers(-128, 128, 16).astype(np.int8)
        self.machine = Machine(state)
        self.direct = Direct(state)

    def write(self, address: int, raw: np.ndarray | np.generic) -> None:
        """Bytes into both memories."""
        data = np.ascontiguousarray(raw).reshape(-1).view(np.uint8)
        self.state.memory.data[address : address + data.size] = data
        self.direct.memory[address : address + data.size] = data

    def run(self, *program: isa.Instruction, **scalars: int) -> None:
        """Run instructions with ``s1=...`` in the scalar registers, and compare everything."""
        for name, value in scalars.items():
            self.state.scalars[int(name[1:])] = value
        run = self.machine._run
        before = dict(run)
        for opcode, function in before.items():

            def both(state: MachineState, op, function=function) -> None:
                self.direct.run(op)
                function(state, op)

            run[opcode] = both
        self.machine.run([*program, isa.Halt()])
        run.update(before)
        self.compare()

    def compare(self) -> None:
        """Every bit of both states is the same."""
        state, direct = self.state, self.direct
        np.testing.assert_array_equal(state.vectors.astype(np.float32), direct.vectors)
        assert not np.signbit(state.vectors[state.vectors == 0]).any()
        np.testing.assert_array_equal(state.row_scalars.astype(np.float32), direct.row_scalars)
        np.testing.assert_array_equal(state.codes, direct.codes)
        np.testing.assert_array_equal(state.exponents, direct.exponents)
        np.testing.assert_array_equal(state.memory.data, direct.memory)
        assert state.top_k == direct.top_k
        assert len(state.groups) == len(direct.groups)
