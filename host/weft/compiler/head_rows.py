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
from weft.compiler.plan import rope_words
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

_COPY: dict[str, Any] = {"operation": VectorOp.COPY}


class HeadRows(Norms):
    """Builds what is done with keys, values and queries before they are used."""

    layer_kind = 0
    """which of the model's rotations the layers that are being built have"""

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

    def keys_values(
        self, weights: tuple[str, ...] = ("wk", "wv"), free: int = 0
    ) -> Iterable[Instruction]:
        """Quantise what ``weights`` made, side by side in "keys_values": keys, values or both;
        signals ``free`` when their words are."""
        heads, words = self.chip.heads, self.words(self.model.kv_dim)
        slots, first = range(heads.n_slots), self.chip.vector["keys_values"].base
        for number, name in enumerate(weights):
            row_words, start = len(weights) * words, first + number * words
            tokens = {
                "wait": Token.KEYS_VALUES if number == 0 else 0,
                "signal": free if number == len(weights) - 1 else 0,
            }
            if not heads.fill_slots:
                yield from self._padded(name, start, row_words, tokens.pop("wait"))
                start, row_words = self._padded_place(name)
            quantize = self.keys if name == "wk" else self.values
            yield from quantize(slots, start, row_words, **tokens)

    def _padded_place(self, name: str) -> tuple[int, int]:
        """Where heads have zeros between them: the first word, and words of a row."""
        row_words = 2 * self.chip.heads.n_slots * self.chip.heads.slot_words
        first = self.chip.vector["padded"].base
        return first if name == "wk" else first + row_words // 2, row_words

    def _padded(self, name: str, start: int, row_words: int, wait: int) -> Iterable[Instruction]:
        """Lay heads between the zeros of their slots; keys as `keys` makes them."""
        heads, fields = self.chip.heads, _COPY
        if name == "wk":
            if self.model.qk_norm:
                yield from self.head_norm("k_norm", start, row_words, heads.n_kv_heads, wait)
                wait = 0
            fields = self.rotation(0)
        place, place_words = self._padded_place(name)
        yield Vector(
            wait_a=wait,
            **self._each_head(heads.n_kv_heads, start, row_words),
            d=place,
            d_outer=place_words,
            d_inner=heads.slot_words,
            **fields,
        )

    def keys(
        self, slots: range, first: int, row_words: int, *, wait: int = 0, signal: int = 0
    ) -> Iterable[Instruction]:
        """Quantise the keys of some slots from word ``first`` of rows of ``row_words``. Where each
        head is a slot, they are quantised as they are rotated; others that fill their slots are
        rotated in place; between zeros they are rotated already."""
        count = len(slots) * self.chip.heads.per_slot
        fresh = self.chip.heads.fill_slots
        if self.model.qk_norm and fresh:
            yield from self.head_norm("k_norm", first, row_words, count, wait)
            wait = 0
        fields = _COPY
        if self.chip.heads.are_slots:
            fields = self.rotation(0)
        elif self.rotary and fresh:
            each = self._each_head(count, first, row_words)
            to = {"d": first, "d_outer": row_words, "d_inner": each["a_inner"]}
            yield Vector(wait_a=wait, **self.rotation(0), **to, **each)
            wait = 0
        tokens = {"wait_a": wait, "signal_a": signal}
        yield self._to_cache(VectorDestination.KEYS, slots, first, row_words, **fields, **tokens)

    def values(
        self, slots: range, first: int, row_words: int, *, wait: int = 0, signal: int = 0
    ) -> Iterable[Instruction]:
        """Quantise the values of some slots from word ``first`` of rows of ``row_words``."""
        tokens = {"wait_a": wait, "signal_a": signal}
        yield self._to_cache(VectorDestination.VALUES, slots, first, row_words, **_COPY, **tokens)

    def _each_head(self, count: int, first: int, row_words: int) -> dict[str, Any]:
        head_words = self.words(self.model.head_dim)
        return {
            "count_reg": Register.ROWS,
            "inner": count,
            "words": head_words,
            "a": first,
            "a_outer": row_words,
            "a_inner": head_words,
        }

    def _to_cache(
        self, to: VectorDestination, slots: range, first: int, row_words: int, **fields: Any
    ) -> Instruction:
        """The VECTOR that quantises slots for STORE_KV: keys block by block, values as a whole."""
        slot_words = self.chip.heads.slot_words
        keys = to == VectorDestination.KEYS
        return Vector(
            to=to,
            count_reg=Register.ROWS,
            inner=len(slots),
            words=slot_words,
            a=first,
            a_outer=row_words,
            a_inner=slot_words,
            group_words=self.config.words_per_block if keys else slot_words,
            wide_keys=self.memory.wide_keys if keys else 0,
            **fields,
        )

    @property
    def rotary(self) -> bool:
        """Whether keys and queries are rotated."""
        return self.model.positions == "rotary"

    def rotation(self, table: int, word: int = 0, factor: float = 1.0) -> dict[str, Any]:
        """The fields of a VECTOR that rotates heads from their ``word`` on by what stands from word
        ``table`` on in the layer's part of a row of rotations, where the factor is part of the
        table; without rotations a product with the factor."""
        if self.rotary:
            head_words, row_words = (
                self.words(self.model.head_dim),
                rope_words(self.model, self.config),
            )
            of_layer = self.layer_kind * row_words // len(self.model.rotations)
            return {
                "operation": VectorOp.ROPE,
                "address": head_words,
                "b": self.chip.vector["rope"].base + of_layer + table + word,
                "b_outer": row_words,
            }
        if factor == 1:
            return _COPY
        immediate = {"operand_b": OperandB.IMMEDIATE, "address": f24(factor)}
        return {"operation": VectorOp.MUL, **immediate}

    def head_norm(
        self, gain: str, first: int, row_words: int, heads: int, wait: int
    ) -> Iterable[Instruction]:
        """Every head over its root mean square, times the gain, in place."""
        each = self._each_head(heads, first, row_words)
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

    def queries(
        self, slots: range, first: int, row_words: int, *, signals: tuple[int, int]
    ) -> Iterable[Instruction]:
        """Rotate and scale the queries of some slots, which begin at word ``first`` of rows of
        ``row_words``; quantise them into the rows of their slots. The scale makes scores come out
        in units of log2."""
        heads = self.chip.heads
        head_words, per_block = self.words(self.model.head_dim), self.config.words_per_block
        kv_heads = range(slots.start * heads.per_slot, slots.stop * heads.per_slot)
        kv_heads = kv_heads[: heads.n_kv_heads - kv_heads.start]
        wait = Token.QUERIES
        if self.model.qk_norm:
            count = len(kv_heads) * heads.group
            yield from self.head_norm("q_norm", first, row_words, count, wait)
            wait = 0
        parts = [
            (kv_head, *piece)
            for kv_head in kv_heads
            for piece in self._query_pieces(kv_head % heads.per_slot)
        ]
        for number, (kv_head, word, size, block, offset) in enumerate(parts):
            last = number == len(parts) - 1
            yield Vector(
                wait_a=wait if number == 0 else 0,
                signal_a=signals[0] if last else 0,
                signal_b=signals[1] if last else 0,
                to=VectorDestination.ACTIVATIONS,
                **self.rotation(2 * head_words, word, query_factor(self.model)),
                count_reg=Register.ROWS,
                inner=heads.group,
                words=size,
                a=first + (kv_head - kv_heads.start) * heads.group * head_words + word,
                a_outer=row_words,
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
