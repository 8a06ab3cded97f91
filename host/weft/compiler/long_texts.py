# SPDX-License-Identifier: Apache-2.0
"""Whether an encoder gets a second program, for texts of several chunks, and which."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from weft.compiler.conventions import encoder_scalars
from weft.compiler.emit import emit
from weft.compiler.graph import Graph, transformer_graph
from weft.compiler.plan import MemoryPlan, OnChipPlan
from weft.compiler.text_plan import TextPlan, check_text, plan_text
from weft.compiler.text_program import TextProgram
from weft_arch.config import Configuration
from weft_arch.isa import Instruction

__all__ = ["LongTexts", "long_texts"]

CHUNKS = 3
"""Chunks of the text that programs are compared with, where the context has room for them."""
MOST_TRIED = 2
"""Plans whose programs are compared: more rows, or larger slices."""


@dataclass(frozen=True, kw_only=True)
class LongTexts:
    """The program for texts of more rows than a chunk of the ordinary program."""

    chip: TextPlan
    program: tuple[Instruction, ...]


def long_texts(
    graph: Graph,
    config: Configuration,
    chip: OnChipPlan,
    plan_memory: Callable[[Graph, TextPlan], MemoryPlan],
    max_context: int,
) -> LongTexts | None:
    """The program that fits ``config`` and takes the fewest cycles for a text by the forecast, or
    None: where texts are no longer than a chunk of the ordinary plan ``chip``, where there is no
    room, or where that one takes fewer. ``plan_memory`` lays out memory."""
    if max_context <= chip.chunk_rows:
        return None
    two = transformer_graph(replace(graph.config, n_layers=2))
    found: list[tuple[int, LongTexts]] = []
    rows = 0
    for plan in _plans(graph, config, max_context):
        program = TextProgram(graph, config, plan, plan_memory(graph, plan)).emit()
        if len(program) > config.instruction_words:
            continue
        check_text(plan, config)
        rows = rows or min(CHUNKS * plan.chunk_rows, max_context)
        shorter = TextProgram(two, config, plan, plan_memory(two, plan)).emit()
        cycles = _cycles(shorter, config, plan, rows, 2)
        found.append((cycles, LongTexts(chip=plan, program=tuple(program))))
        if len(found) == MOST_TRIED:
            break
    if not found or rows <= chip.chunk_rows:
        return None
    best, long = min(found, key=lambda item: item[0])
    ordinary = emit(two, config, chip, plan_memory(two, long.chip))
    return long if best < _cycles(ordinary, config, chip, rows, 1) else None


def _plans(graph: Graph, config: Configuration, max_context: int) -> Iterator[TextPlan]:
    """Those with the most rows for slices and pieces of each size."""
    before: TextPlan | None = None
    for rows in range(min(config.max_rows, -(-max_context // 2)), 0, -1):
        plan = plan_text(graph, config, rows)
        if plan is None:
            continue
        if before is None or (plan.hidden_slices, plan.piece_slices, plan.head_slices) != (
            before.hidden_slices,
            before.piece_slices,
            before.head_slices,
        ):
            yield plan
        before = plan


def _cycles(
    program: list[Instruction], config: Configuration, chip: OnChipPlan, rows: int, fewest: int
) -> int:
    from weft.forecast.simulate import forecast  # it builds on this package

    return forecast(program, config, encoder_scalars(rows, chip.chunk_rows, fewest)).cycles
