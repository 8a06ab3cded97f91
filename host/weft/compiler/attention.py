# SPDX-License-Identifier: Apache-2.0
"""The attention part of a layer: keys and values to the cache, queries through it.

Whose rows they are (one sequence's or several's) is for a subclass to say: it makes the groups of
rows that one ATTEND per slot takes, and stores what the vector unit has quantised.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from weft.compiler.conventions import Register, Token
from weft.compiler.head_rows import HeadRows
from weft.compiler.weight_parts import blocks_of
from weft_arch.isa import (
    Attend,
    Instruction,
    OperandB,
    StoreKV,
    StreamKV,
    Vector,
    VectorDestination,
    VectorOp,
)

__all__ = ["AttentionLayer", "RowGroup"]


@dataclass(frozen=True, kw_only=True)
class RowGroup:
    """Rows whose queries one ATTEND per slot takes: adjacent positions of one sequence.

    ``rows`` and ``query_rows`` are the count fields of instructions over its positions and over
    the query rows of a slot; registers hold the first ``position`` and the cache (``kv``), which
    may be read after the token ``stored`` (0: an earlier group has waited for it).
    """

    first: int
    rows: Mapping[str, Any]
    query_rows: Mapping[str, Any]
    position: Register
    kv: Register
    stored: int


class AttentionLayer(HeadRows):
    """Builds the attention part of a layer."""

    def store_kv(self, values: int) -> None:
        """Append the quantised keys, or values, of all rows; the last signals KV_STORED."""
        raise NotImplementedError

    def groups(self) -> Iterator[RowGroup]:
        """The groups of rows; what is added before the next one is asked for belongs to the
        group."""
        raise NotImplementedError

    def several_groups(self) -> bool:
        """Whether there can be more than one group."""
        raise NotImplementedError

    def attention_layer(self) -> None:
        """Norm, keys and values, queries, attention, output; the streams of the whole layer."""
        chip, block = self.chip, self.memory.parameters.attention
        kv_part, q_part, o_part = self.memory.layer_parts[:3]
        self.add(
            self.stream((kv_part, q_part), 0, Register.WEIGHTS),
            self.load_parameters("a", block, 0, register=Register.PARAMETERS),
            *self.branch_in(
                "a", block, "attention_norm", o_part, wait=Token.X, signal=Token.NORMED
            ),
            self.keys_values_product(),
        )
        queries = self.queries_product(wait_a=0 if chip.queries_apart else Token.KEYS_VALUES_FREE)
        free = 0 if chip.queries_apart else Token.KEYS_VALUES_FREE
        keys_values = list(self.keys_values(free))
        self.add(*([queries, *keys_values] if chip.queries_apart else [*keys_values, queries]))
        for values in (0, 1):
            self.store_kv(values)
        self.add(*self.queries())
        self.attend_groups()
        self.attention_out()

    def keys_values_product(self) -> Instruction:
        """The MATMUL of keys and values."""
        part = self.memory.layer_parts[0]
        return self.matmul(
            part,
            "normed",
            self.chip.vector["keys_values"].base,
            bias=self.bias_of("a", self.memory.parameters.attention, part),
            wait_a=Token.NORMED,
            signal_a=Token.KEYS_VALUES,
        )

    def queries_product(self, wait_a: int) -> Instruction:
        """The MATMUL of queries."""
        part = self.memory.layer_parts[1]
        return self.matmul(
            part,
            "normed",
            self.chip.vector["queries"].base,
            bias=self.bias_of("a", self.memory.parameters.attention, part),
            wait_a=wait_a,
            signal_a=Token.QUERIES,
        )

    def attend_groups(self) -> None:
        """Attention of all groups, signals ATTENDED."""
        for group in self.groups():
            self.add(*(self.stream_kv(slot, group) for slot in range(self.chip.heads.n_slots)))
            self.add(*(self.attend(slot, group) for slot in range(self.chip.heads.n_slots)))
            self.add(*self.attended(group))
        if self.several_groups():
            self.add(Vector(signal_a=Token.ATTENDED, words=1))

    def attention_out(self) -> None:
        """The stream of the rest of the layer; the output's product."""
        kv_part, q_part, o_part = self.memory.layer_parts[:3]
        skipped = (kv_part.tiles + q_part.tiles) * self.tile_bytes
        self.add(
            self.stream(self.memory.layer_parts[2:], skipped, Register.WEIGHTS),
            *self.branch_out(
                "a",
                self.memory.parameters.attention,
                "attention_norm",
                o_part,
                "attended",
                wait=Token.ATTENDED,
                signal=self.x_attention,
            ),
        )

    def append(self, values: int, **fields: Any) -> Instruction:
        """The STORE_KV of quantised keys or values."""
        return StoreKV(
            values=values,
            k_blocks=self.chip.heads.k_blocks,
            slots=self.chip.heads.n_slots,
            slot_bytes=self.memory.slot_bytes,
            **fields,
        )

    def _attention_word(self, slot: int) -> int:
        heads = self.chip.heads
        size = self.chip.chunk_rows * heads.rows * heads.slot_words
        return self.chip.vector["attention"].base + slot * size

    def stream_kv(self, slot: int, group: RowGroup) -> Instruction:
        """A slot's keys and values for a group of rows."""
        return StreamKV(
            wait_a=group.stored if slot == 0 else 0,
            address=slot * self.memory.slot_bytes,
            address_reg=group.kv,
            count_reg=Register.CONTEXT,
            k_blocks=self.chip.heads.k_blocks,
        )

    def attend(self, slot: int, group: RowGroup) -> Instruction:
        """A group's attention over a slot."""
        heads = self.chip.heads
        first_row = group.first * heads.rows
        return Attend(
            wait_a=Token.QUERY_CODES if slot == 0 and group.first == 0 else 0,
            signal_a=Token.HEADS,
            address=self.query_block(slot * heads.per_slot) + first_row * heads.k_blocks,
            **group.query_rows,
            aux_a_reg=group.position,
            aux_b_reg=Register.CONTEXT,
            activation_stride=heads.k_blocks,
            k_blocks=heads.k_blocks,
            rows_per_position=heads.rows,
            causal=int(self.model.causal),
            probabilities=self.chip.activations["probabilities"].base,
            destination=self._attention_word(slot) + first_row * heads.slot_words,
            destination_stride=heads.slot_words,
            row_scalar=slot * self.chip.chunk_rows * heads.rows + first_row,
        )

    def attended(self, group: RowGroup) -> Iterable[Instruction]:
        """Divide a group's results by the softmax sums and quantise, heads side by side."""
        chip, heads = self.chip, self.chip.heads
        head_words, per_block = self.words(self.model.head_dim), self.config.words_per_block
        packed = not heads.are_slots
        row_words = self.words(self.model.q_dim)
        row_blocks = blocks_of(self.model.q_dim)
        first_row = group.first * heads.rows
        done = 0 if self.several_groups() else Token.ATTENDED
        codes = chip.activations["attended"].base + group.first * row_blocks
        for kv_head in range(heads.n_kv_heads):
            slot, place = divmod(kv_head, heads.per_slot)
            first_head = kv_head * heads.group
            last = kv_head == heads.n_kv_heads - 1
            yield Vector(
                wait_a=Token.HEADS if place == 0 else 0,
                signal_a=done if last and not packed else 0,
                operation=VectorOp.MUL,
                operand_b=OperandB.ROW_SCALAR,
                to=VectorDestination.VECTOR_MEMORY if packed else VectorDestination.ACTIVATIONS,
                **group.rows,
                inner=heads.group,
                words=head_words,
                a=self._attention_word(slot)
                + first_row * heads.slot_words
                + place * (heads.group * heads.slot_words + head_words),
                a_outer=heads.rows * heads.slot_words,
                a_inner=heads.slot_words,
                b=slot * chip.chunk_rows * heads.rows + first_row + place * heads.group,
                b_outer=heads.rows,
                b_inner=1,
                d=chip.vector["packed"].base + group.first * row_words + first_head * head_words
                if packed
                else codes + first_head * heads.k_blocks,
                d_outer=row_words if packed else row_blocks,
                d_inner=head_words if packed else heads.k_blocks,
                group_words=per_block,
            )
        if packed:
            yield from self.quantize_rows(
                VectorOp.COPY,
                self.model.q_dim,
                signals=(done, 0),
                rows=group.rows,
                a=chip.vector["packed"].base + group.first * row_words,
                a_outer=row_words,
                d=codes,
            )
