# SPDX-License-Identifier: Apache-2.0
"""What each instruction costs: the figures that the RTL's docstrings give, as formulas.

An instruction keeps its engine for `cycles`; the next one may begin then. Its results are there
`tail` cycles later. Bytes that it takes from the weight stream, or loads, cost time only where the
memory cannot keep up.
"""

from dataclasses import dataclass

from weft.compiler.walk import Step
from weft_arch import layouts
from weft_arch.config import BLOCK, Configuration
from weft_arch.isa import (
    Attend,
    InitMode,
    Instruction,
    Load,
    LoadFormat,
    Matmul,
    OperandB,
    Reduce,
    Resident,
    Scalar,
    ScalarOp,
    Store,
    StoreKV,
    StoreTopK,
    StreamKV,
    StreamWeights,
    Vector,
    VectorDestination,
    VectorOp,
    WeightFormat,
)

__all__ = ["REPLAY_CYCLES", "Cost", "cost_of", "replay_rate", "sequencer_cycles", "tile_cycles"]

TILE_SPACING = 8
"""Fewest cycles from tile to tile of the array."""
MATMUL_TAIL = 70
ATTEND_TAIL = 74
SOFTMAX_LATENCY = 92
"""From the last score of a kv block to its first row of probabilities, array and all, beside the
cycles of a row."""
SOFTMAX_LANES = 8
"""Most probabilities per cycle."""
REDUCE_GAP, REDUCE_TAIL = 11, 38
"""Cycles of a reduction beside those of its words, and after the last one."""
LOAD_TAIL = 8
STORE_GAP, STORE_TAIL = 9, 26
"""Cycles of a STORE beside those of its beats, and after the last one."""
LOAD_WORD_CYCLES = 1.5
"""Fewest cycles from word to word of a LOAD."""
VALUE_GROUP_CYCLES, VALUE_WRITE_CYCLES = 8, 68
"""STORE_KV: to take a value group, and to write a beat of each of its channels."""
VALUE_RING_GROUPS = 64
"""Groups that STORE_KV holds to write positions together."""
REPLAY_CYCLES = 9
"""Of a STREAM_WEIGHTS that replays, besides one per word of codes."""


@dataclass(frozen=True)
class Cost:
    """Time and bytes of an instruction."""

    cycles: float = 0.0
    tail: float = 0.0
    streamed: int = 0
    """bytes that STREAM_WEIGHTS and STREAM_KV bring, and that MATMUL and ATTEND use up"""
    resident: Resident = Resident.NONE
    """KEEP: the bytes do not go to the weight buffer; REPLAY: they do not come from memory"""
    loaded: int = 0
    """bytes that LOAD reads"""
    written: int = 0
    macs: int = 0
    """array cycles that carry a row"""
    words_read: int = 0
    words_written: int = 0
    """of the vector memory, by array, vector unit and STORE: it has a port each"""


def cost_of(step: Step, config: Configuration) -> Cost:
    """The cost of an engine instruction with its scalars resolved."""
    i, count = step.instruction, step.count
    match i:
        case Matmul():
            tiles = i.n_tiles * i.k_blocks
            return Cost(
                cycles=tiles * tile_cycles(config, count),
                tail=MATMUL_TAIL,
                streamed=tiles * config.tile_bytes(_bits(i.format)),
                macs=tiles * count,
                words_read=i.n_tiles * count if i.init is InitMode.VECTOR_MEMORY else 0,
                words_written=i.n_tiles * count if i.to_vector_memory else 0,
            )
        case Attend():
            return _attend(step, i, config)
        case StreamWeights():
            size = count * config.tile_bytes(_bits(i.format))
            return Cost(streamed=size, tail=2, resident=i.resident)
        case StreamKV():
            return Cost(streamed=_kv_bytes(config, i, count), tail=2)
        case Vector():
            return _vector(step, i, config)
        case Reduce():
            gap = 15 if config.lanes == 4 else REDUCE_GAP
            cycles = count * (i.words + gap) + REDUCE_TAIL if count else 2
            return Cost(cycles=cycles, words_read=count * i.words)
        case Load():
            return Cost(
                cycles=count * i.words * LOAD_WORD_CYCLES,
                tail=LOAD_TAIL,
                loaded=count * _row_bytes(i, config),
            )
        case Store():
            size = 4 * config.lanes * count * i.words
            return Cost(
                cycles=size / config.beat_bytes + STORE_GAP,
                tail=STORE_TAIL,
                written=size,
                words_read=count * i.words,
            )
        case StoreKV():
            return _store_kv(step, i, config)
        case StoreTopK():
            size = 8 * config.top_k_entries
            return Cost(cycles=size / config.beat_bytes + STORE_GAP, tail=STORE_TAIL, written=size)
        case _:
            return Cost(cycles=1)


def _bits(form: int) -> int:
    return 8 if form == WeightFormat.W8 else 4


def replay_rate(config: Configuration, step: Step) -> float:
    """Bytes per cycle that a STREAM_WEIGHTS brings from the resident memory: a word of codes, and
    its part of the scales."""
    i = step.instruction
    assert isinstance(i, StreamWeights)
    bits = _bits(i.format)
    return config.tile_bytes(bits) / (config.array_cols * bits / 8)


def tile_cycles(config: Configuration, rows: int) -> int:
    """Cycles that a weight tile keeps the array, for some rows of activations."""
    return max(rows, config.array_cols, TILE_SPACING)


def _attend(step: Step, i: Attend, config: Configuration) -> Cost:
    """S(0), S(1), PV(0), ...: the array waits for the first probabilities, and for the last."""
    blocks = -(-step.aux_b // BLOCK)
    values = i.k_blocks * config.words_per_block
    scores = values << i.wide_keys
    tile = tile_cycles(config, step.count)
    row_cycles = BLOCK // min(config.lanes, SOFTMAX_LANES)
    softmax = SOFTMAX_LATENCY + row_cycles + step.count * (row_cycles - 1)
    # The softmax of the first block has the scores of another beside it, that of the last one the
    # values.
    after_scores, after_values = (max(0, softmax - tiles * tile) for tiles in (scores, values))
    gaps = softmax if blocks == 1 else after_scores + after_values
    return Cost(
        cycles=blocks * (scores + values) * tile + gaps,
        tail=ATTEND_TAIL,
        streamed=_kv_bytes(config, i, step.aux_b),
        macs=blocks * (scores + values) * step.count,
        words_written=values * step.count,
    )


def _store_kv(step: Step, i: StoreKV, config: Configuration) -> Cost:
    """What is left to do when the last group has come: with keys little, with values the writes of
    positions that share a beat, or what these lag behind the groups."""
    written = step.count * i.slots * _kv_row_bytes(i)
    cycles = 8.0
    if i.values and step.count:
        groups = i.slots * i.k_blocks
        column = config.beat_bytes if groups <= VALUE_RING_GROUPS else 1
        columns = (step.aux_a % column + step.count - 1) // column + 1
        write = groups * VALUE_WRITE_CYCLES
        behind = columns * write - step.count * groups * VALUE_GROUP_CYCLES
        cycles = max(write, min(behind, VALUE_RING_GROUPS * VALUE_WRITE_CYCLES))
    return Cost(cycles=cycles, tail=20, written=written)


def _kv_bytes(config: Configuration, i: StreamKV | Attend, keys: int) -> int:
    layout = layouts.KVLayout(config, i.k_blocks, bool(i.wide_keys))
    return -(-keys // BLOCK) * layout.block_bytes


def _kv_row_bytes(i: StoreKV) -> int:
    if i.values:
        return i.k_blocks * BLOCK + 1
    return (i.k_blocks << i.wide_keys) * (BLOCK + 2)


def _vector(step: Step, i: Vector, config: Configuration) -> Cost:
    requests = 1
    if i.operation == VectorOp.ROPE:
        requests = 3
    elif i.operation == VectorOp.ACTIVATE or (
        i.operation in (VectorOp.ADD, VectorOp.MUL) and i.operand_b == OperandB.VECTOR_MEMORY
    ):
        requests = 2
    words = step.count * i.inner * i.words
    return Cost(
        cycles=_vector_cycles(step, i, config, requests),
        words_read=words * (1 if i.operation == VectorOp.ACTIVATE else requests),
        words_written=words if i.to == VectorDestination.VECTOR_MEMORY else 0,
    )


def _vector_cycles(step: Step, i: Vector, config: Configuration, requests: int) -> float:
    groups_of_rows = step.count * i.inner
    words = groups_of_rows * i.words
    if not words:
        return 2
    latency = {VectorOp.ADD: 15, VectorOp.ROPE: 15, VectorOp.ACTIVATE: 18}.get(i.operation, 11)
    if i.to == VectorDestination.VECTOR_MEMORY:
        return requests * words + latency
    group = i.group_words
    groups = groups_of_rows if i.fill else -(-words // group)
    groups <<= i.wide_keys if i.to == VectorDestination.KEYS else 0
    needed = max(requests * words, groups * group)
    quantised = needed + latency + 5 + config.words_per_block
    # Keys and values go to memory as fast as STORE_KV takes them.
    if i.to == VectorDestination.KEYS:
        return max(quantised, groups * (5 + BLOCK // config.beat_bytes + 4) + 10)
    if i.to == VectorDestination.VALUES:
        blocks = groups * group * config.lanes // BLOCK
        behind = blocks / config.beat_bytes - VALUE_RING_GROUPS
        return max(quantised, blocks * VALUE_GROUP_CYCLES, behind * VALUE_WRITE_CYCLES)
    return quantised


def _row_bytes(i: Load, config: Configuration) -> int:
    dim = i.words * config.lanes
    if i.format == LoadFormat.Q8:
        return layouts.q8_row_bytes(config, dim)
    return dim * (4 if i.format == LoadFormat.F32 else 2)


def sequencer_cycles(instruction: Instruction) -> int:
    """Cycles that an instruction keeps the sequencer."""
    if not isinstance(instruction, Scalar):
        return 3
    if instruction.operation == ScalarOp.MUL:
        return 5 + instruction.address.bit_length()
    return 5 + (instruction.address if instruction.operation == ScalarOp.SHIFT_RIGHT else 0)
