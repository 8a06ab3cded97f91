# SPDX-License-Identifier: Apache-2.0
"""The bytes that a program reads: weights in execution order, tables, embedding."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from weft.compiler.parameters import ParameterBlock
from weft.compiler.plan import MemoryPlan
from weft.compiler.weight_parts import WeightPart
from weft.errors import CompileError
from weft.model import Checkpoint, ModelConfig
from weft.model.checkpoint import Matrix, as_floats, as_quantized
from weft.quantize import WeightFormat
from weft_arch import float24, layouts
from weft_arch.config import Configuration
from weft_arch.isa import LoadFormat

__all__ = ["fill_memory", "query_factor", "rope_table", "weight_tiles"]

EMBEDDING_ROWS = 4096
"""Rows that are converted at a time: an embedding in its file is never whole in memory."""


def fill_memory(
    checkpoint: Checkpoint,
    config: Configuration,
    memory: MemoryPlan,
    *,
    base: int,
    max_context: int,
) -> NDArray[np.uint8]:
    """The read-only part of the memory image, from ``base`` on; the program itself is left out."""
    image = np.zeros(memory.read_only_end - base, np.uint8)

    def put(region: str, raw: NDArray[np.generic], offset: int = 0) -> None:
        data = np.ascontiguousarray(raw).reshape(-1).view(np.uint8)
        if offset + data.size > memory.regions[region].size:
            raise CompileError(f"{region} is larger than its region of the plan.")
        start = memory.regions[region].base - base + offset
        image[start : start + data.size] = data

    put("parameters", parameter_values(checkpoint, config, memory))
    if checkpoint.config.positions == "rotary":
        put("rope", rope_table(checkpoint.config, max_context))
    else:
        put("position_embedding", position_table(checkpoint, max_context))
    for first, rows in embedding_rows(checkpoint, config, memory.embedding):
        put("embedding", rows, first * memory.row_bytes)

    for index, layer in enumerate(checkpoint.layers):
        offset = index * memory.layer_weight_bytes
        names = [name for part in memory.layer_parts for name in part.names]
        tiles = {name: weight_tiles(config, layer.matrix(name), memory.weights) for name in names}
        for part in memory.layer_parts:
            raw = _pack(part, tiles)
            put("weights", raw, offset)
            offset += raw.size
    if memory.head_part.tiles:
        tiles = {"lm_head": weight_tiles(config, checkpoint.matrix("lm_head"), memory.weights)}
        head = _pack(memory.head_part, tiles)
        put("weights", head, len(checkpoint.layers) * memory.layer_weight_bytes)
    return image


def embedding_rows(
    checkpoint: Checkpoint, config: Configuration, form: LoadFormat
) -> Iterator[tuple[int, NDArray[np.generic]]]:
    """The embedding's rows as LOAD reads them, piece by piece: each with its first row."""
    table = checkpoint.token_embedding
    if form == LoadFormat.Q8:
        blocks = as_quantized(table, WeightFormat.W8)
        yield 0, layouts.pack_q8_rows(config, blocks.integers(), blocks.scales)
        return
    for first in range(0, checkpoint.config.vocab_size, EMBEDDING_ROWS):
        with np.errstate(over="ignore"):
            rows = as_floats(table, first, first + EMBEDDING_ROWS).astype("<f2")
        if not np.isfinite(rows).all():
            raise CompileError("a token embedding is beyond 65504, the largest float16.")
        yield first, rows


def parameter_values(
    checkpoint: Checkpoint, config: Configuration, memory: MemoryPlan
) -> NDArray[np.float32]:
    """Gains and biases, block after block."""
    plan = memory.parameters
    parts: list[NDArray[np.float32]] = []

    def add(block: ParameterBlock, source: object) -> None:
        tensors = {name: value for name, value in vars(source).items() if value is not None}
        parts.extend(each.values(tensors, config) for each in block.parameters)

    add(plan.embedding, checkpoint)
    for layer in checkpoint.layers:
        add(plan.attention, layer)
        add(plan.feed_forward, layer)
    add(plan.final, checkpoint)
    return np.concatenate(parts).astype("<f4")


def position_table(checkpoint: Checkpoint, max_context: int) -> NDArray[np.float32]:
    """Learned positions [max_context, dim]; where tokens have types, a table of so many rows per
    type, with the type's embedding added."""
    table = checkpoint.vector("position_embedding")[:max_context]
    if checkpoint.token_type_embedding is not None:
        table = checkpoint.token_type_embedding[:, None] + table
    return float24.round_to_f24(table.reshape(-1)).astype("<f4")


def query_factor(model: ModelConfig) -> float:
    """What queries are multiplied by, so that scores come out in units of log2."""
    scale = model.head_dim**-0.5 if model.query_scale is None else model.query_scale
    return math.log2(math.e) * scale


def weight_tiles(config: Configuration, matrix: Matrix, form: WeightFormat) -> NDArray[np.uint8]:
    """A matrix [output channels, input channels] quantised: [tiles, bytes], tile n * k_blocks + k
    for output channels n and block k."""
    quantized = as_quantized(matrix, form)
    tiles = layouts.pack_tiles(config, quantized.codes, quantized.scales, form.bits)
    return tiles.reshape(-1, config.tile_bytes(form.bits))


def _pack(part: WeightPart, tiles: dict[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """What one MATMUL consumes, matrix after matrix."""
    packed: list[NDArray[np.uint8]] = []
    for name, n_tiles in zip(part.names, part.n_tiles, strict=True):
        first, end = part.first_tile, part.first_tile + n_tiles
        chosen = tiles[name][first * part.k_blocks : end * part.k_blocks]
        if len(chosen) != n_tiles * part.k_blocks:
            raise CompileError(f"{name} does not have the {n_tiles} tiles of its plan.")
        packed.append(chosen.reshape(-1))
    return np.concatenate(packed)


def rope_table(model: ModelConfig, max_context: int) -> NDArray[np.float32]:
    """F24 values [max_context, rotations * 4 * head_dim]: for each rotation of the model cosines,
    signed sines, and both again times `query_factor` for the queries.

    The pair (2i, 2i + 1) turns by position * frequency i (Su et al., RoFormer, eq. 15).
    """
    scale = query_factor(model)
    tables: list[NDArray[np.float64]] = []
    for rotation in model.rotations:
        speed = np.asarray(rotation.frequencies)
        angle = np.arange(max_context)[:, None] * speed
        turning = np.where(speed == 0, 1.0, rotation.factor)
        cosine = np.repeat(np.cos(angle) * turning, 2, axis=1)
        sine = np.repeat(np.sin(angle) * turning, 2, axis=1)
        sine[:, 0::2] *= -1
        tables += [cosine, sine, cosine * scale, sine * scale]
    return float24.round_to_f24(np.concatenate(tables, axis=1)).astype("<f4")
