# SPDX-License-Identifier: Apache-2.0
"""What all programs of a model have in common: embedding, layers in a hardware loop, head."""

from collections.abc import Iterable
from typing import Any

from weft.compiler.attention import AttentionLayer
from weft.compiler.conventions import Register, Token
from weft.compiler.embedding import EmbeddingLayer
from weft.compiler.feed_forward import FeedForwardLayer
from weft.compiler.layer_loops import Run, layer_loops
from weft_arch.isa import (
    Codebook,
    Halt,
    Instruction,
    Load,
    Matmul,
    Scalar,
    ScalarOp,
    Store,
    StoreTopK,
    Vector,
)

__all__ = ["TransformerProgram"]


class TransformerProgram(EmbeddingLayer, AttentionLayer, FeedForwardLayer):
    """A program for one run of all layers; subclasses say whose rows it is for."""

    logit_rows: Register
    """how many rows of logits go to memory"""

    def set_rows(self) -> None:
        """Set the scalar registers that depend on whose rows these are, KV among them."""
        raise NotImplementedError

    def finish_rows(self) -> None:
        """Leave the scalar registers ready for the next run."""

    def emit(self) -> list[Instruction]:
        """All instructions."""
        self.prologue()
        for times, runs in layer_loops(self._kinds()):
            if times == 1:
                self._layers(runs)
            else:
                period = self.open_loop(count=times)
                self._layers(runs)
                self.add(Scalar())  # a loop must not end where one inside it does
                self.close_loop(period)
        self.epilogue()
        return self.program

    def _layers(self, runs: Iterable[Run]) -> None:
        """Some layers of each kind after the other."""
        for kind, count in runs:
            self.layer_kind = kind
            layers = self.open_loop(count=count)
            self.attention_layer()
            self.feed_forward_layer()
            self.advance()
            self.close_loop(layers)

    def _kinds(self) -> list[int]:
        """Which of the model's rotations each layer has."""
        model = self.model
        kinds = {rotation: kind for kind, rotation in enumerate(model.rotations)}
        return [kinds.get(model.rotation(layer), 0) for layer in range(model.n_layers)]

    def prologue(self) -> None:
        """Registers, zeros that stay, embedding and rotations."""
        r = Register
        self.set_rows()
        self.add(
            Scalar(destination=r.WEIGHTS, address=self.weight_address(0)),
            Scalar(destination=r.PARAMETERS, address=self.layer_parameters(0)),
        )
        self.add(
            *self.codebook(),
            *self.zeros_between_heads(),
            *self.zeros_around_queries(),
            Vector(signal_a=Token.PARAMETERS_A_FREE, signal_b=Token.PARAMETERS_B_FREE, words=1),
        )
        self.embedding_layer()

    def codebook(self) -> Iterable[Instruction]:
        """What 4-bit codes mean, where weights have such."""
        codebook = self.memory.weights.codebook
        if codebook is not None:
            entries = codebook.tobytes()
            yield Codebook(
                entries_low=int.from_bytes(entries[:8], "little"),
                entries_high=int.from_bytes(entries[8:], "little"),
            )

    def layer_parameters(self, layer: int) -> int:
        """Byte address of a layer's parameters; behind the last layer's, of the head's."""
        plan, word_bytes = self.memory.parameters, self.memory.parameter_word_bytes
        words = plan.embedding.words + layer * plan.layer_words
        return self.memory.regions["parameters"].base + words * word_bytes

    def advance(self) -> None:
        """Move the layer's scalar registers on."""
        layer_weights = self.weight_address(self.memory.layer_weight_bytes)
        for reg, step in (
            (Register.WEIGHTS, layer_weights - self.weight_address(0)),
            (Register.PARAMETERS, self.layer_parameters(1) - self.layer_parameters(0)),
            (Register.KV, self.memory.layer_kv_bytes),
        ):
            self.add(Scalar(destination=reg, address_reg=reg, address=step))
        self.add(*self.advance_adapter())

    def epilogue(self) -> None:
        """Final norm and head, tokens taken back, HALT."""
        self.head_layer()
        self.add(
            Vector(wait_a=Token.X, words=1),
            Load(wait_a=Token.PARAMETERS_A_FREE, wait_b=Token.PARAMETERS_B_FREE, words=1),
        )
        self.finish_rows()
        self.add(*self.rewind_adapter(), Halt())

    def head_layer(self) -> None:
        """Final norm and the logits of the rows that want them."""
        memory = self.memory
        skipped = self.model.n_layers * memory.layer_weight_bytes
        block = memory.parameters.final
        self.add(
            self.stream((memory.head_part,), skipped, 0),
            self.load_parameters("a", block, self.layer_parameters(self.model.n_layers)),
            *self.norm_to_codes(
                *self.gain_and_bias("a", block, "final_norm"),
                wait=Token.X,
                ready=Token.PARAMETERS_A,
                signals=(Token.NORMED, Token.PARAMETERS_A_FREE),
            ),
        )
        if self.chip.logit_rows == 1:
            self.add(*self.last_logits())
        else:
            self.all_logits()

    def last_logits(self) -> Iterable[Instruction]:
        """Logits of the last row, segment by segment, and the likeliest tokens."""
        r, part = Register, self.memory.head_part
        n_tiles, segment = part.n_tiles[0], self.chip.vector["logits"].size
        # LAST_ROW = (ROWS - 1) * k_blocks
        yield self.compute(r.LAST_ROW, ScalarOp.MUL, r.ROWS, part.k_blocks)
        yield self.compute(r.LAST_ROW, ScalarOp.SUB, r.LAST_ROW, part.k_blocks)
        yield Store(signal_a=Token.LOGITS_FREE, words=1)
        for start in range(0, n_tiles, segment):
            size = min(segment, n_tiles - start)
            last = start + size == n_tiles
            yield self.logits_of(
                size,
                0,
                segment,
                wait_b=Token.NORMED if start == 0 else 0,
                signal_b=Token.X if last else 0,
                count=1,
                address_reg=r.LAST_ROW,
                to_top_k=1,
                clear_top_k=int(start == 0),
                top_k_base=start * self.config.array_cols,
                top_k_limit=self.model.vocab_size,
            )
            yield self.store_logits(
                size,
                0,
                segment,
                signal_a=0 if last else Token.LOGITS_FREE,
                address=self.memory.regions["logits"].base + 4 * self.config.lanes * start,
            )
        yield StoreTopK(address=self.memory.regions["top_k"].base)

    def all_logits(self) -> None:
        """Logits of all rows, segment by segment in two buffers; a hardware loop makes all but the
        first pair and the last."""
        region, n_tiles = self.chip.vector["logits"], self.memory.head_part.n_tiles[0]
        segment = region.size // (2 * self.chip.logit_rows)
        before = -(-n_tiles // (2 * segment)) - 1
        self.add(
            Scalar(destination=Register.ADDRESS, address=self.memory.regions["logits"].base),
            *(Store(signal_a=Token.LOGITS_FREE, words=1) for _ in range(2)),
        )
        if before:
            self.add(*self.logit_pair(2 * segment, wait_b=Token.NORMED))
        if before > 1:
            middle = self.open_loop(count=before - 1)
            self.add(*self.logit_pair(2 * segment))
            self.close_loop(middle)
        self.add(
            *self.logit_pair(n_tiles - before * 2 * segment, wait_b=0 if before else Token.NORMED),
            Store(wait_a=Token.LOGITS_FREE, words=1),
            Store(wait_a=Token.LOGITS_FREE, signal_a=Token.X, words=1),
        )

    def logit_pair(self, tiles: int, wait_b: int = 0) -> Iterable[Instruction]:
        """Logits of all rows in up to two segments; ADDRESS goes on behind them."""
        half = self.chip.vector["logits"].size // 2
        segment = half // self.chip.logit_rows
        rows = {"count_reg": Register.ROWS}
        for buffer in range(-(-tiles // segment)):
            size = min(segment, tiles - buffer * segment)
            yield self.logits_of(
                size, buffer * half, segment, wait_b=0 if buffer else wait_b, **rows
            )
            yield self.store_logits(
                size,
                buffer * half,
                segment,
                signal_a=Token.LOGITS_FREE,
                address_reg=Register.ADDRESS,
            )
            yield Scalar(
                destination=Register.ADDRESS,
                address_reg=Register.ADDRESS,
                address=4 * self.config.lanes * size,
            )

    def logits_of(self, tiles: int, place: int, stride: int, **fields: Any) -> Instruction:
        """The MATMUL of a segment of logits, to a ``place`` of their words."""
        part = self.memory.head_part
        return Matmul(
            wait_a=Token.LOGITS_FREE,
            signal_a=Token.LOGITS,
            address=self.chip.activations["normed"].base,
            activation_stride=part.k_blocks,
            k_blocks=part.k_blocks,
            n_tiles=tiles,
            format=self.format,
            destination=self.chip.vector["logits"].base + place,
            destination_stride=stride,
            **fields,
        )

    def store_logits(self, tiles: int, place: int, stride: int, **fields: Any) -> Instruction:
        """The STORE of a segment of logits, if anyone wants them."""
        return Store(
            wait_a=Token.LOGITS,
            count_reg=self.logit_rows,
            words=tiles,
            source=self.chip.vector["logits"].base + place,
            source_stride=stride,
            row_bytes=4 * self.config.lanes * self.memory.head_part.n_tiles[0],
            **fields,
        )
