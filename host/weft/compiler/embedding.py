# SPDX-License-Identifier: Apache-2.0
"""The beginning of a run: rows of the embedding, and what is done with them before the layers."""

from collections.abc import Iterable
from typing import Any

from weft.compiler.building_blocks import f24
from weft.compiler.conventions import Register, Token
from weft.compiler.norms import Norms
from weft.compiler.plan import rope_words
from weft_arch.isa import Load, LoadFormat, OperandB, Scalar, VectorOp

__all__ = ["EmbeddingLayer"]


class EmbeddingLayer(Norms):
    """Builds the embedding."""

    def ids_of_rows(self, region: str) -> None:
        """Set ADDRESS to where the rows' token ids, or positions, begin in memory."""
        self.add(Scalar(destination=Register.ADDRESS, address=self.memory.regions[region].base))

    def rows_of_positions(self, row_bytes: int) -> dict[str, Any]:
        """The fields of a LOAD of a row of a table for every position; may set ADDRESS."""
        raise NotImplementedError

    def embedding_layer(self) -> None:
        """x = scale * rows of the embedding + rows of learned positions, normalised where the model
        does so; signals ``x_out``. Rotations are loaded too."""
        model, memory, r = self.model, self.memory, Register
        words = self.words(model.dim)
        learned = model.positions == "learned"
        more = learned or model.embedding_scale != 1 or model.embedding_norm
        done = Token.EMBEDDED if more else self.x_out
        self.ids_of_rows("ids")
        self.add(
            Load(
                wait_a=self.x_free,
                signal_a=0 if learned else done,
                address=memory.regions["embedding"].base,
                aux_a_reg=r.ADDRESS,
                count_reg=r.ROWS,
                format=memory.embedding,
                gather=1,
                words=words,
                destination=self.chip.vector["x"].base,
                destination_stride=words,
                row_bytes=memory.row_bytes,
            ),
        )
        if learned:
            self.load_rows("position_embedding", "scratch", words, signal_a=done)
        else:
            self.load_rotations()
        steps = list(self._steps(learned))
        for number, fields in enumerate(steps):
            if number == 0:
                fields["wait_a"] = Token.EMBEDDED
            last = number == len(steps) - 1 and not model.embedding_norm
            self.add(self.on_rows(signal_a=self.x_out if last else 0, of="x", **fields))
        if model.embedding_norm:
            block = memory.parameters.embedding
            self.add(
                self.load_parameters("a", block, memory.regions["parameters"].base),
                *self.norm_in_place(
                    "x",
                    *self.gain_and_bias("a", block, "embedding_norm"),
                    wait=0 if steps else Token.EMBEDDED,
                    ready=Token.PARAMETERS_A,
                    signals=(self.x_out, Token.PARAMETERS_A_FREE),
                ),
            )

    def load_rotations(self) -> None:
        """Done before the first parameters, whose token covers it: loads finish in order."""
        self.load_rows("rope", "rope", rope_words(self.model, self.config))

    def load_rows(self, table: str, region: str, words: int, **fields: Any) -> None:
        """LOAD the positions' rows of a table in memory."""
        row_bytes = 4 * self.config.lanes * words
        rows = self.rows_of_positions(row_bytes)
        self.add(
            Load(
                address=self.memory.regions[table].base,
                count_reg=Register.ROWS,
                format=LoadFormat.F32,
                words=words,
                destination=self.chip.vector[region].base,
                destination_stride=words,
                row_bytes=row_bytes,
                **rows,
                **fields,
            )
        )

    def _steps(self, learned: bool) -> Iterable[dict[str, Any]]:
        """What is done to all rows of x, as fields of VECTOR."""
        if self.model.embedding_scale != 1:
            yield {
                "operation": VectorOp.MUL,
                "operand_b": OperandB.IMMEDIATE,
                "address": f24(self.model.embedding_scale),
            }
        if learned:
            yield {
                "operation": VectorOp.ADD,
                "b": self.chip.vector["scratch"].base,
                "b_outer": self.words(self.model.dim),
            }
