# SPDX-License-Identifier: Apache-2.0
"""Rows of heads on their way from the products to where attention uses them.

Keys, values and queries of a position lie head by head. Here they are normalised and rotated where
the model does so, laid into their slots, and quantised.
"""

from collections.abc import Iterable
from typing import Any

from weft.compiler.building_blocks import f24
from weft.compiler.conventions import Register, Token
from weft.compiler.memory_image import query_factor
from weft.compiler.norms import Norms
from weft_arch.isa import (
    Instruction,
    OperandB,
    Reduce,
    ReduceOp,
    ReducePost,
    Vector,
    VectorDestination,
    VectorOp,
)

__all__ = ["HeadRows"]


class HeadRows(Norms):
    """Builds what is done with keys, values and queries before they are used."""

    def zeros_between_heads(self) -> Iterable[Instruction]:
        """Zeros where heads do not fill their slots; nothing overwrites them."""
        heads = self.chip.heads
        if heads.fill_slots:
            return
        head_words = self.words(self.model.head_dim)
        start = self.chip.vector["padded"].base + head_words
        yield Vector(
            operation=VectorOp.MUL,
            operand_b=OperandB.IMMEDIATE,
            address=f24(0.0),
            count_reg=Register.ROWS,
            inner=2 * heads.n_slots,
            words=heads.slot_words - head_words,
            a=start,
            a_outer=2 * heads.n_slots * heads.slot_words,
            a_inner=heads.slot_words,
            d=start,
            d_outer=2 * heads.n_slots * heads.slot_words,
            d_inner=heads.slot_words,
        )

    def keys_values(self, free: int = 0) -> Iterable[Instruction]:
        """Rotate the keys, quantise keys and values; signals ``free`` when their words are.

        Keys of heads that are a slot are quantised as they are rotated; others are rotated in
        place, or into the slots between zeros, and quantised slot by slot.
        """
        heads, vector = self.chip.heads, self.chip.vector
        head_words, per_block = self.words(self.model.head_dim), self.config.words_per_block
        kv_words = self.words(self.model.kv_dim)
        slot_words = heads.slot_words
        keys = slots = vector["keys_values"].base
        slot_stride, values = 2 * kv_words, kv_words
        if not heads.fill_slots:
            slots, slot_stride = vector["padded"].base, 2 * heads.n_slots * slot_words
            values = heads.n_slots * slot_words
        heads_apart = head_words if heads.fill_slots else slot_words
        each: dict[str, Any] = {
            "count_reg": Register.ROWS,
            "inner": self.model.n_kv_heads,
            "words": head_words,
            "a_outer": 2 * kv_words,
            "a_inner": head_words,
            "d_outer": slot_stride,
            "d_inner": heads_apart,
        }
        wait = Token.KEYS_VALUES
        if self.model.qk_norm:
            yield from self.head_norm("k_norm", keys, 2 * kv_words, self.model.n_kv_heads, wait)
            wait = 0
        turned = self.rotation(0)
        if heads.are_slots:
            to_keys = {"to": VectorDestination.KEYS, "group_words": per_block}
            yield Vector(wait_a=wait, a=keys, d=slots, **turned, **to_keys, **each)
        elif not heads.fill_slots or self.rotary:
            yield Vector(wait_a=wait, a=keys, d=slots, **turned, **each)
            wait = 0
        if not heads.fill_slots:
            yield Vector(operation=VectorOp.COPY, a=keys + kv_words, d=slots + values, **each)
        for to, start, group_words in (
            (VectorDestination.KEYS, slots, per_block),
            (VectorDestination.VALUES, slots + values, slot_words),
        ):
            if to == VectorDestination.KEYS and heads.are_slots:
                continue
            first = to == VectorDestination.KEYS
            yield Vector(
                wait_a=wait if first else 0,
                signal_a=0 if first else free,
                operation=VectorOp.COPY,
                to=to,
                count_reg=Register.ROWS,
                inner=heads.n_slots,
                words=slot_words,
                a=start,
                a_outer=slot_stride,
                a_inner=slot_words,
                group_words=group_words,
            )

    @property
    def rotary(self) -> bool:
        """Whether keys and queries are rotated."""
        return self.model.positions == "rotary"

    def rotation(self, table: int, word: int = 0, factor: float = 1.0) -> dict[str, Any]:
        """The fields of a VECTOR that rotates heads from their ``word`` on by what stands from word
        ``table`` on in a row of rotations, where the factor is part of the table; without rotations
        a product with the factor."""
        if self.rotary:
            head_words = self.words(self.model.head_dim)
            return {
                "operation": VectorOp.ROPE,
                "address": head_words,
                "b": self.chip.vector["rope"].base + table + word,
                "b_outer": 4 * head_words,
            }
        if factor == 1:
            return {"operation": VectorOp.COPY}
        immediate = {"operand_b": OperandB.IMMEDIATE, "address": f24(factor)}
        return {"operation": VectorOp.MUL, **immediate}

    def head_norm(
        self, gain: str, first: int, row_words: int, heads: int, wait: int
    ) -> Iterable[Instruction]:
        """Every head over its root mean square, times the gain, in place."""
        each: dict[str, Any] = {
            "count_reg": Register.ROWS,
            "inner": heads,
            "words": self.words(self.model.head_dim),
            "a": first,
            "a_outer": row_words,
            "a_inner": self.words(self.model.head_dim),
        }
        to = {"d": first, "d_outer": row_words, "d_inner": each["a_inner"]}
        yield Reduce(
            wait_a=wait,
            operation=ReduceOp.SUM_SQUARES,
            post=ReducePost.RSQRT,
            address=f24(1 / self.model.head_dim),
            offset=f24(self.model.norm_eps),
            d_outer=heads,
            d_inner=1,
            **each,
        )
        scalars = {"operand_b": OperandB.ROW_SCALAR, "b_outer": heads, "b_inner": 1}
        yield Vector(operation=VectorOp.MUL, **scalars, **to, **each)
        word = self.parameter("a", self.memory.parameters.attention.word(gain))
        yield Vector(operation=VectorOp.MUL, b=word, **to, **each)

    def queries(self) -> Iterable[Instruction]:
        """Rotate and scale the queries, quantise them into the rows of their slots. The scale makes
        scores come out in units of log2."""
        heads, vector = self.chip.heads, self.chip.vector
        head_words, per_block = self.words(self.model.head_dim), self.config.words_per_block
        wait = Token.QUERIES
        if self.model.qk_norm:
            first, row_words = vector["queries"].base, self.words(self.model.q_dim)
            yield from self.head_norm("q_norm", first, row_words, self.model.n_heads, wait)
            wait = 0
        parts = [
            (kv_head, *piece)
            for kv_head in range(heads.n_kv_heads)
            for piece in self._query_pieces(kv_head % heads.per_slot)
        ]
        for number, (kv_head, word, size, block, offset) in enumerate(parts):
            yield Vector(
                wait_a=wait if number == 0 else 0,
                signal_a=Token.QUERY_CODES if number == len(parts) - 1 else 0,
                to=VectorDestination.ACTIVATIONS,
                **self.rotation(2 * head_words, word, query_factor(self.model)),
                count_reg=Register.ROWS,
                inner=heads.group,
                words=size,
                a=vector["queries"].base + kv_head * heads.group * head_words + word,
                a_outer=self.words(self.model.q_dim),
                a_inner=head_words,
                d=self.query_block(kv_head) + block,
                d_outer=heads.rows * heads.k_blocks,
                d_inner=heads.k_blocks,
                group_words=per_block,
                fill=int(size % per_block > 0),
                group_offset=offset,
            )

    def _query_pieces(self, place: int) -> list[tuple[int, int, int, int]]:
        """As `Heads.pieces`, with whole blocks that lie side by side joined."""
        per_block = self.config.words_per_block
        joined: list[tuple[int, int, int, int]] = []
        for word, size, block, offset in self.chip.heads.pieces(place):
            if size == per_block and joined and joined[-1][1] % per_block == 0:
                word, size, block, offset = joined.pop()
                size += per_block
            joined.append((word, size, block, offset))
        return joined

    def zeros_around_queries(self) -> Iterable[Instruction]:
        """Zeros in the blocks of a slot that are another head's; nothing overwrites them."""
        heads, per_block = self.chip.heads, self.config.words_per_block
        for kv_head in range(heads.n_kv_heads):
            for block in heads.empty_blocks(kv_head % heads.per_slot):
                yield Vector(
                    operation=VectorOp.MUL,
                    operand_b=OperandB.IMMEDIATE,
                    address=f24(0.0),
                    to=VectorDestination.ACTIVATIONS,
                    count_reg=Register.ROWS,
                    inner=heads.group,
                    words=per_block,
                    a=self.chip.vector["queries"].base,
                    d=self.query_block(kv_head) + block,
                    d_outer=heads.rows * heads.k_blocks,
                    d_inner=heads.k_blocks,
                    group_words=per_block,
                )

    def query_block(self, kv_head: int) -> int:
        """First block of the first query row that goes with a KV head."""
        heads = self.chip.heads
        slot, place = divmod(kv_head, heads.per_slot)
        row = slot * self.chip.chunk_rows * heads.rows + place * heads.group
        return self.chip.activations["queries"].base + row * heads.k_blocks
