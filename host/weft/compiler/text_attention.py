# SPDX-License-Identifier: Apache-2.0
"""Queries, keys, values and attention in the program for texts.

Keys and values of the next layer, and the queries of the next chunk, are made while the vector unit
is busy with a norm. So each comes as products for the array, and as steps for the vector unit that
stand between those of the norm.
"""

from collections.abc import Iterable
from itertools import chain

from weft.compiler.attention import RowGroup
from weft.compiler.conventions import ENCODER_CHUNK_ROWS, Register, Token
from weft.compiler.text_blocks import (
    KV_CODES,
    NEXT_ROWS,
    NEXT_WEIGHTS,
    SLICE_FREE,
    X_READ,
    Beside,
    TextBlocks,
    of_rows,
)
from weft_arch.isa import Instruction, Scalar, ScalarOp, StoreKV, Vector, VectorOp

__all__ = ["TextAttention"]

Steps = list[list[Instruction]]


def _beside(first: list[Instruction], products: list[Instruction], steps: Steps) -> Beside:
    """A product comes behind the step that has done with its buffer."""
    behind = [[product] for product in products[2:]] + [[], []]
    steps = [[*step, *product] for step, product in zip(steps, behind, strict=True)]
    return Beside(first=[*first, *products[:2]], steps=steps)


class TextAttention(TextBlocks):
    """Builds the attention part of a layer of a chunk of a text."""

    def slice_word(self, number: int) -> int:
        """The first word of the buffer of a slice, counted from the chunk's first."""
        size = self.chip.chunk_rows * self.chip.slice_words
        return self.chip.vector["slices"].base + number % 2 * size

    def next_queries(self) -> Beside:
        """Of the next chunk."""
        (part,), heads = self.memory.parts("wq"), self.chip.heads
        words, biases = heads.rows * heads.slot_words, self.chip.vector["query_bias"]
        stream = self.stream((part,), self.memory.bytes_before(part, self.config), NEXT_WEIGHTS)
        products: list[Instruction] = []
        steps: Steps = []
        for number, slots in enumerate(self.chip.head_slices):
            place, width = self.slice_word(number), len(slots) * words
            products.append(
                self.tiles_product(
                    width,
                    part.k_blocks,
                    self.chip.activations["normed"].base,
                    place,
                    width,
                    bias=biases.base + slots.start * words if biases.size else None,
                    wait_a=0 if number else Token.NORMED,
                    wait_b=SLICE_FREE,
                    signal_a=Token.QUERIES,
                )
            )
            codes = Token.QUERY_CODES if slots is self.chip.head_slices[-1] else 0
            queries = self.queries(slots, place, width, signals=(SLICE_FREE, codes))
            steps.append(of_rows(queries, NEXT_ROWS))
        return _beside([stream], of_rows(products, NEXT_ROWS), steps)

    def keys_values_of(self, rows: int, weight_bytes: int, kv_bytes: int) -> Beside:
        """Of the chunk before POSITION, of as many rows as a register says, to the cache; so many
        bytes ahead of this layer's weights and cache."""
        r, words = Register, self.chip.heads.slot_words
        (keys,), (values,) = self.memory.parts("wk"), self.memory.parts("wv")
        bias = self.chip.vector["kv_biases"].base
        products: list[Instruction] = []
        steps: Steps = []
        for part, quantize in ((keys, self.keys), (values, self.values)):
            biased = self.memory.parameters.attention.bias(part) is not None
            for slots in self.chip.head_slices:
                place, width = self.slice_word(len(steps)), len(slots) * words
                products.append(
                    self.tiles_product(
                        width,
                        part.k_blocks,
                        self.chip.activations["next_kv"].base,
                        place,
                        width,
                        bias=bias + slots.start * words if biased else None,
                        wait_a=0 if products else KV_CODES,
                        wait_b=SLICE_FREE,
                        signal_a=Token.KEYS_VALUES,
                    )
                )
                codes = quantize(slots, place, width, wait=Token.KEYS_VALUES, signal=SLICE_FREE)
                store = self.store_slots(int(part is values), slots, rows, kv_bytes)
                steps.append([*of_rows(codes, rows), *store])
            bias += self.words(self.model.kv_dim) if biased else 0
        first = [
            Vector(signal_a=KV_CODES, words=1),
            self.stream((keys, values), weight_bytes, r.WEIGHTS),
        ]
        return _beside(first, of_rows(products, rows), steps)

    def store_slots(
        self, values: int, slots: range, rows: int, kv_bytes: int
    ) -> Iterable[Instruction]:
        """Some slots of the chunk before POSITION to the cache."""
        r = Register
        yield Scalar(
            destination=r.ADDRESS,
            operation=ScalarOp.SUB,
            address_reg=r.POSITION,
            count_reg=ENCODER_CHUNK_ROWS,
        )
        yield StoreKV(
            values=values,
            k_blocks=self.chip.heads.k_blocks,
            slots=len(slots),
            slot_bytes=self.memory.slot_bytes,
            wide_keys=self.memory.wide_keys,
            address=kv_bytes + slots.start * self.memory.slot_bytes,
            address_reg=r.KV,
            aux_a_reg=r.ADDRESS,
            count_reg=rows,
        )

    def keys_values_of_last(self, weight_bytes: int, kv_bytes: int) -> None:
        """Keys and values of the last chunk, with nothing beside them."""
        found = self.keys_values_of(Register.ROWS, weight_bytes, kv_bytes)
        self.add(*found.first, *chain.from_iterable(found.steps))

    def kv_source(self) -> Iterable[Instruction]:
        """x as codes that keys and values of the next layer are made of; signals X_READ."""
        return self.quantize_rows(
            VectorOp.COPY,
            self.model.dim,
            signals=(X_READ, 0),
            a=self.chip.vector["x"].base,
            a_outer=self.words(self.model.dim),
            d=self.chip.activations["next_kv"].base,
        )

    def attended(self, slot: int, group: RowGroup) -> Iterable[Instruction]:
        """As ever; the biases of the product behind are added to x before the last slot's."""
        if slot == self.chip.heads.n_slots - 1:
            biases = self.chip.vector["out_bias"]
            if biases.size:
                yield self.on_rows(VectorOp.ADD, "x", b=biases.base, wait_a=Token.X)
            else:
                yield Vector(wait_a=Token.X, words=1)
        yield from super().attended(slot, group)

    def attention_out(self) -> None:
        """The product with wo, added to x; signals BRANCH_OUT."""
        (part,) = self.memory.parts("wo")
        self.add(
            self.stream((part,), self.memory.bytes_before(part, self.config), Register.WEIGHTS),
            self.matmul(
                part,
                "attended",
                self.chip.vector["x"].base,
                residual=True,
                wait_a=Token.ATTENDED,
                signal_a=Token.BRANCH_OUT,
            ),
        )

    def load_layer(self) -> None:
        """The parameters of a layer, and of keys and values of the next, for all its chunks;
        nothing else goes on when they come."""
        r, plan = Register, self.memory.parameters
        norm = [p for p in plan.attention.parameters if p.part is None]
        following = self.layer_parameters(1) - self.layer_parameters(0)
        behind = plan.attention.words * self.memory.parameter_word_bytes
        self.add(
            self.load_words(self.parameter("a"), 0, sum(p.words for p in norm), r.PARAMETERS, 0)
        )
        self.load_biases("out_bias", ("wo",), r.PARAMETERS, 0)
        self.load_biases("kv_biases", ("wk", "wv"), r.PARAMETERS, following)
        self.add(
            self.load_words(
                self.parameter("b"),
                0,
                plan.feed_forward.words,
                r.PARAMETERS,
                behind,
                signal_a=Token.PARAMETERS_A,
            ),
            Vector(wait_a=Token.PARAMETERS_A, words=1),
        )
