# SPDX-License-Identifier: Apache-2.0
"""Building blocks of the program for long prompts: norms through a small scratch, x to memory and
back."""

from collections.abc import Iterable
from typing import Any

from weft.compiler.chunk_program import ChunkProgram
from weft.compiler.conventions import Register
from weft.compiler.long_plan import LongPlan
from weft.compiler.weight_parts import blocks_of
from weft_arch.isa import (
    Instruction,
    Load,
    LoadFormat,
    OperandB,
    ScalarOp,
    Store,
    Vector,
    VectorOp,
)

__all__ = ["LongBlocks"]


class LongBlocks(ChunkProgram):
    """What attention and feed-forward part of a chunk of a long prompt are put together from."""

    chip: LongPlan

    def norm_to_codes(
        self,
        gain: int,
        bias: int | None,
        *,
        wait: int,
        ready: int,
        signals: tuple[int, int],
        read: int = 0,
    ) -> Iterable[Instruction]:
        """As in `Norms`, some columns at a time; signals ``read`` when x has been read once."""
        x, scratch = self.chip.vector["x"].base, self.chip.vector["panels"]
        words = self.words(self.model.dim)
        yield self.reciprocal_root(x, wait_a=wait, signal_a=read)
        per_block = self.config.words_per_block
        step = scratch.size // self.chip.chunk_rows // per_block * per_block
        for first in range(0, words, step):
            size = min(step, words - first)
            yield Vector(
                operation=VectorOp.MUL,
                wait_a=ready if first == 0 else 0,
                count_reg=Register.ROWS,
                words=size,
                a=x + first,
                a_outer=words,
                operand_b=OperandB.ROW_SCALAR,
                b_outer=1,
                d=scratch.base,
                d_outer=size,
            )
            yield from self.quantize_rows(
                VectorOp.MUL,
                size * self.config.lanes,
                signals=signals if first + size == words else (0, 0),
                a=scratch.base,
                a_outer=size,
                b=gain + first,
                d=self.chip.activations["normed"].base + first // per_block,
                d_outer=blocks_of(self.model.dim),
            )

    def rows_of_x(self, back: bool) -> dict[str, Any]:
        """The fields of a LOAD or STORE of the front rows of x, or of those that share words with
        attention's buffers; sets ADDRESS to their number."""
        r, front = Register, self.chip.front_rows
        words = self.words(self.model.dim)
        if back:
            self.add(
                self.compute(r.ADDRESS, ScalarOp.MAX, r.ROWS, front),
                self.compute(r.ADDRESS, ScalarOp.SUB, r.ADDRESS, front),
            )
        else:
            self.add(self.compute(r.ADDRESS, ScalarOp.MIN, r.ROWS, front))
        first, row_bytes = front if back else 0, 4 * self.config.lanes * words
        place = self.chip.vector["x"].base + first * words
        return {
            "address": self.memory.regions["residual"].base + first * row_bytes,
            "count_reg": r.ADDRESS,
            "words": words,
            "row_bytes": row_bytes,
            "source": place,
            "source_stride": words,
        }

    def store_x(self, back: bool, **tokens: int) -> None:
        """Rows of x to memory."""
        self.add(Store(**self.rows_of_x(back), **tokens))

    def load_x(self, back: bool, **tokens: int) -> None:
        """Rows of x from memory."""
        fields = self.rows_of_x(back)
        places = {"destination": fields.pop("source")}
        places["destination_stride"] = fields.pop("source_stride")
        self.add(Load(format=LoadFormat.F32, **fields, **places, **tokens))
