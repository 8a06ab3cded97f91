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
from weft.compiler.weight_parts import WeightPart, blocks_of
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
        (kv_part,), (q_part,) = self.memory.parts("wk"), self.memory.parts("wq")
        (o_part,) = self.memory.parts("wo")
        self.add(
            *self.streams((kv_part, q_part), 0),
            self.load_parameters("a", block, 0, register=Register.PARAMETERS),
            *self.branch_in(
                "a", block, "attention_norm", o_part, wait=Token.X, signal=Token.NORMED
            ),
            *self.keys_values_product(kv_part, Token.NORMED),
        )
        free = 0 if chip.queries_apart else Token.KEYS_VALUES_FREE
        queries = list(self.queries_product(wait_a=free))
        keys_values = list(self.keys_values(free=free))
        self.add(*([*queries, *keys_values] if chip.queries_apart else [*keys_values, *queries]))
        for values in (0, 1):
            self.store_kv(values)
        slots, row_words = range(chip.heads.n_slots), self.words(self.model.q_dim)
        first, signals = chip.vector["queries"].base, (Token.QUERY_CODES, 0)
        self.add(*self.queries(slots, first, row_words, signals=signals))
        self.attend_groups()
        self.attention_out()

    def keys_values_product(self, part: WeightPart, wait: int) -> Iterable[Instruction]:
        """The product of keys and values, or of either."""
        return self.product(
            part,
            "normed",
            self.chip.vector["keys_values"].base,
            bias=self.bias_of("a", self.memory.parameters.attention, part),
            wait_a=wait,
            signal_a=Token.KEYS_VALUES,
        )

    def queries_product(self, wait_a: int) -> Iterable[Instruction]:
        """The product of queries."""
        (part,) = self.memory.parts("wq")
        return self.product(
            part,
            "normed",
            self.chip.vector["queries"].base,
            bias=self.bias_of("a", self.memory.parameters.attention, part),
            wait_a=wait_a,
            signal_a=Token.QUERIES,
        )

    def attend_groups(self) -> None:
        """Attention of all groups, signals ATTENDED."""
        slots = range(self.chip.heads.n_slots)
        behind = len(slots) - 1 if self.chip.slots_at_once == len(slots) else 1
        for group in self.groups():
            self.add(*(self.stream_kv(slot, group) for slot in slots))
            for slot in slots:
                self.add(self.attend(slot, group))
                if slot >= behind:
                    self.add(*self.attended(slot - behind, group))
            for slot in slots[len(slots) - behind :]:
                self.add(*self.attended(slot, group))
            self.add(*self.packed(group))
        if self.several_groups():
            self.add(Vector(signal_a=Token.ATTENDED, words=1))

    def attention_out(self) -> None:
        """The stream of the rest of the layer; the output's product."""
        (part,) = self.memory.parts("wo")
        rest = self.memory.layer_parts[self.memory.layer_parts.index(part) :]
        self.add(
            *self.streams(rest, self.memory.bytes_before(part, self.config)),
            *self.branch_out(
                "a",
                self.memory.parameters.attention,
                "attention_norm",
                part,
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
            wide_keys=self.memory.wide_keys,
            **fields,
        )

    def _attention_word(self, slot: int) -> int:
        heads = self.chip.heads
        size = self.chip.chunk_rows * heads.rows * heads.slot_words
        return self.chip.vector["attention"].base + slot % self.chip.slots_at_once * size

    def _row_scalar(self, slot: int, group: RowGroup) -> int:
        rows = slot % self.chip.slots_at_once * self.chip.chunk_rows + group.first
        return rows * self.chip.heads.rows

    def stream_kv(self, slot: int, group: RowGroup) -> Instruction:
        """A slot's keys and values for a group of rows."""
        return StreamKV(
            wait_a=group.stored if slot == 0 else 0,
            address=slot * self.memory.slot_bytes,
            address_reg=group.kv,
            count_reg=Register.CONTEXT,
            k_blocks=self.chip.heads.k_blocks,
            wide_keys=self.memory.wide_keys,
        )

    def attend(self, slot: int, group: RowGroup) -> Instruction:
        """A group's attention over a slot."""
        heads = self.chip.heads
        first_row = group.first * heads.rows
        return Attend(
            wait_a=Token.QUERY_CODES if slot == 0 and group.first == 0 else 0,
            wait_b=Token.HEADS_FREE if slot >= self.chip.slots_at_once else 0,
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
            row_scalar=self._row_scalar(slot, group),
            wide_keys=self.memory.wide_keys,
        )

    def _attended_codes(self, group: RowGroup) -> int:
        row_blocks = blocks_of(self.model.q_dim)
        return self.chip.activations["attended"].base + group.first * row_blocks

    def attended(self, slot: int, group: RowGroup) -> Iterable[Instruction]:
        """Divide a group's results in a slot by the softmax sums; quantise them, or put them where
        all heads lie side by side."""
        chip, heads = self.chip, self.chip.heads
        head_words = self.words(self.model.head_dim)
        packed = not heads.are_slots
        row_words = self.words(self.model.q_dim)
        last_slot = slot == heads.n_slots - 1
        done = Token.ATTENDED if last_slot and not packed and not self.several_groups() else 0
        free = Token.HEADS_FREE if slot + chip.slots_at_once < heads.n_slots else 0
        first = slot * heads.per_slot
        places = range(min(heads.per_slot, heads.n_kv_heads - first))
        for place in places:
            first_head, last = (first + place) * heads.group, place == places[-1]
            yield Vector(
                wait_a=Token.HEADS if place == 0 else 0,
                signal_a=done if last else 0,
                signal_b=free if last else 0,
                operation=VectorOp.MUL,
                operand_b=OperandB.ROW_SCALAR,
                to=VectorDestination.VECTOR_MEMORY if packed else VectorDestination.ACTIVATIONS,
                **group.rows,
                inner=heads.group,
                words=head_words,
                a=self._attention_word(slot)
                + group.first * heads.rows * heads.slot_words
                + place * (heads.group * heads.slot_words + head_words),
                a_outer=heads.rows * heads.slot_words,
                a_inner=heads.slot_words,
                b=self._row_scalar(slot, group) + place * heads.group,
                b_outer=heads.rows,
                b_inner=1,
                d=chip.vector["packed"].base + group.first * row_words + first_head * head_words
                if packed
                else self._attended_codes(group) + first_head * heads.k_blocks,
                d_outer=row_words if packed else blocks_of(self.model.q_dim),
                d_inner=head_words if packed else heads.k_blocks,
                group_words=self.config.words_per_block,
            )

    def packed(self, group: RowGroup) -> Iterable[Instruction]:
        """Quantise a group's results, heads side by side, where that is not done yet."""
        if self.chip.heads.are_slots:
            return
        row_words = self.words(self.model.q_dim)
        yield from self.quantize_rows(
            VectorOp.COPY,
            self.model.q_dim,
            signals=(0 if self.several_groups() else Token.ATTENDED, 0),
            rows=group.rows,
            a=self.chip.vector["packed"].base + group.first * row_words,
            a_outer=row_words,
            d=self._attended_codes(group),
        )
