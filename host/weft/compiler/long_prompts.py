# SPDX-License-Identifier: Apache-2.0
"""Whether a model gets a second program, for long prompts, and which."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from weft.compiler.conventions import chunk_scalars
from weft.compiler.emit import emit
from weft.compiler.graph import Graph, transformer_graph
from weft.compiler.long_plan import LongPlan, check_long, plan_long
from weft.compiler.long_program import LongProgram
from weft.compiler.pair_plan import PairPlan, check_pair, plan_pair
from weft.compiler.pair_program import PairProgram
from weft.compiler.plan import MemoryPlan, OnChipPlan
from weft_arch.config import Configuration
from weft_arch.isa import Instruction

__all__ = ["LongPrompts", "long_prompts"]

_PlanMemory = Callable[[Graph, LongPlan | PairPlan], MemoryPlan]


@dataclass(frozen=True, kw_only=True)
class LongPrompts:
    """The program for chunks of more rows than the ordinary program has room for."""

    chip: LongPlan | PairPlan
    program: tuple[Instruction, ...]


def long_prompts(
    graph: Graph,
    config: Configuration,
    chip: OnChipPlan,
    plan_memory: _PlanMemory,
    max_context: int,
) -> LongPrompts | None:
    """The program with the most rows that fits ``config``, or None: where prompts are no longer
    than a chunk of the ordinary plan ``chip``, where there is no room for more rows, or where the
    forecast says that a row of them takes more cycles. ``plan_memory`` lays out memory."""
    if max_context <= chip.chunk_rows:
        return None
    places = graph, config, chip, plan_memory, max_context
    return _one_chunk(*places) or _two_chunks(*places)


def _one_chunk(
    graph: Graph,
    config: Configuration,
    chip: OnChipPlan,
    plan_memory: _PlanMemory,
    max_context: int,
) -> LongPrompts | None:
    for most_panels in range(chip.chunk_rows, 0, -1):  # more panels, more rows, a longer program
        plan = plan_long(graph, config, max_context, most_panels)
        if plan is None or plan.chunk_rows <= chip.chunk_rows:
            return None
        program = LongProgram(graph, config, plan, plan_memory(graph, plan)).emit()
        if len(program) > config.instruction_words:
            continue
        check_long(plan, config)
        single = transformer_graph(replace(graph.config, n_layers=1))
        memory = plan_memory(single, plan)
        ordinary = emit(single, config, chip, memory)
        long = LongProgram(single, config, plan, memory).emit()
        if _row_cycles(long, config, plan, max_context) > _row_cycles(
            ordinary, config, chip, max_context
        ):
            return None
        return LongPrompts(chip=plan, program=tuple(program))
    return None


def _two_chunks(
    graph: Graph,
    config: Configuration,
    chip: OnChipPlan,
    plan_memory: _PlanMemory,
    max_context: int,
) -> LongPrompts | None:
    """By turns."""
    plan = plan_pair(graph, config, max_context)
    if plan is None or plan.chunk_rows <= chip.chunk_rows:
        return None
    program = PairProgram(graph, config, plan, plan_memory(graph, plan)).emit()
    if len(program) > config.instruction_words:
        return None
    check_pair(plan, graph, config)
    single = transformer_graph(replace(graph.config, n_layers=1))
    memory = plan_memory(single, plan)
    pair = PairProgram(single, config, plan, memory).emit()
    ordinary = emit(single, config, chip, memory)
    if _row_cycles(pair, config, plan, max_context) > _row_cycles(
        ordinary, config, chip, max_context
    ):
        return None
    return LongPrompts(chip=plan, program=tuple(program))


def _row_cycles(
    program: Sequence[Instruction],
    config: Configuration,
    chip: OnChipPlan | PairPlan,
    max_context: int,
) -> float:
    """Cycles per row of a full chunk in the middle of the context."""
    from weft.forecast.simulate import forecast  # it builds on this package

    position = (max_context - chip.chunk_rows) // 2
    scalars = chunk_scalars(chip.chunk_rows, position, head=False)
    return forecast(program, config, scalars).cycles / chip.chunk_rows
