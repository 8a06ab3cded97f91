# SPDX-License-Identifier: Apache-2.0
"""The feed-forward part of a layer, whose hidden channels are made slice by slice."""

from collections.abc import Iterable
from typing import Any

from weft.compiler.conventions import Register, Token
from weft.compiler.norms import Norms
from weft.compiler.weight_parts import WeightPart, blocks_of
from weft_arch.config import BLOCK
from weft_arch.isa import Activation, Instruction, Vector, VectorOp

__all__ = ["FeedForwardLayer"]

ACTIVATIONS = {
    "silu": Activation.SILU,
    "gelu_tanh": Activation.GELU_TANH,
    "gelu_erf": Activation.GELU_ERF,
}


class FeedForwardLayer(Norms):
    """Builds the feed-forward part of a layer."""

    def feed_forward_layer(self) -> None:
        """Norm, gate and up, activation, down; the parameters are in buffer b."""
        slices, (down,) = self.memory.parts("w_up"), self.memory.parts("w_down")
        block = self.memory.parameters.feed_forward
        attention_bytes = self.memory.parameters.attention.words * self.memory.parameter_word_bytes
        self.add(
            self.load_parameters("b", block, attention_bytes, register=Register.PARAMETERS),
            *self.branch_in(
                "b", block, "ffn_norm", down, wait=self.x_attention, signal=Token.NORMED_FFN
            ),
        )
        for number, part in enumerate(slices):
            self.add(*self.hidden_slice(part, number, len(slices)))
        self.add(
            *self.branch_out(
                "b", block, "ffn_norm", down, "hidden", wait=Token.HIDDEN, signal=self.x_out
            )
        )

    def hidden_slice(self, part: WeightPart, number: int, count: int) -> Iterable[Instruction]:
        """A slice of the hidden channels, in one of two buffers: activation(gate) * up, or
        activation(up)."""
        words, region = part.n_tiles[0], self.chip.vector["gate_up"]
        vector = region.base + number % 2 * (region.size // 2)
        row_words, first = len(part.names) * words, part.first_tile * self.config.array_cols
        last, again = number == count - 1, number + 2 < count
        yield from self.product(
            part,
            "normed",
            vector,
            bias=self.bias_of("b", self.memory.parameters.feed_forward, part),
            wait_a=Token.NORMED_FFN if number == 0 else 0,
            wait_b=Token.GATE_UP_FREE if number > 1 else 0,
            signal_a=Token.GATE_UP,
        )
        activate: dict[str, Any] = {
            "operation": VectorOp.ACTIVATE,
            "activation": ACTIVATIONS[self.model.activation],
            "a": vector,
            "a_outer": row_words,
        }
        codes: dict[str, Any] = {
            "width": min(words * self.config.array_cols, self.model.hidden_dim - first),
            "signals": (Token.HIDDEN if last else 0, Token.GATE_UP_FREE if again else 0),
            "d": self.chip.activations["hidden"].base + first // BLOCK,
            "d_outer": blocks_of(self.model.hidden_dim),
        }
        if len(part.names) == 1:
            yield from self.quantize_rows(wait=Token.GATE_UP, **activate, **codes)
            return
        yield Vector(
            wait_a=Token.GATE_UP,
            count_reg=Register.ROWS,
            words=words,
            d=vector,
            d_outer=row_words,
            **activate,
        )
        yield from self.quantize_rows(
            VectorOp.MUL,
            a=vector,
            a_outer=row_words,
            b=vector + words,
            b_outer=row_words,
            **codes,
        )
