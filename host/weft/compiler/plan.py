# SPDX-License-Identifier: Apache-2.0
"""Level 2: where everything lives, on the chip and in memory.

On the chip, values are words of vector memory or blocks of the activation buffer, for up to
``chunk_rows`` positions at once; the plan takes as many rows as fit. In memory, what the program
only reads comes first and what it writes comes last, so that one window each protects them.
"""

from dataclasses import dataclass, field
from itertools import pairwise

from weft.compiler.graph import Graph, Kind, Linear
from weft.compiler.heads import Heads
from weft.compiler.low_rank import NO_LOW_RANK, LowRankPlan
from weft.compiler.parameters import ParameterPlan, plan_parameters
from weft.compiler.weight_parts import WeightPart, blocks_of, head_part, layer_parts
from weft.errors import CompileError
from weft.kv_format import KVFormat
from weft.model import ModelConfig
from weft.quantize import WeightFormat
from weft_arch import layouts
from weft_arch.config import Configuration
from weft_arch.isa import INSTRUCTION_BYTES, LoadFormat

__all__ = [
    "ROW_SCALARS",
    "MemoryPlan",
    "OnChipPlan",
    "Region",
    "check_disjoint",
    "fits",
    "group_rows",
    "hidden_slices",
    "parameters_of",
    "plan_chip",
    "plan_memory",
    "rope_words",
]

_ALIGNMENT = 64
KEEP_PROGRAM_LENGTH = 2
"""Instructions of the program that fetches the weights which stay on the chip."""
ROW_SCALARS = 256
HIDDEN_SLICES = (4, 8, 16)
"""Slices of the hidden channels: the vector unit works on one while the array makes the next. The
first number whose two buffers take no more room than attention does, else the last."""
LOGIT_WORDS = 512
"""About as many vector memory words hold logits, of one row or in two buffers of all rows."""
_TAKE_TURNS = (("scratch",), ("attention", "packed"), ("gate_up",), ("logits",))
"""Regions of vector memory, those of a line side by side, that share words with the other lines:
each line is dead before another's values are made. Keys, values and queries are one more line, or
two where that makes room for more rows (the queries then wait for the vector unit)."""


@dataclass(frozen=True)
class Region:
    """``size`` units from ``base``; units are words, blocks or bytes."""

    base: int
    size: int

    @property
    def end(self) -> int:
        """First unit after it."""
        return self.base + self.size


@dataclass
class OnChipPlan:
    """Vector memory and activation buffer."""

    chunk_rows: int
    heads: Heads
    group_rows: int
    """positions that one ATTEND takes at most"""
    logit_rows: int
    """rows whose logits are computed: 1, or chunk_rows"""
    queries_apart: bool
    """whether queries have other words than keys and values"""
    slots_at_once: int
    """slots whose attention can wait for the vector unit"""
    low_rank: LowRankPlan = NO_LOW_RANK
    """the side path of adapters, if there is one"""
    vector: dict[str, Region] = field(default_factory=dict[str, Region])
    """words: x, scratch, parameters_a, parameters_b, rope, padded, keys_values, queries, attention,
    packed, gate_up, logits; low_rank where there is a side path"""
    activations: dict[str, Region] = field(default_factory=dict[str, Region])
    """blocks: normed, queries, probabilities, attended, hidden; low_rank as above"""


def hidden_slices(model: ModelConfig, config: Configuration) -> list[int]:
    """Tiles of each slice of the hidden channels: whole blocks, but for the last one's end."""
    tiles, block = -(-model.hidden_dim // config.array_cols), config.words_per_block
    room = max(_attention_words(model, config, Heads.of(model, config)))
    sizes = [-(-tiles // (slices * block)) * block for slices in HIDDEN_SLICES]
    both = 2 * _hidden_inputs(model)
    size = next((size for size in sizes if both * size <= room), sizes[-1])
    return [min(size, tiles - start) for start in range(0, tiles, size)]


def _hidden_inputs(model: ModelConfig) -> int:
    """Products that a hidden channel is made of."""
    return 2 if model.feed_forward == "gated" else 1


def rope_words(model: ModelConfig, config: Configuration) -> int:
    """Vector memory words of a row's rotations: cosines and sines for keys, and for queries, for
    each way that layers rotate."""
    return len(model.rotations) * 4 * (model.head_dim // config.lanes)


def _parts(graph: Graph, config: Configuration) -> tuple[WeightPart, ...]:
    products = [op.weights for op in graph.layer if isinstance(op, Linear)]
    return layer_parts(graph.config, config, products, hidden_slices(graph.config, config))


def parameters_of(graph: Graph, config: Configuration) -> ParameterPlan:
    """The gains and biases of a model."""
    return plan_parameters(graph.config, config, _parts(graph, config))


def _attention_words(model: ModelConfig, config: Configuration, heads: Heads) -> tuple[int, int]:
    """Vector memory words per row of attention's inputs, where they take turns, and of its
    outputs."""
    packed = 0 if heads.are_slots else model.q_dim // config.lanes
    at_once = 1 if model.head == "none" else 2  # keys and values
    inputs = max(at_once * model.kv_dim, model.q_dim) // config.lanes
    return inputs, heads.n_slots * heads.rows * heads.slot_words + packed


def plan_chip(
    graph: Graph,
    config: Configuration,
    *,
    all_logits: bool,
    chunk_rows: int | None = None,
    low_rank: LowRankPlan = NO_LOW_RANK,
) -> OnChipPlan:
    """The on-chip plan with the most rows that fit, at most ``chunk_rows``; a `CompileError` when
    not even one does."""
    heads = Heads.of(graph.config, config)
    if graph.config.dim % config.lanes:
        raise CompileError(
            f"dim is {graph.config.dim}; preset {config.name} needs a multiple of {config.lanes}."
        )
    at_once = group_rows(heads, config)
    limit = min(config.max_rows, ROW_SCALARS // (heads.rows * heads.n_slots))
    limit = limit if at_once else 0
    if graph.config.head == "none":  # its chunk is one group, whose slots take turns
        limit = min(config.max_rows, ROW_SCALARS // heads.rows, at_once)
    if chunk_rows is not None:
        limit = min(limit, chunk_rows)
    for rows in range(limit, 0, -1):
        for queries_apart in (True, False) if graph.config.head == "lm" else (False,):
            logit_rows = rows if all_logits else 1
            plan = _lay_out(graph, config, heads, rows, logit_rows, queries_apart, low_rank)
            if fits(plan, config):
                return plan
    smallest = _lay_out(graph, config, heads, 1, 1, False, low_rank)
    words = max((r.end for r in smallest.vector.values()), default=0)
    blocks = max((r.end for r in smallest.activations.values()), default=0)
    raise CompileError(
        f"one position needs {words} words of vector memory, {blocks} activation blocks and "
        f"{heads.rows} attention rows; preset {config.name} has {config.vector_memory_words}, "
        f"{config.activation_blocks} and {config.max_rows}."
    )


def group_rows(heads: Heads, config: Configuration) -> int:
    """Positions whose query rows one ATTEND takes."""
    accumulators = config.accumulator_words // (heads.rows * (1 + heads.slot_words))
    return min(config.max_rows // heads.rows, accumulators)


def _lines(plan: OnChipPlan) -> tuple[tuple[str, ...], ...]:
    """Regions of vector memory that take turns, line by line."""
    if plan.queries_apart:
        return (("keys_values", "queries"), *_TAKE_TURNS)
    return (("keys_values",), ("queries",), *_TAKE_TURNS)


def _hidden_takes_turns(heads: Heads) -> bool:
    """Whether hidden codes may take the blocks of attention's: not where zeros between the heads
    of the queries are to stay."""
    return not any(heads.empty_blocks(place) for place in range(heads.per_slot))


def fits(plan: OnChipPlan, config: Configuration) -> bool:
    """Whether all regions end within their memories."""
    return all(r.end <= config.vector_memory_words for r in plan.vector.values()) and all(
        r.end <= config.activation_blocks for r in plan.activations.values()
    )


def _lay_out(
    graph: Graph,
    config: Configuration,
    heads: Heads,
    rows: int,
    logit_rows: int,
    queries_apart: bool,
    low_rank: LowRankPlan,
) -> OnChipPlan:
    model, lanes = graph.config, config.lanes
    at_once = min(rows, group_rows(heads, config))
    slots = min(heads.n_slots, ROW_SCALARS // (rows * heads.rows))
    plan = OnChipPlan(rows, heads, at_once, logit_rows, queries_apart, slots, low_rank)

    def words(width: int) -> int:
        return -(-width // lanes)

    place = 0

    def vector(name: str, size: int) -> None:
        nonlocal place
        plan.vector[name] = Region(place, size)
        place += size

    vector("x", rows * words(model.dim))
    for name, size in zip("ab", parameters_of(graph, config).buffer_words, strict=True):
        vector(f"parameters_{name}", size)
    vector("rope", rows * rope_words(model, config))
    if not heads.fill_slots:  # keys, then values; the zeros between the heads stay
        vector("padded", 2 * rows * heads.n_slots * heads.slot_words)
    if low_rank.used:
        vector("low_rank", rows * low_rank.words)
    slices = hidden_slices(model, config)
    buffers = 1 if logit_rows == 1 else 2 * logit_rows
    segment = max(LOGIT_WORDS // buffers, 1)
    sizes = {
        "scratch": rows * words(model.dim),
        "keys_values": rows * (1 if model.head == "none" else 2) * words(model.kv_dim),
        "queries": rows * words(model.q_dim),
        "attention": plan.slots_at_once * rows * heads.rows * heads.slot_words,
        "packed": 0 if heads.are_slots else rows * words(model.q_dim),
        "gate_up": min(len(slices), 2) * rows * _hidden_inputs(model) * slices[0],
        "logits": buffers * min(words(model.vocab_size), segment),
    }
    shared = place
    for line in _lines(plan):
        place = shared
        for name in line:
            vector(name, sizes[name])

    blocks = {
        "normed": rows * blocks_of(model.dim),
        **({"low_rank": rows * low_rank.blocks} if low_rank.used else {}),
        "queries": heads.n_slots * rows * heads.rows * heads.k_blocks,
        "probabilities": 2 * at_once * heads.rows,
        "attended": rows * blocks_of(model.q_dim),
        "hidden": rows * blocks_of(model.hidden_dim),
    }
    place = 0
    for name, size in blocks.items():
        if name == "hidden" and _hidden_takes_turns(heads):
            place = plan.activations["queries"].base
        plan.activations[name] = Region(place, size)
        place += size
    return plan


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """Byte addresses. Regions up to ``logits`` are read only for the program."""

    layer_parts: tuple[WeightPart, ...]
    """in the order of their use: keys and values (together, or one after the other), queries,
    output, slices of gate and up, down"""
    head_part: WeightPart
    parameters: ParameterPlan
    weights: WeightFormat
    kv_format: KVFormat
    layer_weight_bytes: int
    resident: bool
    """whether all weights stay on the chip; their region then is where they are fetched from"""
    embedding: LoadFormat
    """of the embedding's rows: F16 or Q8"""
    row_bytes: int
    """bytes of one row of the embedding"""
    rope_row_bytes: int
    position_row_bytes: int
    """bytes of one row of learned positions (F32)"""
    parameter_word_bytes: int
    """bytes of a parameter word in memory (F32)"""
    slot_bytes: int
    layer_kv_bytes: int
    sequence_kv_bytes: int
    regions: dict[str, Region]
    """program, batch_program, long_program, keep_program, ids, positions, parameters, rope,
    position_embedding,
    embedding, weights, top_k, logits, hidden_states, kv, residual"""

    def parts(self, name: str) -> tuple[WeightPart, ...]:
        """The parts that some rows of a matrix are in."""
        return tuple(part for part in self.layer_parts if name in part.names)

    def bytes_before(self, part: WeightPart, config: Configuration) -> int:
        """Where a part of a layer begins, from the layer's first."""
        before = self.layer_parts[: self.layer_parts.index(part)]
        return sum(p.tiles for p in before) * config.tile_bytes(self.weight_bits)

    @property
    def weight_bits(self) -> int:
        """Bits of a weight's code."""
        return self.weights.bits

    @property
    def wide_keys(self) -> int:
        """The field of the instructions that make, keep and use keys."""
        return int(self.kv_format.wide_keys)

    @property
    def size(self) -> int:
        """Bytes of memory that the model needs."""
        return max(r.end for r in self.regions.values())

    @property
    def read_only_end(self) -> int:
        """First byte that the program may write."""
        return self.regions["top_k"].base

    @property
    def write_end(self) -> int:
        """First byte behind those that it may write; adapters lie there."""
        return self.regions["residual"].end


def plan_memory(
    graph: Graph,
    config: Configuration,
    chip: OnChipPlan,
    *,
    batch: OnChipPlan | None = None,
    long_rows: int = 0,
    weights: WeightFormat,
    kv_format: KVFormat,
    embedding: LoadFormat,
    max_context: int,
    max_sequences: int,
    base: int,
) -> MemoryPlan:
    """Addresses from ``base`` on, for a program with the plan ``chip``, and where there are
    such, for one for batches and for one whose chunks have ``long_rows`` rows."""
    model, cols = graph.config, config.array_cols
    parts, head = _parts(graph, config), head_part(model, config)
    parameters = plan_parameters(model, config, parts)
    tile_bytes = config.tile_bytes(weights.bits)
    layer_weight_bytes = sum(p.tiles for p in parts) * tile_bytes
    tiles = model.n_layers * sum(p.tiles for p in parts) + head.tiles
    resident = 0 < tiles * config.resident_tile_places(weights.bits) <= config.resident_places
    layout = layouts.KVLayout(config, chip.heads.k_blocks, kv_format.wide_keys)
    slot_bytes = layout.slot_bytes(max_context)
    layer_kv_bytes = chip.heads.n_slots * slot_bytes
    narrow = embedding == LoadFormat.Q8
    row_bytes = layouts.q8_row_bytes(config, model.dim) if narrow else 2 * model.dim
    rope_row_bytes = 4 * config.lanes * rope_words(model, config)
    position_row_bytes = 4 * model.dim if model.positions == "learned" else 0
    word_bytes = 4 * config.lanes
    batch_rows = batch.chunk_rows if batch else 0
    logit_rows = max(chip.logit_rows, batch_rows)
    most_rows = max(chip.chunk_rows, batch_rows, long_rows)
    program_bytes = config.instruction_words * INSTRUCTION_BYTES
    sizes = {
        "program": program_bytes,
        "batch_program": program_bytes if batch else 0,
        "long_program": program_bytes if long_rows else 0,
        "keep_program": KEEP_PROGRAM_LENGTH * INSTRUCTION_BYTES if resident else 0,
        "ids": 4 * (max_context if model.head == "none" else most_rows),
        "positions": 4 * (max_context if model.token_types else batch_rows),
        "parameters": parameters.words(model.n_layers) * word_bytes,
        "rope": max_context * rope_row_bytes,
        "position_embedding": max(model.token_types, 1) * max_context * position_row_bytes,
        "embedding": model.vocab_size * row_bytes,
        "weights": tiles * tile_bytes,
        "top_k": 8 * config.top_k_entries if head.tiles else 0,
        "logits": 4 * logit_rows * head.n_tiles[0] * cols,
        "hidden_states": 4 * max_context * model.dim if model.head == "none" else 0,
        "kv": max_sequences * model.n_layers * layer_kv_bytes,
        "residual": 0 if model.head == "none" else 4 * long_rows * model.dim,
    }
    regions: dict[str, Region] = {}
    place = base
    for name, size in sizes.items():
        place = -(-place // _ALIGNMENT) * _ALIGNMENT
        regions[name] = Region(place, size)
        place += size
    if place > 1 << 32:
        raise CompileError(f"the model needs {place - base} bytes; addresses have 32 bits.")
    return MemoryPlan(
        layer_parts=parts,
        head_part=head,
        parameters=parameters,
        weights=weights,
        kv_format=kv_format,
        layer_weight_bytes=layer_weight_bytes,
        resident=resident,
        embedding=embedding,
        row_bytes=row_bytes,
        rope_row_bytes=rope_row_bytes,
        position_row_bytes=position_row_bytes,
        parameter_word_bytes=word_bytes,
        slot_bytes=slot_bytes,
        layer_kv_bytes=layer_kv_bytes,
        sequence_kv_bytes=model.n_layers * layer_kv_bytes,
        regions=regions,
    )


def check(graph: Graph, chip: OnChipPlan, config: Configuration) -> None:
    """Raise `CompileError` unless values that live at the same time have their own words, and
    every CODES value has blocks enough."""
    for line in _lines(chip):
        others = {name for names in _lines(chip) if names != line for name in names}
        check_disjoint([(n, region) for n, region in chip.vector.items() if n not in others])
    of_attention = {"queries", "probabilities", "attended"}
    for dead in ({"hidden"}, of_attention) if _hidden_takes_turns(chip.heads) else (set[str](),):
        check_disjoint([(n, region) for n, region in chip.activations.items() if n not in dead])
    for op in graph.layer:
        out = getattr(op, "out", None)
        if out is not None and out.kind is Kind.CODES:
            needed = chip.chunk_rows * blocks_of(out.width)
            if chip.activations[out.name].size < needed:
                raise CompileError(f"{out.name} has too few activation blocks.")
    if not fits(chip, config):
        raise CompileError(f"the plan does not fit preset {config.name}.")


def check_disjoint(regions: list[tuple[str, Region]]) -> None:
    """Raise `CompileError` where two of some named regions overlap."""
    ordered = sorted(regions, key=lambda item: item[1].base)
    for (first, a), (second, b) in pairwise(ordered):
        if a.end > b.base:
            raise CompileError(f"{first} and {second} overlap.")
