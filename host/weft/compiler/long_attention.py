# SPDX-License-Identifier: Apache-2.0
"""The attention part of a layer in the program for long prompts.

Keys, values, the queries of each slot and its results are made in the inner and the outer buffer by
turns, while x waits in memory: number k of them is in the outer one where k is odd. The array may
make a value when the vector unit has done with the one two before it.
"""

from collections.abc import Iterable
from dataclasses import replace

from weft.compiler.attention import RowGroup
from weft.compiler.conventions import Register, Token
from weft.compiler.long_blocks import LongBlocks
from weft.compiler.plan import rope_words
from weft_arch.isa import Instruction

__all__ = ["LongAttention"]


class LongAttention(LongBlocks):
    """Builds the attention part of a layer of a chunk of a long prompt."""

    def attention_layer(self) -> None:
        """Norm, keys and values, queries slot by slot, attention, output; x goes to memory and
        comes back."""
        memory, chip, heads = self.memory, self.chip, self.chip.heads
        block = memory.parameters.attention
        (kv_part,), (q_part,) = memory.parts("wk"), memory.parts("wq")
        kv_words, k_blocks = kv_part.n_tiles[0], kv_part.k_blocks
        normed = chip.activations["normed"].base
        self.add(
            self.stream((kv_part, q_part), 0, Register.WEIGHTS),
            self.load_parameters("a", block, 0, register=Register.PARAMETERS),
            *self.norm_to_codes(
                *self.gain_and_bias("a", block, "attention_norm"),
                wait=Token.X,
                ready=Token.PARAMETERS_A,
                signals=(Token.NORMED, Token.PARAMETERS_A_FREE),
                read=Token.X_OUT,
            ),
        )
        self.store_x(True, wait_a=Token.X_OUT, signal_a=Token.X_STORED)
        self.store_x(False, signal_a=Token.X_FREE)
        # These parameters' words are free, so the norm has read x: its words are free then too.
        attention_bytes = block.words * memory.parameter_word_bytes
        self.add(
            self.load_parameters(
                "a", memory.parameters.feed_forward, attention_bytes, register=Register.PARAMETERS
            )
        )
        self.load_layer_rotations()
        for number, wait in enumerate((Token.NORMED, 0)):
            self.add(
                self.tiles_product(
                    kv_words,
                    k_blocks,
                    normed,
                    self.turn(number),
                    kv_words,
                    wait_a=wait,
                    wait_b=0 if number else Token.X_STORED,
                    signal_a=Token.KEYS_VALUES,
                )
            )
        # Who makes number k + 2 comes behind who has done with number k.
        self.add(*self.keys_rows(kv_words), self.slot_product(0))
        self.add(*self.values_rows(kv_words))
        for values in (0, 1):
            self.store_kv(values)
        for slot in range(heads.n_slots):
            if slot + 1 < heads.n_slots:
                self.add(self.slot_product(slot + 1))
            self.add(*self.slot_queries(slot))
        self.load_x(False, wait_a=Token.X_FREE)
        self.attend_groups()
        self.load_x(True, wait_a=Token.ATTENDED, signal_a=Token.X_LOADED)
        self.output()

    def turn(self, number: int) -> int:
        """Where a value is that is made in one of the buffers."""
        return self.chip.vector["outer" if number % 2 else "inner"].base

    def free_after(self, number: int) -> int:
        """What is signalled when a value's words are free: for the queries of a slot."""
        return Token.KEYS_VALUES_FREE if number < self.chip.heads.n_slots else 0

    def load_layer_rotations(self) -> None:
        """When x is in memory."""
        tokens = {"wait_a": Token.X_FREE, "signal_a": Token.ROTATIONS}
        self.load_rows("rope", "rope", rope_words(self.model, self.config), **tokens)

    def keys_rows(self, row_words: int) -> Iterable[Instruction]:
        """Quantise keys."""
        slots, tokens = range(self.chip.heads.n_slots), {"wait": Token.KEYS_VALUES}
        keys = self.keys(slots, self.turn(0), row_words, signal=self.free_after(0), **tokens)
        for number, instruction in enumerate(keys):
            yield instruction if number else replace(instruction, wait_b=Token.ROTATIONS)

    def values_rows(self, row_words: int) -> Iterable[Instruction]:
        """Quantise values."""
        slots, tokens = range(self.chip.heads.n_slots), {"wait": Token.KEYS_VALUES}
        return self.values(slots, self.turn(1), row_words, signal=self.free_after(1), **tokens)

    def slot_product(self, slot: int) -> Instruction:
        """The MATMUL of the queries of a slot."""
        (part,), heads = self.memory.parts("wq"), self.chip.heads
        words = heads.rows * heads.slot_words
        return self.tiles_product(
            words,
            part.k_blocks,
            self.chip.activations["normed"].base,
            self.turn(2 + slot),
            words,
            wait_a=Token.KEYS_VALUES_FREE,
            signal_a=Token.QUERIES,
        )

    def slot_queries(self, slot: int) -> Iterable[Instruction]:
        """Quantise the queries of a slot; the last two are in the words that the first two slots'
        results take."""
        heads = self.chip.heads
        last = slot == heads.n_slots - 1
        codes = Token.QUERY_CODES if slot >= heads.n_slots - 2 else 0
        row_words = heads.rows * heads.slot_words
        free = Token.X_FREE if last else self.free_after(2 + slot)
        place = self.turn(2 + slot)
        yield from self.queries(range(slot, slot + 1), place, row_words, signals=(codes, free))

    def attend(self, slot: int, group: RowGroup) -> Instruction:
        """A group's attention over a slot; the first group's waits for queries."""
        waits = group.first == 0 and slot < 2
        return replace(super().attend(slot, group), wait_a=Token.QUERY_CODES if waits else 0)

    def _attention_word(self, slot: int) -> int:
        return self.turn(2 + self.chip.heads.n_slots + slot)

    def _row_scalar(self, slot: int, group: RowGroup) -> int:
        return self.chip.sums_of(slot, group.first // self.chip.group_rows)

    def output(self) -> None:
        """The product with wo, added to x."""
        (part,) = self.memory.parts("wo")
        words = self.words(self.model.dim)
        self.add(
            self.stream((part,), self.memory.bytes_before(part, self.config), Register.WEIGHTS),
            self.tiles_product(
                words,
                part.k_blocks,
                self.chip.activations["attended"].base,
                self.chip.vector["x"].base,
                words,
                residual=True,
                wait_a=Token.X_LOADED,
                signal_a=Token.X_ATTENTION,
            ),
        )
