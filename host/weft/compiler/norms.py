# SPDX-License-Identifier: Apache-2.0
"""Norms of rows, with their gains and biases; and what else happens to the residual stream."""

from collections.abc import Iterable
from typing import Any

from weft.compiler.building_blocks import f24
from weft.compiler.conventions import Register, Token
from weft.compiler.parameters import ParameterBlock
from weft.compiler.products import Products
from weft.compiler.weight_parts import WeightPart
from weft_arch.isa import (
    Instruction,
    Load,
    LoadFormat,
    OperandB,
    Reduce,
    ReduceOp,
    ReducePost,
    Vector,
    VectorOp,
)

__all__ = ["Norms"]

_TOKENS = {
    "a": (Token.PARAMETERS_A, Token.PARAMETERS_A_FREE),
    "b": (Token.PARAMETERS_B, Token.PARAMETERS_B_FREE),
}
"""Ready and free, of each buffer of parameters."""


class Norms(Products):
    """Builds norms. Parameters are in one of two buffers, "a" or "b", by word of their block."""

    x_free: int = 0
    """the token that says when the words of x may be written"""
    norm_scalar: int = 0
    """the first row scalar of those that norms use"""
    x_out: int = Token.X
    """the token that says that embedding, or layer, have left their results in x"""

    @property
    def x_attention(self) -> int:
        """The token that says that attention is added to x; none where the vector unit, which
        reads x next, has done so itself."""
        return Token.X_ATTENTION if self.model.norm_order == "pre" else 0

    def load_parameters(
        self, buffer: str, block: ParameterBlock, address: int, *, register: int = 0
    ) -> Instruction:
        """The LOAD of a block from ``address`` + ``register`` when its buffer is free."""
        ready, free = _TOKENS[buffer]
        return Load(
            wait_a=free,
            signal_a=ready,
            address=address,
            address_reg=register,
            count=1,
            format=LoadFormat.F32,
            words=block.words,
            destination=self.parameter(buffer),
        )

    def parameter(self, buffer: str, word: int = 0) -> int:
        """The vector memory word of a word of the block in a buffer."""
        return self.chip.vector[f"parameters_{buffer}"].base + word

    def bias_of(self, buffer: str, block: ParameterBlock, part: WeightPart) -> int | None:
        """The vector memory word of a product's biases, or None where it has none."""
        word = block.bias(part)
        return None if word is None else self.parameter(buffer, word)

    def branch_in(
        self,
        buffer: str,
        block: ParameterBlock,
        name: str,
        out: WeightPart | None,
        *,
        wait: int,
        signal: int,
    ) -> Iterable[Instruction]:
        """The beginning of a part of a layer: x as the codes "normed", ``signal``led.

        The biases of the part's last product, ``out``, are added to x already: nobody reads x
        before that product is added to it. (None: x is not wanted any more, its words are free.)
        """
        ready, free = _TOKENS[buffer]
        if out is None:
            free = self.x_free
        elif self.model.norm_order == "post" or len(block.parameters) > 1:
            free = 0  # more is read later
        signals = signal, free
        if self.model.norm_order == "post":
            yield from self.quantize_x(wait=wait, ready=ready, signals=signals)
        else:
            words = self.gain_and_bias(buffer, block, name)
            yield from self.norm_to_codes(*words, wait=wait, ready=ready, signals=signals)
        bias = self.bias_of(buffer, block, out) if out else None
        if bias is not None and self.model.norm_order != "sandwich":
            yield self.on_rows(VectorOp.ADD, "x", b=bias)

    def branch_out(
        self,
        buffer: str,
        block: ParameterBlock,
        name: str,
        part: WeightPart,
        source: str,
        *,
        wait: int,
        signal: int,
    ) -> Iterable[Instruction]:
        """The end of a part of a layer: its last product is added to x, with a norm where the model
        has one, and the parameters are free."""
        x, order = self.chip.vector["x"].base, self.model.norm_order
        only = order == "pre" and len(block.parameters) == 1  # free already
        free = 0 if only else _TOKENS[buffer][1]
        if order == "pre":
            yield from self.product(
                part, source, x, residual=True, wait_a=wait, signal_a=signal, signal_b=free
            )
            return
        between = Token.BRANCH_OUT
        if order == "post":
            yield from self.product(part, source, x, residual=True, wait_a=wait, signal_a=between)
            yield from self.norm_in_place(
                "x", *self.gain_and_bias(buffer, block, name), wait=between, signals=(signal, free)
            )
            return
        scratch = self.chip.vector["scratch"].base
        bias = self.bias_of(buffer, block, part)
        yield from self.product(part, source, scratch, bias=bias, wait_a=wait, signal_a=between)
        after = self.gain_and_bias(buffer, block, name.replace("_norm", "_post_norm"))
        yield from self.norm_in_place("scratch", *after, wait=between)
        yield self.on_rows(
            VectorOp.ADD,
            "x",
            b=scratch,
            b_outer=self.words(self.model.dim),
            signal_a=signal,
            signal_b=free,
        )

    def gain_and_bias(
        self, buffer: str, block: ParameterBlock, name: str
    ) -> tuple[int, int | None]:
        """The vector memory words of a norm's gain, and of its bias where the model has one."""
        gain = self.parameter(buffer, block.word(name))
        if self.model.norm != "layer":
            return gain, None
        return gain, self.parameter(buffer, block.word(f"{name}_bias"))

    def norm_to_codes(
        self,
        gain: int,
        bias: int | None,
        *,
        wait: int,
        ready: int,
        signals: tuple[int, int],
    ) -> Iterable[Instruction]:
        """Norm of x, quantised as "normed"; gain and bias are vector memory words that are there
        after the token ``ready``."""
        x, scratch = self.chip.vector["x"].base, self.chip.vector["scratch"].base
        yield from self._normalized(x, scratch, gain, bias, wait=wait, ready=ready)
        yield from self.quantize_rows(
            VectorOp.MUL if bias is None else VectorOp.ADD,
            self.model.dim,
            signals=signals,
            a=scratch,
            a_outer=self.words(self.model.dim),
            b=gain if bias is None else bias,
            d=self.chip.activations["normed"].base,
        )

    def norm_in_place(
        self,
        of: str,
        gain: int,
        bias: int | None,
        *,
        wait: int,
        ready: int = 0,
        signals: tuple[int, int] = (0, 0),
    ) -> Iterable[Instruction]:
        """Norm of the rows of a region, written where they were."""
        place = self.chip.vector[of].base
        yield from self._normalized(place, place, gain, bias, wait=wait, ready=ready)
        yield self.on_rows(
            VectorOp.MUL if bias is None else VectorOp.ADD,
            of,
            signal_a=signals[0],
            signal_b=signals[1],
            b=gain if bias is None else bias,
        )

    def quantize_x(
        self, *, wait: int, ready: int, signals: tuple[int, int]
    ) -> Iterable[Instruction]:
        """x as the codes "normed": norms stand behind the products."""
        yield from self.quantize_rows(
            VectorOp.COPY,
            self.model.dim,
            wait=wait,
            wait_b=ready,
            signals=signals,
            a=self.chip.vector["x"].base,
            a_outer=self.words(self.model.dim),
            d=self.chip.activations["normed"].base,
        )

    def on_rows(self, operation: VectorOp, of: str, **fields: Any) -> Instruction:
        """x = operation(x, b) for a region x of rows of the model's width; b is the same for all
        rows unless the ``fields`` say otherwise."""
        place, words = self.chip.vector[of].base, self.words(self.model.dim)
        return Vector(
            operation=operation,
            count_reg=Register.ROWS,
            words=words,
            a=place,
            a_outer=words,
            d=place,
            d_outer=words,
            **fields,
        )

    def reciprocal_root(self, source: int, **tokens: int) -> Instruction:
        """Row scalars = 1 / the root mean square of rows of the model's width."""
        words = self.words(self.model.dim)
        return Reduce(
            operation=ReduceOp.SUM_SQUARES,
            post=ReducePost.RSQRT,
            address=f24(1 / self.model.dim),
            offset=f24(self.model.norm_eps),
            a=source,
            a_outer=words,
            d=self.norm_scalar,
            d_outer=1,
            count_reg=Register.ROWS,
            words=words,
            **tokens,
        )

    def _normalized(
        self, source: int, scratch: int, gain: int, bias: int | None, *, wait: int, ready: int
    ) -> Iterable[Instruction]:
        """scratch = rows of source over their root mean square (LayerNorm: less their mean first),
        times the gain too where a bias follows."""
        words = self.words(self.model.dim)
        each: dict[str, Any] = {"count_reg": Register.ROWS, "words": words}
        to: dict[str, int] = {"a_outer": words, "d": scratch, "d_outer": words}
        scalar: dict[str, int] = {
            "operand_b": OperandB.ROW_SCALAR,
            "b": self.norm_scalar,
            "b_outer": 1,
        }
        if self.model.norm == "layer":
            yield Reduce(
                wait_a=wait,
                operation=ReduceOp.SUM,
                address=f24(1 / self.model.dim),
                a=source,
                a_outer=words,
                d=self.norm_scalar,
                d_outer=1,
                **each,
            )
            yield Vector(operation=VectorOp.SUB, a=source, **to, **scalar, **each)
            source, wait = scratch, 0
        yield self.reciprocal_root(source, wait_a=wait)
        yield Vector(operation=VectorOp.MUL, wait_a=ready, a=source, **to, **scalar, **each)
        if bias is not None:
            yield Vector(operation=VectorOp.MUL, a=scratch, b=gain, **to, **each)
