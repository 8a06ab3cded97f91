# SPDX-License-Identifier: Apache-2.0
"""The program that appends adjacent tokens to one sequence: prompts, and steps of one token."""

from collections.abc import Iterator
from typing import Any

from weft.compiler.attention import RowGroup
from weft.compiler.conventions import Register, Token
from weft.compiler.transformer_program import TransformerProgram
from weft_arch.isa import Instruction, Scalar, ScalarOp

__all__ = ["ChunkProgram"]


class ChunkProgram(TransformerProgram):
    """Rows are the positions POSITION to POSITION + ROWS - 1 of the sequence at SEQUENCE."""

    logit_rows = Register.LOGITS

    def set_rows(self) -> None:
        """KV, and what one ATTEND per slot needs where that is all."""
        r, kv = Register, self.memory.regions["kv"].base
        self.add(Scalar(destination=r.KV, address_reg=r.SEQUENCE, address=kv))
        if not self.several_groups():
            self.add(
                Scalar(destination=r.CONTEXT, address_reg=r.POSITION, count_reg=r.ROWS),
                self.times_query_rows(r.ROWS),
            )

    def times_query_rows(self, rows: Register) -> Instruction:
        """QUERY_ROWS = query rows of a slot for so many positions."""
        return self.compute(Register.QUERY_ROWS, ScalarOp.MUL, rows, self.chip.heads.rows)

    def rows_of_positions(self, row_bytes: int) -> dict[str, Any]:
        """Adjacent rows."""
        self.add(self.compute(Register.ADDRESS, ScalarOp.MUL, Register.POSITION, row_bytes))
        return {"address_reg": Register.ADDRESS}

    def store_kv(self, values: int) -> None:
        """All rows at once."""
        self.add(
            self.append(
                values,
                signal_a=Token.KV_STORED if values else 0,
                address_reg=Register.KV,
                aux_a_reg=Register.POSITION,
                count_reg=Register.ROWS,
            )
        )

    def several_groups(self) -> bool:
        """Whether a chunk may have more query rows per slot than an ATTEND takes."""
        return self.chip.chunk_rows > self.chip.group_rows

    def groups(self) -> Iterator[RowGroup]:
        """As many positions at a time as an ATTEND takes; the chunk may lack some."""
        r = Register
        if not self.several_groups():
            yield RowGroup(
                first=0,
                rows={"count_reg": r.ROWS},
                query_rows={"count_reg": r.QUERY_ROWS},
                position=r.POSITION,
                kv=r.KV,
                stored=Token.KV_STORED,
            )
            return
        size = self.chip.group_rows
        for first in range(0, self.chip.chunk_rows, size):
            # GROUP_ROWS = min(max(ROWS, first) - first, size); none: the group is left out.
            self.add(
                self.compute(r.GROUP_ROWS, ScalarOp.MAX, r.ROWS, first),
                self.compute(r.GROUP_ROWS, ScalarOp.SUB, r.GROUP_ROWS, first),
                self.compute(r.GROUP_ROWS, ScalarOp.MIN, r.GROUP_ROWS, size),
                self.compute(r.ADDRESS, ScalarOp.MIN, r.GROUP_ROWS, 1),
            )
            guard = self.open_loop(count_reg=r.ADDRESS)
            self.add(
                self.times_query_rows(r.GROUP_ROWS),
                Scalar(destination=r.GROUP_POSITION, address_reg=r.POSITION, address=first),
                Scalar(destination=r.CONTEXT, address_reg=r.GROUP_POSITION, count_reg=r.GROUP_ROWS),
            )
            yield RowGroup(
                first=first,
                rows={"count_reg": r.GROUP_ROWS},
                query_rows={"count_reg": r.QUERY_ROWS},
                position=r.GROUP_POSITION,
                kv=r.KV,
                stored=0 if first else Token.KV_STORED,
            )
            self.close_loop(guard)

    def head_layer(self) -> None:
        """Only if HEAD says so."""
        head = self.open_loop(count_reg=Register.HEAD)
        super().head_layer()
        self.close_loop(head)

    def finish_rows(self) -> None:
        """The next chunk follows this one."""
        r = Register
        self.add(Scalar(destination=r.POSITION, address_reg=r.POSITION, count_reg=r.ROWS))
