# SPDX-License-Identifier: Apache-2.0
"""Adapters that are resident beside a compiled model.

They lie behind all that the model needs, so its own programs and image stay what they are. Adapters
with the same side path share their programs; the register ADAPTER says whose weights a run takes.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from weft.compiler.adapter_program import (
    AdapterProgram,
    ResidentAdapter,
    adapter_program,
    check_ranks,
)
from weft.compiler.compiled import CompiledModel, instruction_bytes
from weft.compiler.conventions import ADAPTER
from weft.compiler.decoder_programs import check_decoder
from weft.compiler.low_rank import LowRankPlan, LowRankTiles, plan_low_rank
from weft.compiler.memory_image import weight_tiles
from weft.compiler.plan import Region
from weft.errors import CompileError, ModelError, shown
from weft.model.checkpoint import FloatTensor
from weft.model.lora import HEAD, Adapter, LowRank
from weft.quantize import WeightFormat
from weft_arch.config import BLOCK, Configuration

__all__ = ["adapter_ranks", "balanced", "with_adapters"]

_ALIGNMENT = 64


def with_adapters(compiled: CompiledModel, adapters: Mapping[str, Adapter]) -> CompiledModel:
    """The compiled model with adapters beside it, by the names that requests choose them by.

    Raises `CompileError` naming the adapter that cannot be resident, and why.
    """
    config = compiled.config
    programs: dict[LowRankPlan, AdapterProgram] = {}
    images: dict[int, NDArray[np.uint8]] = {}
    resident: dict[str, ResidentAdapter] = {}
    regions = dict(compiled.memory.regions)
    place = compiled.memory.size

    def put(name: str, image: NDArray[np.uint8]) -> int:
        nonlocal place
        start = -(-place // _ALIGNMENT) * _ALIGNMENT
        place = start + image.size
        if place > 1 << 32:
            raise CompileError(
                f"the model and its adapters need {place - compiled.base} bytes; addresses have "
                "32 bits."
            )
        regions[name], images[start] = Region(start, image.size), image
        return start

    for name, adapter in adapters.items():
        try:
            ranks = adapter_ranks(adapter)
            check_ranks(compiled.model, ranks)
            low_rank = plan_low_rank(config, compiled.memory.layer_parts, ranks)
            if low_rank not in programs:
                made = adapter_program(compiled.model, config, compiled, low_rank)
                check_decoder(
                    made, config, compiled.memory, compiled.max_context, more_scalars={ADAPTER: 0}
                )
                made = replace(made, number=len(programs))
                programs[low_rank] = made
                put(made.region, instruction_bytes(config, made.program))
                if made.batch:
                    put(made.batch_region, instruction_bytes(config, made.batch.program))
            shared = programs[low_rank]
            image = adapter_image(config, compiled.model.n_layers, shared, adapter)
            address = put(f"adapter {name}", image)
        except CompileError as error:
            raise CompileError(f"adapter {shown(name)}: {error}") from None
        resident[name] = ResidentAdapter(program=shared, address=address)
    memory = replace(compiled.memory, regions=regions)
    return replace(compiled, memory=memory, adapters=resident, adapter_images=images)


def adapter_ranks(adapter: Adapter) -> dict[str, int]:
    """The largest rank of each matrix that an adapter changes in some layer."""
    ranks: dict[str, int] = {}
    for (layer, name), change in adapter.changes.items():
        if layer == HEAD:
            raise CompileError(
                f"it changes {name}, which has no side path on the device; merge it into the "
                "weights instead."
            )
        ranks[name] = max(ranks.get(name, 0), change.rank)
    return ranks


def adapter_image(
    config: Configuration, n_layers: int, program: AdapterProgram, adapter: Adapter
) -> NDArray[np.uint8]:
    """The bytes of an adapter, layer after layer in the order of their use."""
    order = program.low_rank.in_order()
    pieces: list[NDArray[np.uint8]] = []
    for layer in range(n_layers):
        factors = {
            name: balanced(change) for (of, name), change in adapter.changes.items() if of == layer
        }
        for tiles in order:
            try:
                pieces.append(_tiles(config, tiles, factors.get(tiles.name)))
            except ModelError as error:
                raise CompileError(f"layers.{layer}.{tiles.name}: {error}") from None
    return np.concatenate(pieces)


def balanced(change: LowRank) -> tuple[FloatTensor, FloatTensor]:
    """A and B with the scale in B, and a power of two moved from one to the other that makes
    their largest values alike: so small numbers do not come near the least scale of a block."""
    a, b = change.a.astype(np.float64), change.scale * change.b.astype(np.float64)
    largest_a, largest_b = (float(np.abs(matrix).max(initial=0.0)) for matrix in (a, b))
    shift = 0
    if largest_a and largest_b:
        shift = round((np.log2(largest_b) - np.log2(largest_a)) / 2)
    with np.errstate(over="ignore"):
        return np.ldexp(a, shift).astype(np.float32), np.ldexp(b, -shift).astype(np.float32)


def _tiles(
    config: Configuration, tiles: LowRankTiles, factors: tuple[FloatTensor, FloatTensor] | None
) -> NDArray[np.uint8]:
    """The bytes of some tiles; zeros where a layer's matrix is not changed."""
    if factors is None:
        return np.zeros(tiles.tiles * config.tile_bytes(8), np.uint8)
    a, b = factors
    if tiles.is_a:
        matrix = np.pad(a, ((0, tiles.n_tiles * config.array_cols - len(a)), (0, 0)))
    else:
        matrix = np.pad(b, ((0, 0), (0, tiles.k_blocks * BLOCK - b.shape[1])))
    first, end = tiles.first_tile * tiles.k_blocks, tiles.first_tile * tiles.k_blocks + tiles.tiles
    return weight_tiles(config, matrix, WeightFormat.W8)[first:end].reshape(-1)
