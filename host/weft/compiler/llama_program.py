# SPDX-License-Identifier: Apache-2.0
"""What all programs of a Llama model have in common: embedding, layers in a hardware loop, head."""

from collections.abc import Iterable
from typing import Any

from weft.compiler.attention import AttentionLayer
from weft.compiler.conventions import Register, Token
from weft.compiler.feed_forward import FeedForwardLayer
from weft_arch.isa import (
    Codebook,
    Halt,
    Instruction,
    Load,
    LoadFormat,
    Matmul,
    Scalar,
    ScalarOp,
    Store,
    StoreTopK,
    Vector,
    WeightFormat,
)

__all__ = ["LlamaProgram"]


class LlamaProgram(AttentionLayer, FeedForwardLayer):
    """A program for one run of all layers; subclasses say whose rows it is for."""

    logit_rows: Register
    """how many rows of logits go to memory"""

    def set_rows(self) -> None:
        """Set the scalar registers that depend on whose rows these are, KV among them."""
        raise NotImplementedError

    def load_rope(self) -> Iterable[Instruction]:
        """The LOAD of the rows' rotations, signals nothing."""
        raise NotImplementedError

    def finish_rows(self) -> None:
        """Leave the scalar registers ready for the next run."""

    def emit(self) -> list[Instruction]:
        """All instructions."""
        self.prologue()
        layers = self.open_loop(count=self.model.n_layers)
        self.attention_layer()
        self.feed_forward_layer()
        self.advance()
        self.close_loop(layers)
        self.epilogue()
        return self.program

    def prologue(self) -> None:
        """Registers, zeros that stay, embedding and rotations."""
        r, memory = Register, self.memory
        self.set_rows()
        self.add(
            Scalar(destination=r.WEIGHTS, address=memory.regions["weights"].base),
            Scalar(destination=r.GAINS, address=memory.regions["gains"].base),
        )
        if self.format == WeightFormat.W4:
            entries = bytes(value & 0xFF for value in range(-8, 8))
            self.add(
                Codebook(
                    entries_low=int.from_bytes(entries[:8], "little"),
                    entries_high=int.from_bytes(entries[8:], "little"),
                )
            )
        dim_words = self.words(self.model.dim)
        self.add(
            *self.zeros_between_heads(),
            *self.zeros_around_queries(),
            Vector(signal_a=Token.GAIN_A_FREE, signal_b=Token.GAIN_B_FREE, words=1),
            Scalar(destination=r.ADDRESS, address=memory.regions["ids"].base),
            Load(
                signal_a=Token.X,
                address=memory.regions["embedding"].base,
                aux_a_reg=r.ADDRESS,
                count_reg=r.ROWS,
                format=LoadFormat.F16,
                gather=1,
                words=dim_words,
                destination=self.chip.vector["x"].base,
                destination_stride=dim_words,
                row_bytes=memory.row_bytes,
            ),
            # Done before the first gain, whose token covers it: loads finish in order.
            *self.load_rope(),
        )

    def advance(self) -> None:
        """Move the layer's scalar registers on."""
        for reg, step in (
            (Register.WEIGHTS, self.memory.layer_weight_bytes),
            (Register.GAINS, 2 * self.memory.gain_bytes),
            (Register.KV, self.memory.layer_kv_bytes),
        ):
            self.add(Scalar(destination=reg, address_reg=reg, address=step))

    def epilogue(self) -> None:
        """Final norm and head, tokens taken back, HALT."""
        self.head_layer()
        self.add(
            Vector(wait_a=Token.X, words=1),
            Load(wait_a=Token.GAIN_A_FREE, wait_b=Token.GAIN_B_FREE, words=1),
        )
        self.finish_rows()
        self.add(Halt())

    def head_layer(self) -> None:
        """Final norm and the logits of the rows that want them."""
        memory = self.memory
        start = memory.regions["weights"].base + self.model.n_layers * memory.layer_weight_bytes
        gain = memory.regions["gains"].base + 2 * self.model.n_layers * memory.gain_bytes
        self.add(
            self.stream((memory.head_part,), start, 0),
            self.load_gain("gain_a", gain, 0, Token.GAIN_A_FREE, Token.GAIN_A),
            *self.norm("gain_a", Token.X, Token.GAIN_A, Token.GAIN_A_FREE, Token.NORMED),
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
            *(Vector(wait_a=Token.LOGITS_FREE, words=1) for _ in range(2)),
            Store(signal_a=Token.X, words=1),
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
