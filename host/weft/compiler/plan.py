# SPDX-License-Identifier: Apache-2.0
"""Level 2: where everything lives, on the chip and in memory.

On the chip, values are words of vector memory or blocks of the activation buffer, for up to
``chunk_rows`` positions at once; the plan takes as many rows as fit. In memory, what the program
only reads comes first and what it writes comes last, so that one window each protects them.
"""

import math
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise

from weft.compiler.graph import Graph, Kind, Linear
from weft.errors import CompileError
from weft.model import ModelConfig
from weft_arch import layouts
from weft_arch.config import BLOCK, Configuration
from weft_arch.isa import INSTRUCTION_BYTES

__all__ = ["Heads", "MemoryPlan", "OnChipPlan", "Region", "WeightPart", "plan_chip", "plan_memory"]

_ALIGNMENT = 64
MOST_SLOT_CHANNELS = 128
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


@dataclass(frozen=True)
class Heads:
    """How attention heads are laid into KV slots.

    A slot is a multiple of 32 channels wide. Heads that are no multiple share one where so many
    fill it (4 of 8 channels, 2 of 48), and a query is zero outside its own head's channels; others
    have a slot of their own, which ends with zeros where the head is no multiple of 32.
    """

    head_dim: int
    n_kv_heads: int
    group: int
    """query heads per KV head"""
    per_slot: int
    """KV heads in a slot"""
    words_per_block: int

    @property
    def n_slots(self) -> int:
        """KV slots per layer."""
        return -(-self.n_kv_heads // self.per_slot)

    @property
    def k_blocks(self) -> int:
        """Blocks of 32 channels per slot."""
        return blocks_of(self.per_slot * self.head_dim)

    @property
    def slot_words(self) -> int:
        """Vector memory words per slot."""
        return self.k_blocks * self.words_per_block

    @property
    def fill_slots(self) -> bool:
        """Whether the heads leave no channel of their slots empty."""
        return self.head_dim * self.per_slot == self.k_blocks * BLOCK

    @property
    def are_slots(self) -> bool:
        """Whether every head is a slot: alone in it, with no channel empty."""
        return self.per_slot == 1 and self.fill_slots

    @property
    def rows(self) -> int:
        """Query rows per position and slot."""
        return self.per_slot * self.group

    @classmethod
    def of(cls, model: ModelConfig, config: Configuration) -> "Heads":
        """The layout for a model; a `CompileError` for a head size that has none."""
        size = model.head_dim
        if size % config.lanes:
            raise CompileError(
                f"head_dim is {size}; preset {config.name} takes multiples of {config.lanes}."
            )
        if size > MOST_SLOT_CHANNELS:
            raise CompileError(
                f"head_dim is {size}; the attention unit takes at most {MOST_SLOT_CHANNELS}."
            )
        full = math.lcm(size, BLOCK)
        shared = full <= MOST_SLOT_CHANNELS and model.n_kv_heads % (full // size) == 0
        per_slot = full // size if shared else 1
        return cls(
            size, model.n_kv_heads, model.heads_per_kv_head, per_slot, config.words_per_block
        )

    def pieces(self, place: int) -> list[tuple[int, int, int, int]]:
        """Where the head at a ``place`` of its slot lies: (first word of the head, words, block of
        the slot, first word in that block)."""
        head_words = self.head_dim * self.words_per_block // BLOCK
        found: list[tuple[int, int, int, int]] = []
        word = 0
        while word < head_words:
            block, start = divmod(place * head_words + word, self.words_per_block)
            size = min(self.words_per_block - start, head_words - word)
            found.append((word, size, block, start))
            word += size
        return found

    def empty_blocks(self, place: int) -> list[int]:
        """The blocks of a slot that hold nothing of the head at a ``place``."""
        own = {block for _, _, block, _ in self.pieces(place)}
        return [block for block in range(self.k_blocks) if block not in own]


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
    vector: dict[str, Region] = field(default_factory=dict[str, Region])
    """words: x, scratch, gain_a, gain_b, rope, padded, keys_values, queries, attention, packed,
    gate_up, logits"""
    activations: dict[str, Region] = field(default_factory=dict[str, Region])
    """blocks: normed, queries, probabilities, attended, hidden"""


def blocks_of(width: int) -> int:
    """Blocks of 32 that hold ``width`` values."""
    return -(-width // BLOCK)


def hidden_slices(model: ModelConfig, config: Configuration) -> list[int]:
    """Tiles of each slice of the hidden channels: whole blocks, but for the last one's end."""
    tiles, block = -(-model.hidden_dim // config.array_cols), config.words_per_block
    room = max(_attention_words(model, config, Heads.of(model, config)))
    sizes = [-(-tiles // (slices * block)) * block for slices in HIDDEN_SLICES]
    size = next((size for size in sizes if 4 * size <= room), sizes[-1])
    return [min(size, tiles - start) for start in range(0, tiles, size)]


def _attention_words(model: ModelConfig, config: Configuration, heads: Heads) -> tuple[int, int]:
    """Vector memory words per row of attention's inputs, where they take turns, and of its
    outputs."""
    packed = 0 if heads.are_slots else model.q_dim // config.lanes
    inputs = max(2 * model.kv_dim, model.q_dim) // config.lanes
    return inputs, heads.n_slots * heads.rows * heads.slot_words + packed


def plan_chip(
    graph: Graph, config: Configuration, *, all_logits: bool, chunk_rows: int | None = None
) -> OnChipPlan:
    """The on-chip plan with the most rows that fit, at most ``chunk_rows``; a `CompileError` when
    not even one does."""
    heads = Heads.of(graph.config, config)
    if graph.config.dim % config.lanes:
        raise CompileError(
            f"dim is {graph.config.dim}; preset {config.name} needs a multiple of {config.lanes}."
        )
    limit = min(config.max_rows, ROW_SCALARS // (heads.rows * heads.n_slots))
    limit = limit if group_rows(heads, config) else 0
    if chunk_rows is not None:
        limit = min(limit, chunk_rows)
    for rows in range(limit, 0, -1):
        for queries_apart in (True, False):
            logit_rows = rows if all_logits else 1
            plan = _lay_out(graph, config, heads, rows, logit_rows, queries_apart)
            if _fits(plan, config):
                return plan
    smallest = _lay_out(graph, config, heads, 1, 1, False)
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


def _fits(plan: OnChipPlan, config: Configuration) -> bool:
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
) -> OnChipPlan:
    model, lanes = graph.config, config.lanes
    at_once = min(rows, group_rows(heads, config))
    plan = OnChipPlan(rows, heads, at_once, logit_rows, queries_apart)

    def words(width: int) -> int:
        return -(-width // lanes)

    place = 0

    def vector(name: str, size: int) -> None:
        nonlocal place
        plan.vector[name] = Region(place, size)
        place += size

    vector("x", rows * words(model.dim))
    vector("gain_a", words(model.dim))
    vector("gain_b", words(model.dim))
    vector("rope", rows * 4 * words(model.head_dim))
    if not heads.fill_slots:  # keys, then values; the zeros between the heads stay
        vector("padded", 2 * rows * heads.n_slots * heads.slot_words)
    slices = hidden_slices(model, config)
    buffers = 1 if logit_rows == 1 else 2 * logit_rows
    segment = max(LOGIT_WORDS // buffers, 1)
    sizes = {
        "scratch": rows * words(model.dim),
        "keys_values": rows * 2 * words(model.kv_dim),
        "queries": rows * words(model.q_dim),
        "attention": heads.n_slots * rows * heads.rows * heads.slot_words,
        "packed": 0 if heads.are_slots else rows * words(model.q_dim),
        "gate_up": min(len(slices), 2) * rows * 2 * slices[0],
        "logits": buffers * min(words(model.vocab_size), segment),
    }
    shared = place
    for line in _lines(plan):
        place = shared
        for name in line:
            vector(name, sizes[name])

    blocks = {
        "normed": rows * blocks_of(model.dim),
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


@dataclass(frozen=True)
class WeightPart:
    """Some weights side by side that one MATMUL consumes: [sum of rows padded to tiles, K]."""

    names: tuple[str, ...]
    first_tile: int
    """of each of the names"""
    n_tiles: tuple[int, ...]
    """tiles of output channels of each of the names"""
    k_blocks: int

    @property
    def tiles(self) -> int:
        """Weight tiles altogether."""
        return sum(self.n_tiles) * self.k_blocks


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """Byte addresses. Regions up to ``logits`` are read only for the program."""

    layer_parts: tuple[WeightPart, ...]
    """keys and values, queries, output, slices of gate and up, down"""
    head_part: WeightPart
    weight_bits: int
    layer_weight_bytes: int
    row_bytes: int
    """bytes of one row of the embedding"""
    rope_row_bytes: int
    gain_bytes: int
    """bytes of one gain vector (F32)"""
    slot_bytes: int
    layer_kv_bytes: int
    sequence_kv_bytes: int
    regions: dict[str, Region]
    """program, batch_program, ids, positions, gains, rope, embedding, weights, top_k, logits, kv"""

    @property
    def size(self) -> int:
        """Bytes of memory that the model needs."""
        return max(r.end for r in self.regions.values())

    @property
    def read_only_end(self) -> int:
        """First byte that the program may write."""
        return self.regions["top_k"].base


def plan_memory(
    graph: Graph,
    config: Configuration,
    chip: OnChipPlan,
    *,
    batch: OnChipPlan | None = None,
    weight_bits: int,
    max_context: int,
    max_sequences: int,
    base: int,
) -> MemoryPlan:
    """Addresses from ``base`` on, for a program with the plan ``chip`` and one for batches."""
    model, cols = graph.config, config.array_cols

    def part(names: tuple[str, ...]) -> WeightPart:
        shapes = {**model.model_shapes(), **model.layer_shapes()}
        n_tiles = tuple(-(-shapes[name][0] // cols) for name in names)
        return WeightPart(names, 0, n_tiles, blocks_of(shapes[names[0]][1]))

    def slices(whole: WeightPart) -> list[WeightPart]:
        if whole.names != ("w_gate", "w_up"):
            return [whole]
        sizes = hidden_slices(model, config)
        starts = accumulate(sizes, initial=0)
        return [
            replace(whole, first_tile=start, n_tiles=(size, size))
            for start, size in zip(starts, sizes, strict=False)
        ]

    linear = [part(op.weights) for op in graph.layer if isinstance(op, Linear)]
    layer_parts = tuple(piece for whole in linear for piece in slices(whole))
    head_part = part(("lm_head",))
    tile_bytes = config.tile_bytes(weight_bits)
    layer_weight_bytes = sum(p.tiles for p in layer_parts) * tile_bytes
    layout = layouts.KVLayout(config, chip.heads.k_blocks)
    slot_bytes = layout.slot_bytes(max_context)
    layer_kv_bytes = chip.heads.n_slots * slot_bytes
    row_bytes = 2 * model.dim
    rope_row_bytes = 4 * 4 * model.head_dim
    gain_bytes = 4 * model.dim
    batch_rows = batch.chunk_rows if batch else 0
    logit_rows = max(chip.logit_rows, batch_rows)
    program_bytes = config.instruction_words * INSTRUCTION_BYTES
    sizes = {
        "program": program_bytes,
        "batch_program": program_bytes if batch else 0,
        "ids": 4 * max(chip.chunk_rows, batch_rows),
        "positions": 4 * batch_rows,
        "gains": (2 * model.n_layers + 1) * gain_bytes,
        "rope": max_context * rope_row_bytes,
        "embedding": model.vocab_size * row_bytes,
        "weights": model.n_layers * layer_weight_bytes + head_part.tiles * tile_bytes,
        "top_k": 8 * config.top_k_entries,
        "logits": 4 * logit_rows * head_part.n_tiles[0] * cols,
        "kv": max_sequences * model.n_layers * layer_kv_bytes,
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
        layer_parts=layer_parts,
        head_part=head_part,
        weight_bits=weight_bits,
        layer_weight_bytes=layer_weight_bytes,
        row_bytes=row_bytes,
        rope_row_bytes=rope_row_bytes,
        gain_bytes=gain_bytes,
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
        _check_disjoint([(n, region) for n, region in chip.vector.items() if n not in others])
    of_attention = {"queries", "probabilities", "attended"}
    for dead in ({"hidden"}, of_attention) if _hidden_takes_turns(chip.heads) else (set[str](),):
        _check_disjoint([(n, region) for n, region in chip.activations.items() if n not in dead])
    for op in graph.layer:
        out = getattr(op, "out", None)
        if out is not None and out.kind is Kind.CODES:
            needed = chip.chunk_rows * blocks_of(out.width)
            if chip.activations[out.name].size < needed:
                raise CompileError(f"{out.name} has too few activation blocks.")
    if not _fits(chip, config):
        raise CompileError(f"the plan does not fit preset {config.name}.")


def _check_disjoint(regions: list[tuple[str, Region]]) -> None:
    ordered = sorted(regions, key=lambda item: item[1].base)
    for (first, a), (second, b) in pairwise(ordered):
        if a.end > b.base:
            raise CompileError(f"{first} and {second} overlap.")
