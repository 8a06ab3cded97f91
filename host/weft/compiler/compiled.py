# SPDX-License-Identifier: Apache-2.0
"""A model made ready for one accelerator configuration."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weft.compiler import graph, plan
from weft.compiler.conventions import chunk_scalars
from weft.compiler.emit import emit
from weft.compiler.hazards import check_hazards
from weft.compiler.memory_image import fill_memory
from weft.compiler.plan import MemoryPlan, OnChipPlan
from weft.errors import CompileError
from weft.model import Checkpoint, ModelConfig
from weft.quantize import WeightFormat
from weft_arch.config import Configuration
from weft_arch.encoding import EncodingError, encode_program, write_image
from weft_arch.isa import Instruction

__all__ = ["CompiledModel", "Layout", "compile_model", "lay_out"]


@dataclass(frozen=True, kw_only=True)
class CompiledModel:
    """Program, memory image and the plan that tells where things are.

    ``image`` is the memory from ``base`` to ``memory.read_only_end``, program included.
    ``program_file`` is the same program as a checked image file.
    """

    config: Configuration
    model: ModelConfig
    weights: WeightFormat
    max_context: int
    max_sequences: int
    base: int
    chip: OnChipPlan
    memory: MemoryPlan
    program: tuple[Instruction, ...]
    image: NDArray[np.uint8]
    program_file: bytes


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What follows from a model's shape alone: places and program."""

    chip: OnChipPlan
    memory: MemoryPlan
    program: list[Instruction]


def lay_out(
    model: ModelConfig,
    config: Configuration,
    weights: WeightFormat,
    *,
    max_context: int | None = None,
    max_sequences: int = 1,
    base: int = 0,
    all_logits: bool = False,
    chunk_rows: int | None = None,
) -> Layout:
    """Everything of `compile_model` that needs no weights."""
    context = model.max_context if max_context is None else max_context
    if not 1 <= context <= model.max_context:
        raise CompileError(f"max_context is {context}; this model takes 1 to {model.max_context}.")
    model_graph = graph.llama_graph(model)
    graph.check(model_graph)
    chip = plan.plan_chip(model_graph, config, all_logits=all_logits, chunk_rows=chunk_rows)
    plan.check(model_graph, chip, config)
    memory = plan.plan_memory(
        model_graph,
        config,
        chip,
        weight_bits=8 if weights is WeightFormat.W8 else 4,
        max_context=context,
        max_sequences=max_sequences,
        base=base,
    )
    program = emit(model_graph, config, chip, memory)
    return Layout(chip=chip, memory=memory, program=program)


def compile_model(
    checkpoint: Checkpoint,
    config: Configuration,
    weights: WeightFormat,
    *,
    max_context: int | None = None,
    max_sequences: int = 1,
    base: int = 0,
    all_logits: bool = False,
    chunk_rows: int | None = None,
) -> CompiledModel:
    """Compile a checkpoint for ``config``.

    ``max_context`` defaults to the model's; ``all_logits`` makes a scoring program that stores the
    logits of every row instead of the last one's; ``chunk_rows`` limits the rows of a chunk.
    Raises `CompileError` when the model does not fit.
    """
    context = checkpoint.config.max_context if max_context is None else max_context
    weight_format = WeightFormat(weights)
    layout = lay_out(
        checkpoint.config,
        config,
        weight_format,
        max_context=context,
        max_sequences=max_sequences,
        base=base,
        all_logits=all_logits,
        chunk_rows=chunk_rows,
    )
    chip, memory, program = layout.chip, layout.memory, layout.program
    for rows, position in ((chip.chunk_rows, 0), (1, context - 1)):
        if position + rows <= context:
            check_hazards(
                program,
                config,
                scalars=chunk_scalars(rows, position, logit_rows=min(rows, chip.logit_rows)),
                write_base=memory.read_only_end,
                write_limit=memory.size,
            )
    try:
        program_file = write_image(config, program)
    except EncodingError as error:
        raise CompileError(f"the model's program cannot be encoded: {error}.") from None
    image = fill_memory(checkpoint, config, memory, base=base, max_context=context)
    raw = np.frombuffer(encode_program(program), np.uint8)
    start = memory.regions["program"].base - base
    image[start : start + raw.size] = raw
    return CompiledModel(
        config=config,
        model=checkpoint.config,
        weights=weight_format,
        max_context=context,
        max_sequences=max_sequences,
        base=base,
        chip=chip,
        memory=memory,
        program=tuple(program),
        image=image,
        program_file=program_file,
    )
