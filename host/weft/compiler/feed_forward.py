# SPDX-License-Identifier: Apache-2.0
"""The feed-forward part of a layer, whose hidden channels are made slice by slice."""

from collections.abc import Iterable

from weft.compiler.building_blocks import BuildingBlocks
from weft.compiler.conventions import Register, Token
from weft.compiler.plan import WeightPart, blocks_of
from weft_arch.config import BLOCK
from weft_arch.isa import Activation, Instruction, Vector, VectorOp

__all__ = ["FeedForwardLayer"]

_ACTIVATIONS = {
    "silu": Activation.SILU,
    "gelu_tanh": Activation.GELU_TANH,
    "gelu_erf": Activation.GELU_ERF,
}


class FeedForwardLayer(BuildingBlocks):
    """Builds the feed-forward part of a layer."""

    def feed_forward_layer(self) -> None:
        """Norm, gate and up, activation, down."""
        *gate_up, down = self.memory.layer_parts[3:]
        self.add(
            self.load_gain(
                "gain_b", self.memory.gain_bytes, Register.GAINS, Token.GAIN_B_FREE, Token.GAIN_B
            ),
            *self.norm(
                "gain_b", Token.X_ATTENTION, Token.GAIN_B, Token.GAIN_B_FREE, Token.NORMED_FFN
            ),
        )
        for number, part in enumerate(gate_up):
            self.add(*self.hidden_slice(part, number, len(gate_up)))
        x = self.chip.vector["x"].base
        self.add(
            self.matmul(down, "hidden", x, residual=True, wait_a=Token.HIDDEN, signal_a=Token.X)
        )

    def hidden_slice(self, part: WeightPart, number: int, count: int) -> Iterable[Instruction]:
        """A slice of the hidden channels, in one of two buffers: activation(gate) * up."""
        words, region = part.n_tiles[0], self.chip.vector["gate_up"]
        vector = region.base + number % 2 * (region.size // 2)
        row_words, first = 2 * words, part.first_tile * self.config.array_cols
        last, again = number == count - 1, number + 2 < count
        yield self.matmul(
            part,
            "normed",
            vector,
            wait_a=Token.NORMED_FFN if number == 0 else 0,
            wait_b=Token.GATE_UP_FREE if number > 1 else 0,
            signal_a=Token.GATE_UP,
        )
        yield Vector(
            wait_a=Token.GATE_UP,
            operation=VectorOp.ACTIVATE,
            activation=_ACTIVATIONS[self.model.activation],
            count_reg=Register.ROWS,
            words=words,
            a=vector,
            a_outer=row_words,
            d=vector,
            d_outer=row_words,
        )
        yield from self.quantize_rows(
            VectorOp.MUL,
            min(words * self.config.array_cols, self.model.hidden_dim - first),
            signals=(Token.HIDDEN if last else 0, Token.GATE_UP_FREE if again else 0),
            a=vector,
            a_outer=row_words,
            b=vector + words,
            b_outer=row_words,
            d=self.chip.activations["hidden"].base + first // BLOCK,
            d_outer=blocks_of(self.model.hidden_dim),
        )
