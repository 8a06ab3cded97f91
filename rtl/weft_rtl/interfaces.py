# SPDX-License-Identifier: Apache-2.0
"""Payloads and signatures between blocks. A name used by two blocks is defined here.

Conventions: signatures are written from the point of view of the block that uses the service (the
client); the block that provides it flips them. Streams follow `amaranth.lib.stream`: once valid is
up it stays and the payload holds until the transfer, and valid never waits for ready.
"""

from amaranth import Shape, ShapeLike, signed, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch import isa
from weft_arch.config import BLOCK, Configuration
from weft_arch.registers import Fault

__all__ = [
    "ACTIVATION_ADDRESS",
    "MEMORY_READ_LATENCY",
    "ROW",
    "TILE_SPACING",
    "VECTOR_ADDRESS",
    "ArrayPass",
    "FaultReport",
    "PassInitial",
    "ResolvedInstruction",
    "SoftmaxJob",
    "TileSource",
    "activation_block",
    "activation_read_signature",
    "activation_write",
    "engine_signature",
    "float_word",
    "quantized_group",
    "rescale_read_signature",
    "row_scalar_write",
    "score_word",
    "strobe_signature",
    "vector_read_signature",
    "vector_write",
]

VECTOR_ADDRESS = unsigned(14)
"""Vector memory word address; memories that are smaller ignore the upper bits."""
ACTIVATION_ADDRESS = unsigned(14)
"""Activation buffer block address."""
ROW = unsigned(9)
"""Row count or index, up to 256."""
MEMORY_READ_LATENCY = 2
"""Cycles from a granted read request of the vector memory or activation buffer to its data."""
TILE_SPACING = 8
"""Least cycles between two tiles entering the array: the scaled accumulator's loop latency."""

FLOAT = unsigned(24)
"""An F24 bit pattern: fraction (0-14), exponent (15-22), sign (23)."""


class FaultReport(data.Struct):
    """One-cycle report of a fault; the first one since start is kept."""

    valid: 1
    cause: Shape.cast(Fault)
    address: 32


class ResolvedInstruction(data.Struct):
    """An instruction as an engine sees it: scalars resolved, tokens handled elsewhere."""

    opcode: 6
    address: 32
    count: 24
    aux_a: 32
    aux_b: 32
    arguments: 8 * isa.INSTRUCTION_BYTES - isa.ARGUMENT_BASE


def strobe_signature(shape: ShapeLike) -> wiring.Signature:
    """A payload that is always accepted, marked by ``valid``: a stream without ``ready``."""
    return wiring.Signature({"valid": Out(1), "payload": Out(shape)})


def engine_signature() -> wiring.Signature:
    """What every engine offers. ``done`` pulses once per instruction, in order, when its effects
    are complete; an engine may accept the next instruction earlier. ``busy``: an instruction is in
    work."""
    return wiring.Signature(
        {
            "instruction": In(stream.Signature(ResolvedInstruction)),
            "done": Out(1),
            "busy": Out(1),
            "fault": Out(FaultReport),
        }
    )


def float_word(config: Configuration) -> data.ArrayLayout:
    """One vector memory word: ``lanes`` F24 patterns, lane 0 lowest."""
    return data.ArrayLayout(FLOAT, config.lanes)


def vector_read_signature(config: Configuration) -> wiring.Signature:
    """A vector memory reader: data follows the transfer of the request by MEMORY_READ_LATENCY
    cycles, marked by ``valid``; there is no way to hold it off."""
    return wiring.Signature(
        {
            "request": Out(stream.Signature(VECTOR_ADDRESS)),
            "valid": In(1),
            "data": In(float_word(config)),
        }
    )


def vector_write(config: Configuration) -> data.StructLayout:
    """Payload of a write to the vector memory."""
    return data.StructLayout({"address": VECTOR_ADDRESS, "data": float_word(config)})


def activation_block(config: Configuration) -> data.StructLayout:
    """32 codes and their exponent: value = code * 2**exponent."""
    return data.StructLayout(
        {
            "codes": data.ArrayLayout(signed(config.activation_bits), BLOCK),
            "exponent": signed(8),
        }
    )


def activation_write(config: Configuration) -> data.StructLayout:
    """Payload of a write to the activation buffer."""
    return data.StructLayout({"address": ACTIVATION_ADDRESS, "block": activation_block(config)})


def activation_read_signature(config: Configuration) -> wiring.Signature:
    """The activation buffer's reader; latency as for the vector memory. Requests are never held
    off (``request`` has no ready)."""
    return wiring.Signature(
        {
            "request": Out(1),
            "address": Out(ACTIVATION_ADDRESS),
            "valid": In(1),
            "data": In(activation_block(config)),
        }
    )


def rescale_read_signature() -> wiring.Signature:
    """The array engine's reader of the rescale memory in the softmax unit: ``data`` is the
    downward shift of the row named MEMORY_READ_LATENCY cycles before. Read in every cycle."""
    return wiring.Signature({"parity": Out(1), "row": Out(ROW), "data": In(8)})


def quantized_group() -> data.StructLayout:
    """32 quantised key or value codes on their way to the store unit. A value group of a wide slot
    comes as several of these with the same exponent."""
    return data.StructLayout({"codes": data.ArrayLayout(signed(8), BLOCK), "exponent": signed(8)})


def row_scalar_write() -> data.StructLayout:
    """Payload of a write to the row scalar memory of the vector unit."""
    return data.StructLayout({"address": 8, "value": FLOAT})


class TileSource(enum.Enum, shape=2):
    """How the weight buffer's bytes become a tile."""

    W8 = 0
    W4 = 1
    VALUES = 2
    """int8 codes without scales (scale 1)"""


class PassInitial(enum.Enum, shape=2):
    """What the first block of a pass is added to."""

    ZERO = 0
    VECTOR_MEMORY = 1
    ACCUMULATOR = 2
    """the accumulator's own entry times 2**-rescale[row]"""


class ArrayPass(data.Struct):
    """One sweep of the array: for n in n_tiles, for k in k_blocks, for m in rows.

    The entry of the accumulator memory that holds row m between blocks is accumulator_base + m *
    accumulator_stride (+ n when accumulator_per_tile). Results (after the last k) go to every
    destination whose flag is set.
    """

    activation_base: ACTIVATION_ADDRESS
    activation_stride: 10
    activation_twice: 1
    """two tiles of k meet the same activation block: the planes of wide keys"""
    rows: ROW
    k_blocks: 10
    n_tiles: 16
    source: TileSource
    has_header: 1
    """pop one 32-byte word first and send it to the softmax unit: the value exponents"""
    initial: PassInitial
    initial_address: VECTOR_ADDRESS
    initial_stride: 12
    accumulator_base: 12
    accumulator_stride: 10
    accumulator_per_tile: 1
    to_vector_memory: 1
    to_accumulator: 1
    to_scores: 1
    to_top_k: 1
    clear_top_k: 1
    """empty the top-k list with the pass's first result"""
    parity: 1
    """which half of the score buffer and of the rescale memory the pass uses"""
    destination: VECTOR_ADDRESS
    destination_stride: 12
    top_k_base: 18
    top_k_limit: 18
    last: 1
    """the instruction's last pass: its completion is the instruction's"""


class SoftmaxJob(data.Struct):
    """One kv block of scores for the softmax unit, given when its score pass is issued."""

    rows: ROW
    first: 1
    """first kv block of the instruction: no history"""
    final: 1
    """last kv block: send reciprocal(sum) of each row to the row scalars"""
    parity: 1
    key_base: 24
    """position of the block's first key"""
    first_limit: 24
    """keys that row 0 sees"""
    causal: 1
    rows_per_position: 6
    """with causal, the limit rises by one after this many rows"""
    probabilities: ACTIVATION_ADDRESS
    """activation block of row 0's probabilities (parity already applied)"""
    row_scalar: 8


def score_word(config: Configuration) -> data.StructLayout:
    """One word of scores leaving the scaled accumulator: row, which word of the 32 keys, values."""
    return data.StructLayout({"row": ROW, "word": 3, "parity": 1, "data": float_word(config)})
