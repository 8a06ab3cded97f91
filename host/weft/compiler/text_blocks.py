# SPDX-License-Identifier: Apache-2.0
"""Building blocks of the program for texts: parts that some chunks leave out, x on its way between
memory and chip, parameters, and norms with the products of another chunk beside them."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from weft.compiler.conventions import ENCODER_CHUNK_ROWS, Register, Token
from weft.compiler.encoder_program import EncoderProgram
from weft.compiler.text_plan import TextPlan
from weft_arch.isa import Instruction, Load, LoadFormat, Scalar, ScalarOp, Vector, VectorOp

__all__ = [
    "KV_CODES",
    "LAYERS_LEFT",
    "NEXT_PARAMETERS",
    "NEXT_POSITION",
    "NEXT_ROWS",
    "NEXT_WEIGHTS",
    "POSITIONS_FREE",
    "SLICE_FREE",
    "X_READ",
    "Beside",
    "TextBlocks",
    "of_rows",
]

NEXT_POSITION, NEXT_ROWS, NEXT_WEIGHTS, NEXT_PARAMETERS, LAYERS_LEFT = (
    Register.GROUP_POSITION,
    Register.GROUP_ROWS,
    Register.SEQUENCE,
    Register.LAST_ROW,
    15,
)
"""Registers that name the chunk behind this one, whose layer is the next one where this chunk is
the last of its own (no rows: there is none), and count the layers behind this one."""
SLICE_FREE = Token.GATE_UP_FREE
"""The words of a slice are free again: one of the two buffers."""
X_READ = Token.X_STORED
"""x of the chunk is read for the last time."""
STAGED, STAGE_FREE = Token.X_LOADED, Token.ROTATIONS
"""Rows of x of the next chunk are there; their words may be written."""
KV_CODES = Token.KEYS_VALUES_FREE
"""What keys and values of the next layer are made of is quantised."""
POSITIONS_FREE = Token.LOGITS_FREE
"""Words of learned positions are free again."""


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Products that the array makes while the vector unit works on a norm."""

    first: list[Instruction]
    """the stream, and what fills the two buffers"""
    steps: list[list[Instruction]]
    """what the vector unit does with a slice, and the product that takes its buffer"""


def of_rows(instructions: Iterable[Instruction], register: int) -> list[Instruction]:
    """Instructions over the rows of a chunk, for as many rows as another register says."""
    return [
        replace(i, count_reg=register) if i.count_reg == Register.ROWS else i for i in instructions
    ]


class TextBlocks(EncoderProgram):
    """What the program for a text is put together from."""

    chip: TextPlan

    @contextmanager
    def where(self, *registers: int) -> Generator[None]:
        """What is added inside runs where none of the registers is 0."""
        r = Register
        first, *more = registers
        self.add(self.compute(r.ADDRESS, ScalarOp.MIN, first, 1))
        for register in more:
            self.add(
                Scalar(
                    destination=r.ADDRESS,
                    operation=ScalarOp.MIN,
                    address_reg=r.ADDRESS,
                    count_reg=register,
                )
            )
        loop = self.open_loop(count_reg=r.ADDRESS)
        yield
        self.close_loop(loop)

    def next_chunk(self) -> None:
        """Set the registers that name the chunk behind this one."""
        r, memory = Register, self.memory
        layer = memory.layer_weight_bytes
        parameters = self.layer_parameters(1) - self.layer_parameters(0)
        self.add(
            Scalar(
                destination=NEXT_POSITION,
                address_reg=r.POSITION,
                count_reg=ENCODER_CHUNK_ROWS,
            ),
            # Rows left behind this chunk, at most as many as a chunk has.
            Scalar(
                destination=NEXT_ROWS,
                operation=ScalarOp.MAX,
                address_reg=r.CONTEXT,
                count_reg=NEXT_POSITION,
            ),
            Scalar(
                destination=NEXT_ROWS,
                operation=ScalarOp.SUB,
                address_reg=NEXT_ROWS,
                count_reg=NEXT_POSITION,
            ),
            Scalar(
                destination=NEXT_ROWS,
                operation=ScalarOp.MIN,
                address_reg=NEXT_ROWS,
                count_reg=ENCODER_CHUNK_ROWS,
            ),
            Scalar(destination=NEXT_WEIGHTS, address_reg=r.WEIGHTS),
            Scalar(destination=NEXT_PARAMETERS, address_reg=r.PARAMETERS),
            # 1 where none is left, else 0
            self.compute(r.ADDRESS, ScalarOp.MIN, NEXT_ROWS, 1),
            self.compute(r.ADDRESS, ScalarOp.ADD, r.ADDRESS, 1),
            self.compute(r.ADDRESS, ScalarOp.AND, r.ADDRESS, 1),
        )
        last = self.open_loop(count_reg=r.ADDRESS)
        with self.where(LAYERS_LEFT):
            self.add(Scalar(destination=NEXT_ROWS, address_reg=ENCODER_CHUNK_ROWS))
        self.add(
            Scalar(destination=NEXT_POSITION),
            Scalar(destination=NEXT_WEIGHTS, address_reg=r.WEIGHTS, address=layer),
            Scalar(destination=NEXT_PARAMETERS, address_reg=r.PARAMETERS, address=parameters),
        )
        self.close_loop(last)

    def load_next_x(self) -> None:
        """x of the next chunk in the words of this one's, signals X."""
        fields = self._x_rows() | {"count_reg": NEXT_ROWS}
        self.add(
            self.compute(Register.ADDRESS, ScalarOp.MUL, NEXT_POSITION, fields["row_bytes"]),
            Load(
                wait_a=Token.X_FREE,
                wait_b=X_READ,
                signal_a=Token.X,
                format=LoadFormat.F32,
                destination=self.chip.vector["x"].base,
                destination_stride=self.words(self.model.dim),
                **fields,
            ),
        )

    def stage(self) -> None:
        """The codes of x of the next chunk, through words that slices have at other times; the
        biases of its queries. Signals NORMED."""
        rows, size = Register.QUERY_ROWS, self.chip.staged_rows  # no ATTEND uses that register yet
        words, place = self.words(self.model.dim), self.chip.vector["staged"].base
        fields = self._x_rows()
        self.add(Vector(signal_a=STAGE_FREE, words=1))
        self.load_biases("query_bias", ("wq",), NEXT_PARAMETERS, 0, wait_a=STAGE_FREE)
        biased = self.chip.vector["query_bias"].size > 0
        for first in range(0, self.chip.chunk_rows, size):
            last = first + size >= self.chip.chunk_rows
            self.add(
                # as many of the rows from the first on as there are
                self.compute(rows, ScalarOp.MAX, NEXT_ROWS, first),
                self.compute(rows, ScalarOp.SUB, rows, first),
                self.compute(rows, ScalarOp.MIN, rows, size),
                self.compute(Register.ADDRESS, ScalarOp.MUL, NEXT_POSITION, fields["row_bytes"]),
                Load(
                    wait_a=STAGE_FREE if first or not biased else 0,
                    signal_a=STAGED,
                    format=LoadFormat.F32,
                    destination=place,
                    destination_stride=words,
                    **fields
                    | {
                        "address": fields["address"] + first * fields["row_bytes"],
                        "count_reg": rows,
                    },
                ),
                *self.quantize_rows(
                    VectorOp.COPY,
                    self.model.dim,
                    wait=STAGED,
                    signals=(Token.NORMED if last else STAGE_FREE, 0),
                    rows={"count_reg": rows},
                    a=place,
                    a_outer=words,
                    d=self.chip.activations["normed"].base + first * (words // self._per_block),
                ),
            )

    @property
    def _per_block(self) -> int:
        return self.config.words_per_block

    def load_biases(
        self, region: str, names: Sequence[str], register: int, skipped: int, **tokens: int
    ) -> None:
        """The biases of some matrices of attention, of the layer whose parameters are ``skipped``
        bytes behind those that a register names; none where the model has none."""
        block, place = self.memory.parameters.attention, self.chip.vector[region].base
        for name in names:
            (part,) = self.memory.parts(name)
            word = block.bias(part)
            if word is not None:
                words = sum(part.n_tiles)
                self.add(self.load_words(place, word, words, register, skipped, **tokens))
                place += words

    def load_words(
        self, place: int, word: int, words: int, register: int, skipped: int, **fields: Any
    ) -> Instruction:
        """The LOAD of parameter words."""
        return Load(
            address=skipped + word * self.memory.parameter_word_bytes,
            address_reg=register,
            count=1,
            format=LoadFormat.F32,
            words=words,
            destination=place,
            **fields,
        )

    def norm_beside(
        self,
        norm: Iterable[Instruction],
        registers: Sequence[int],
        work: Beside,
        behind: Iterable[Instruction] = (),
    ) -> None:
        """A norm and what is ``behind`` it, with steps of other ``work`` in between: the first when
        the array may have come to it, the next before the norm's last pass. None of it where one of
        the registers is 0; it has begun (`begin`) before."""
        passes = list(norm)
        half = len(passes) // 2
        for part, steps in (
            (passes[:half], work.steps[:1]),
            (passes[half:-1], work.steps[1:2]),
            ([*passes[-1:], *behind], work.steps[2:]),
        ):
            self.add(*part)
            if steps:
                with self.where(*registers):
                    self.add(*chain.from_iterable(steps))

    def begin(self, work: Beside, registers: Sequence[int]) -> None:
        """The beginning of some work, where none of the registers is 0."""
        with self.where(*registers):
            self.add(*work.first)
