# SPDX-License-Identifier: Apache-2.0
"""Weights that stay on the chip: kept once, replayed as often as wanted."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.machines import CONFIGS, Pair
from weft_arch import isa
from weft_arch.config import Configuration
from weft_arch.isa import Resident, StreamWeights, WeightFormat
from weft_arch.registers import Fault
from weft_sim.reference import ReferenceDevice
from weft_sim.reference.machine import TokenDeadlock
from weft_sim.reference.state import ProgramFault

RESIDENT = [dataclasses.replace(c, resident_bytes=64 * 16 * c.array_cols) for c in CONFIGS]
PLACES = 64
KEEP, REPLAY = Resident.KEEP, Resident.REPLAY


def product(tiles: int, form: WeightFormat) -> isa.Instruction:
    """A MATMUL of one row that takes so many tiles."""
    return isa.Matmul(format=form, count=1, k_blocks=1, n_tiles=tiles, destination=100)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(RESIDENT), st.integers(0, 1 << 30), st.data())
def test_kept_tiles_come_back(config: Configuration, seed: int, data: st.DataObject) -> None:
    """Both formats, any places, between streams from memory, again after memory has changed."""
    pair, draw = Pair(config, seed), data.draw
    form = draw(st.sampled_from(WeightFormat))
    step = 2 if form == WeightFormat.W8 else 1
    tiles = draw(st.integers(1, 9))
    first = draw(st.integers(0, PLACES - tiles * step))
    skipped = draw(st.integers(0, tiles - 1))
    left = tiles - skipped
    keep = StreamWeights(address=4096, count=tiles, format=form, resident=KEEP, aux_a_reg=3)
    replay = StreamWeights(
        address_reg=4, address=skipped * step, count=left, format=form, resident=REPLAY
    )
    fetched = StreamWeights(address=256, count=2, format=form)
    pair.run(keep, fetched, replay, replay, product(2 + 2 * left, form), s3=first, s4=first)
    pair.write(4096, pair.rng.integers(0, 256, 16384).astype(np.uint8))
    pair.run(replay, fetched, product(left + 2, form))
    other = dataclasses.replace(keep, address=8192)
    # What is replayed before other tiles are kept at the same places are the former.
    pair.run(replay, other, replay, product(2 * left, form))


def test_halves_of_8_bit_tiles_are_places() -> None:
    """A 4-bit tile that is kept in the second half of an 8-bit one leaves the first."""
    pair = Pair(RESIDENT[1], 3)
    w8, w4 = WeightFormat.W8, WeightFormat.W4
    pair.run(
        StreamWeights(address=4096, count=2, format=w8, resident=KEEP),
        StreamWeights(address=8192, count=1, format=w4, resident=KEEP, aux_a_reg=1),
        StreamWeights(address=0, count=2, format=w8, resident=REPLAY),
        product(2, w8),
        StreamWeights(address=0, count=2, format=w4, resident=REPLAY),
        product(2, w4),
        s1=1,
    )


def run(*program: isa.Instruction, **scalars: int) -> None:
    pair = Pair(RESIDENT[1], 1)
    for name, value in scalars.items():
        pair.state.scalars[int(name[1:])] = value
    pair.machine.run([*program, isa.Halt()])


@pytest.mark.parametrize(
    "instruction",
    [
        StreamWeights(address=64, count=1, resident=KEEP, aux_a_reg=1),
        StreamWeights(address=64, count=1, format=WeightFormat.W4, resident=KEEP, aux_a_reg=2),
        StreamWeights(address=64, count=33, resident=KEEP),
        StreamWeights(address=65, count=0, resident=REPLAY),
        StreamWeights(address=63, count=1, resident=REPLAY),
        StreamWeights(address=0xFFFF_FFFF, count=1, resident=REPLAY),
    ],
    ids=str,
)
def test_places_beyond_the_memory(instruction: StreamWeights) -> None:
    with pytest.raises(ProgramFault) as fault:
        run(instruction, s1=63, s2=64)
    cause = (fault.value.cause, fault.value.address)
    assert cause == (Fault.ILLEGAL_OPERAND, isa.Opcode.STREAM_WEIGHTS)


def test_an_empty_replay_at_the_very_end_is_legal() -> None:
    run(StreamWeights(address=64, count=0, resident=REPLAY))


def test_tiles_that_nobody_kept_are_reported() -> None:
    sentence = (
        r"^instruction 1, STREAM_WEIGHTS, waits for tiles from place 4 on, "
        r"which have not been kept$"
    )
    keep = StreamWeights(address=64, count=3, resident=KEEP)
    with pytest.raises(TokenDeadlock, match=sentence):
        run(keep, StreamWeights(address=4, count=2, resident=REPLAY))


def test_a_reset_forgets_and_no_bytes_are_read_for_a_replay() -> None:
    config = RESIDENT[1]
    device = ReferenceDevice(config, memory_bytes=1 << 14)
    state = device._machine.state
    state.memory.region = (0, 1 << 14)
    program = [
        StreamWeights(address=0, count=3, resident=KEEP),
        StreamWeights(address=0, count=3, resident=REPLAY),
        product(3, WeightFormat.W8),
        isa.Halt(),
    ]
    device._machine.run(program)
    assert state.memory.bytes_read == 3 * config.tile_bytes(8)
    device._machine.run(program[1:])
    assert state.memory.bytes_read == 3 * config.tile_bytes(8)
    device.reset()
    with pytest.raises(TokenDeadlock):
        device._machine.run(program[1:])
