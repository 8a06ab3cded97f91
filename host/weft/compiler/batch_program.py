# SPDX-License-Identifier: Apache-2.0
"""The program that appends one token to each of several sequences: weights are read once for all.

What belongs to a row's sequence (its cache, its keys) is done row by row. The registers from
BATCH_REGISTER on name the rows; see `conventions.batch_scalars`.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from weft.compiler.attention import RowGroup
from weft.compiler.conventions import (
    BATCH_POSITION_BITS,
    BATCH_REGISTER,
    BATCH_SEQUENCE_BITS,
    Register,
    Token,
)
from weft.compiler.plan import OnChipPlan
from weft.compiler.transformer_program import TransformerProgram
from weft_arch.isa import Instruction, Scalar, ScalarOp

__all__ = ["Batch", "BatchProgram"]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The program for a step of up to ``chip.chunk_rows`` sequences."""

    chip: OnChipPlan
    program: tuple[Instruction, ...]


class BatchProgram(TransformerProgram):
    """Row b is a position of one sequence, both from register BATCH_REGISTER + b."""

    logit_rows = Register.ROWS

    def set_rows(self) -> None:
        """The cache of the first sequence."""
        self.add(Scalar(destination=Register.KV, address=self.memory.regions["kv"].base))

    def several_groups(self) -> bool:
        """Always: one per row."""
        return True

    def rows_of_positions(self, row_bytes: int) -> dict[str, Any]:
        """Gathered by the rows' positions."""
        self.ids_of_rows("positions")
        return {"gather": 1, "aux_a_reg": Register.ADDRESS}

    @contextmanager
    def row(self, number: int) -> Generator[None]:
        """What is added inside runs if the batch has the row, with ADDRESS its sequence's cache of
        the layer, GROUP_POSITION its position, and CONTEXT the keys that it sees."""
        r, packed = Register, BATCH_REGISTER + number
        used = BATCH_POSITION_BITS + BATCH_SEQUENCE_BITS
        self.add(self.compute(r.ADDRESS, ScalarOp.SHIFT_RIGHT, packed, used))
        guard = self.open_loop(count_reg=r.ADDRESS)
        self.add(
            self.compute(r.GROUP_POSITION, ScalarOp.AND, packed, (1 << BATCH_POSITION_BITS) - 1),
            Scalar(destination=r.CONTEXT, address_reg=r.GROUP_POSITION, address=1),
            self.compute(r.ADDRESS, ScalarOp.SHIFT_RIGHT, packed, BATCH_POSITION_BITS),
            self.compute(r.ADDRESS, ScalarOp.AND, r.ADDRESS, (1 << BATCH_SEQUENCE_BITS) - 1),
            self.compute(r.ADDRESS, ScalarOp.MUL, r.ADDRESS, self.memory.sequence_kv_bytes),
            Scalar(destination=r.ADDRESS, address_reg=r.ADDRESS, count_reg=r.KV),
        )
        yield
        self.close_loop(guard)

    def store_kv(self, values: int) -> None:
        """Row by row, each to its sequence's cache."""
        for number in range(self.chip.chunk_rows):
            with self.row(number):
                self.add(
                    self.append(
                        values,
                        signal_a=Token.KV_STORED if values else 0,
                        address_reg=Register.ADDRESS,
                        aux_a_reg=Register.GROUP_POSITION,
                        count=1,
                    )
                )

    def groups(self) -> Iterator[RowGroup]:
        """Every row is a group."""
        for number in range(self.chip.chunk_rows):
            with self.row(number):
                yield RowGroup(
                    first=number,
                    rows={"count": 1},
                    query_rows={"count": self.chip.heads.rows},
                    position=Register.GROUP_POSITION,
                    kv=Register.ADDRESS,
                    stored=Token.KV_STORED,
                )
