# SPDX-License-Identifier: Apache-2.0
"""What the programs of a decoder have in common, with a side path and without."""

from collections.abc import Callable, Mapping
from typing import Protocol

from weft.compiler import plan
from weft.compiler.batch_program import Batch
from weft.compiler.conventions import batch_scalars, chunk_scalars
from weft.compiler.emit import emit_batch
from weft.compiler.graph import Graph
from weft.compiler.hazards import check_hazards
from weft.compiler.low_rank import NO_LOW_RANK, LowRankPlan
from weft.compiler.plan import MemoryPlan, OnChipPlan
from weft_arch.config import Configuration
from weft_arch.isa import Instruction

__all__ = ["DecoderPrograms", "check_decoder", "check_program", "find_batch"]


class DecoderPrograms(Protocol):
    """The program for chunks and steps, and the batch's."""

    @property
    def chip(self) -> OnChipPlan:
        """What a chunk has on the chip."""
        ...

    @property
    def program(self) -> tuple[Instruction, ...]:
        """That of chunks and steps."""
        ...

    @property
    def batch(self) -> Batch | None:
        """None where there is one sequence, or no room for two rows."""
        ...


def find_batch(
    graph: Graph,
    config: Configuration,
    most_rows: int,
    memory_of: Callable[[OnChipPlan], MemoryPlan],
    low_rank: LowRankPlan = NO_LOW_RANK,
) -> Batch | None:
    """The batch with the most rows, up to ``most_rows``, that the chip has words for and whose
    program fits; None below two. ``memory_of`` lays out memory for a batch's plan."""
    for rows in range(most_rows, 1, -1):
        chip = plan.plan_chip(graph, config, all_logits=True, chunk_rows=rows, low_rank=low_rank)
        if chip.chunk_rows < rows:
            continue
        program = emit_batch(graph, config, chip, memory_of(chip))
        if len(program) <= config.instruction_words:
            plan.check(graph, chip, config)
            return Batch(chip=chip, program=tuple(program))
    return None


def check_program(
    program: tuple[Instruction, ...],
    config: Configuration,
    memory: MemoryPlan,
    scalars: Mapping[int, int],
) -> None:
    """Raise `CompileError` unless a run from these scalars is free of hazards."""
    check_hazards(
        program,
        config,
        scalars=dict(scalars),
        write_base=memory.read_only_end,
        write_limit=memory.write_end,
    )


def check_decoder(
    programs: DecoderPrograms,
    config: Configuration,
    memory: MemoryPlan,
    max_context: int,
    more_scalars: Mapping[int, int] | None = None,
) -> None:
    """`check_program` for a whole chunk, a step at the end of the context, and a whole batch, which
    is run with ``more_scalars``."""
    chip = programs.chip
    for rows, position in ((chip.chunk_rows, 0), (1, max_context - 1)):
        if position + rows <= max_context:
            scalars = chunk_scalars(rows, position, logit_rows=min(rows, chip.logit_rows))
            check_program(programs.program, config, memory, scalars)
    if programs.batch:
        places = [(k, min(k, max_context - 1)) for k in range(programs.batch.chip.chunk_rows)]
        scalars = batch_scalars(places) | dict(more_scalars or {})
        check_program(programs.batch.program, config, memory, scalars)
