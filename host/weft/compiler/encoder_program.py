# SPDX-License-Identifier: Apache-2.0
"""The program of an encoder: every position sees all of them, so a layer is done for all rows
before the next one begins, chunk by chunk, and x waits in memory meanwhile.

A layer goes through the chunks twice: first for keys and values, which the second time all queries
need. See `conventions.encoder_scalars` for the registers.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from weft.compiler.attention import RowGroup
from weft.compiler.conventions import ENCODER_CHUNK_ROWS, ENCODER_CHUNKS, Register, Token
from weft.compiler.transformer_program import TransformerProgram
from weft_arch.isa import (
    Fence,
    Halt,
    Instruction,
    Load,
    LoadFormat,
    Scalar,
    ScalarOp,
    Store,
    Vector,
)

__all__ = ["EncoderProgram"]


class EncoderProgram(TransformerProgram):
    """Rows are all positions of a text, CONTEXT of them."""

    x_free, x_out = Token.X_FREE, Token.X_OUT

    def emit(self) -> list[Instruction]:
        """All instructions."""
        self.add(Scalar(destination=Register.ROWS, address_reg=ENCODER_CHUNK_ROWS))
        self.prologue()
        layers = self.open_loop(count=self.model.n_layers)
        with self.chunks():
            self.load_x()
            self.keys_values_layer()
        with self.chunks():
            self.load_x()
            self.queries_layer()
            self.feed_forward_layer()
            self.store_x()
        self.advance()
        self.close_loop(layers)
        self.epilogue()
        return self.program

    def set_rows(self) -> None:
        """The cache, which holds one layer after the other."""
        self.add(Scalar(destination=Register.KV, address=self.memory.regions["kv"].base))

    def embedding_layer(self) -> None:
        """Chunk by chunk, to memory."""
        self.add(Vector(signal_a=Token.X_FREE, words=1))
        with self.chunks():
            super().embedding_layer()
            self.store_x()

    @contextmanager
    def chunks(self, *, fence: bool = True) -> Generator[None]:
        """What is added inside runs for all chunks, one after the other, with POSITION and ROWS of
        each; with a ``fence`` it is complete before what comes next begins."""
        r = Register
        self.add(Scalar(destination=r.POSITION))
        loop = self.open_loop(count_reg=ENCODER_CHUNKS)
        self.add(
            Scalar(
                destination=r.ROWS,
                operation=ScalarOp.SUB,
                address_reg=r.CONTEXT,
                count_reg=r.POSITION,
            ),
            Scalar(
                destination=r.ROWS,
                operation=ScalarOp.MIN,
                address_reg=r.ROWS,
                count_reg=ENCODER_CHUNK_ROWS,
            ),
        )
        yield
        self.add(
            Scalar(destination=r.POSITION, address_reg=r.POSITION, count_reg=ENCODER_CHUNK_ROWS)
        )
        self.close_loop(loop)
        if fence:
            self.add(Fence())

    def _x_rows(self) -> dict[str, Any]:
        """The fields of a LOAD or STORE of the chunk's x, behind a SCALAR that sets ADDRESS."""
        words = self.words(self.model.dim)
        return {
            "address": self.memory.regions["hidden_states"].base,
            "address_reg": Register.ADDRESS,
            "count_reg": Register.ROWS,
            "words": words,
            "row_bytes": 4 * self.config.lanes * words,
        }

    def _set_address(self) -> None:
        row_bytes = self._x_rows()["row_bytes"]
        self.add(self.compute(Register.ADDRESS, ScalarOp.MUL, Register.POSITION, row_bytes))

    def load_x(self) -> None:
        """x of the chunk from memory, signals X."""
        self._set_address()
        self.add(
            Load(
                wait_a=Token.X_FREE,
                signal_a=Token.X,
                format=LoadFormat.F32,
                destination=self.chip.vector["x"].base,
                destination_stride=self.words(self.model.dim),
                **self._x_rows(),
            )
        )

    def store_x(self) -> None:
        """x of the chunk to memory; its words are free then."""
        self._set_address()
        self.add(
            Store(
                wait_a=Token.X_OUT,
                signal_a=Token.X_FREE,
                source=self.chip.vector["x"].base,
                source_stride=self.words(self.model.dim),
                **self._x_rows(),
            )
        )

    def keys_values_layer(self) -> None:
        """Keys, then values of the chunk to the cache, through the same words."""
        block, values_free = self.memory.parameters.attention, Token.KEYS_VALUES_FREE
        (keys,), (values,) = self.memory.parts("wk"), self.memory.parts("wv")
        self.add(
            self.stream((keys, values), 0, Register.WEIGHTS),
            self.load_parameters("a", block, 0, register=Register.PARAMETERS),
            *self.branch_in("a", block, "attention_norm", None, wait=Token.X, signal=Token.NORMED),
            *self.keys_values_product(keys, Token.NORMED),
            *self.keys_values(("wk",), values_free),
            *self.keys_values_product(values, values_free),
            *self.keys_values(("wv",)),
        )
        for which in (0, 1):
            self.store_kv(which)
        self.add(Vector(signal_a=Token.PARAMETERS_A_FREE, words=1))

    def store_kv(self, values: int) -> None:
        """All rows at once."""
        r = Register
        rows = {"address_reg": r.KV, "aux_a_reg": r.POSITION, "count_reg": r.ROWS}
        self.add(self.append(values, **rows))

    def queries_layer(self) -> None:
        """Attention of the chunk's queries over all keys, and its product."""
        (part,), (out,) = self.memory.parts("wq"), self.memory.parts("wo")
        block, before = self.memory.parameters.attention, self.memory.bytes_before
        self.add(
            self.stream((part,), before(part, self.config), Register.WEIGHTS),
            self.load_parameters("a", block, 0, register=Register.PARAMETERS),
            *self.branch_in("a", block, "attention_norm", out, wait=Token.X, signal=Token.NORMED),
            *self.queries_product(wait_a=Token.NORMED),
            *self.queries(
                range(self.chip.heads.n_slots),
                self.chip.vector["queries"].base,
                self.words(self.model.q_dim),
                signals=(Token.QUERY_CODES, 0),
            ),
        )
        self.attend_groups()
        self.attention_out()

    def groups(self) -> Iterator[RowGroup]:
        """All rows of the chunk."""
        r = Register
        self.add(self.compute(r.QUERY_ROWS, ScalarOp.MUL, r.ROWS, self.chip.heads.rows))
        yield RowGroup(
            first=0,
            rows={"count_reg": r.ROWS},
            query_rows={"count_reg": r.QUERY_ROWS},
            position=r.POSITION,
            kv=r.KV,
            stored=0,
        )

    def several_groups(self) -> bool:
        """Chunks have no more rows than an ATTEND."""
        return False

    def ids_of_rows(self, region: str) -> None:
        """Those of the chunk."""
        r = Register
        self.add(
            self.compute(r.ADDRESS, ScalarOp.MUL, r.POSITION, 4),
            Scalar(
                destination=r.ADDRESS,
                address_reg=r.ADDRESS,
                address=self.memory.regions[region].base,
            ),
        )

    def rows_of_positions(self, row_bytes: int) -> dict[str, Any]:
        """Gathered where a row depends on a token's type too."""
        if self.model.token_types:
            self.ids_of_rows("positions")
            return {"gather": 1, "aux_a_reg": Register.ADDRESS}
        self.add(self.compute(Register.ADDRESS, ScalarOp.MUL, Register.POSITION, row_bytes))
        return {"address_reg": Register.ADDRESS}

    def epilogue(self) -> None:
        """The final norm, where there is one; tokens taken back, HALT."""
        block = self.memory.parameters.final
        if block.words:
            with self.chunks():
                self.load_x()
                self.add(
                    self.load_parameters("a", block, self.layer_parameters(self.model.n_layers)),
                    *self.norm_in_place(
                        "x",
                        *self.gain_and_bias("a", block, "final_norm"),
                        wait=Token.X,
                        ready=Token.PARAMETERS_A,
                        signals=(Token.X_OUT, Token.PARAMETERS_A_FREE),
                    ),
                )
                self.store_x()
        self.add(
            Vector(wait_a=Token.X_FREE, words=1),
            Load(wait_a=Token.PARAMETERS_A_FREE, wait_b=Token.PARAMETERS_B_FREE, words=1),
            Halt(),
        )
