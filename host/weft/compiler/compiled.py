# SPDX-License-Identifier: Apache-2.0
"""A model made ready for one accelerator configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from weft.compiler import graph, plan
from weft.compiler.adapter_program import ResidentAdapter
from weft.compiler.batch_program import Batch
from weft.compiler.conventions import (
    BATCH_POSITION_BITS,
    BATCH_SEQUENCE_BITS,
    MOST_BATCH_ROWS,
    chunk_scalars,
    encoder_scalars,
)
from weft.compiler.decoder_programs import check_decoder, check_program, find_batch
from weft.compiler.emit import emit, emit_batch, emit_keep
from weft.compiler.long_prompts import LongPrompts, long_prompts
from weft.compiler.long_texts import LongTexts, long_texts
from weft.compiler.memory_image import fill_memory
from weft.compiler.patches import config_of_tokens, of_tokens
from weft.compiler.plan import MemoryPlan, OnChipPlan
from weft.compiler.support import longest_context, unsupported
from weft.embedding_format import EmbeddingFormat, choose_embedding_format
from weft.errors import CompileError
from weft.kv_format import AUTO, choose_kv_format
from weft.model import Checkpoint, ModelConfig
from weft.quantize import WeightFormat
from weft_arch.config import BLOCK, Configuration
from weft_arch.encoding import EncodingError, write_image
from weft_arch.isa import INSTRUCTION_BYTES, Instruction

__all__ = [
    "Batch",
    "CompiledModel",
    "Layout",
    "Programs",
    "compile_model",
    "instruction_bytes",
    "lay_out",
]


@dataclass(frozen=True, kw_only=True)
class Programs:
    """The programs of a model, and where their values are on the chip."""

    chip: OnChipPlan
    program: tuple[Instruction, ...]
    batch: Batch | None
    """none where there is one sequence, or no room for two rows and their program"""
    long: LongPrompts | LongTexts | None
    """none where the ordinary program is as fast, or knows more of what the model needs"""
    keep: tuple[Instruction, ...]
    """the program that has to run first, where weights stay on the chip; else empty"""

    @property
    def prompt_rows(self) -> int:
        """Most positions of a prompt that one run appends."""
        return self.long.chip.chunk_rows if self.long else self.chip.chunk_rows

    def chunk_program(self, rows: int) -> tuple[str, tuple[Instruction, ...]]:
        """The program that appends so many positions to a sequence, or encodes a text of them, and
        its region of memory."""
        if self.long and rows > self.chip.chunk_rows:
            return "long_program", self.long.program
        return "program", self.program

    def text_scalars(self, rows: int) -> dict[int, int]:
        """The registers that the program for a text of so many positions begins with; it is that of
        `chunk_program`."""
        if self.long and rows > self.chip.chunk_rows:
            return encoder_scalars(rows, self.long.chip.chunk_rows, fewest=2)
        return encoder_scalars(rows, self.chip.chunk_rows)


@dataclass(frozen=True, kw_only=True)
class CompiledModel(Programs):
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
    memory: MemoryPlan
    image: NDArray[np.uint8]
    program_file: bytes
    adapters: Mapping[str, ResidentAdapter] = field(default_factory=dict[str, ResidentAdapter])
    """resident beside it, by name (`weft.compiler.adapters`)"""
    adapter_images: Mapping[int, NDArray[np.uint8]] = field(
        default_factory=dict[int, NDArray[np.uint8]]
    )
    """their programs and weights, by address"""


@dataclass(frozen=True, kw_only=True)
class Layout(Programs):
    """What follows from a model's shape alone: places and program."""

    memory: MemoryPlan


def lay_out(
    model: ModelConfig,
    config: Configuration,
    weights: WeightFormat,
    *,
    kv_format: str = AUTO,
    max_context: int | None = None,
    max_sequences: int = 1,
    base: int = 0,
    all_logits: bool = False,
    chunk_rows: int | None = None,
    embedding: EmbeddingFormat = EmbeddingFormat.F16,
) -> Layout:
    """Everything of `compile_model` that needs no weights."""
    model = config_of_tokens(model)
    reason = unsupported(model)
    if reason is not None:
        raise CompileError(reason)
    if embedding is EmbeddingFormat.Q8 and model.dim % BLOCK:
        raise CompileError(
            f"dim is {model.dim}; embedding rows in 8-bit blocks need a multiple of {BLOCK}."
        )
    context, kv = _context(model, max_context), choose_kv_format(kv_format, model)
    model_graph = graph.transformer_graph(model)
    graph.check(model_graph)
    chip = plan.plan_chip(model_graph, config, all_logits=all_logits, chunk_rows=chunk_rows)
    plan.check(model_graph, chip, config)
    most_rows = 1 if all_logits or model.head == "none" else _batch_rows(max_sequences, context)

    def plan_memory(
        batch: OnChipPlan | None, of: graph.Graph = model_graph, long_rows: int = 0
    ) -> MemoryPlan:
        return plan.plan_memory(
            of,
            config,
            chip,
            batch=batch,
            long_rows=long_rows,
            weights=weights,
            kv_format=kv,
            embedding=embedding.load_format,
            max_context=context,
            max_sequences=max_sequences,
            base=base,
        )

    batch = find_batch(model_graph, config, most_rows, plan_memory)
    batch_chip = batch.chip if batch else None
    memory, long = plan_memory(batch_chip), None
    if not (all_logits or chunk_rows or memory.resident):
        find = long_texts if model.head == "none" else long_prompts
        long = find(
            model_graph,
            config,
            chip,
            lambda of, long_chip: plan_memory(batch_chip, of, long_chip.chunk_rows),
            context,
        )
    if long:
        memory = plan_memory(batch_chip, long_rows=long.chip.chunk_rows)
        if batch:  # what lies behind the long program has moved
            program = emit_batch(model_graph, config, batch.chip, memory)
            batch = replace(batch, program=tuple(program))
    return Layout(
        chip=chip,
        memory=memory,
        program=tuple(emit(model_graph, config, chip, memory)),
        batch=batch,
        long=long,
        keep=tuple(emit_keep(config, memory)) if memory.resident else (),
    )


def _context(model: ModelConfig, max_context: int | None) -> int:
    """The context to compile for, by default the longest."""
    longest = longest_context(model)
    context = longest if max_context is None else max_context
    if 1 <= context <= longest:
        return context
    window = " with its sliding window" if longest < model.max_context else ""
    raise CompileError(f"max_context is {context}; this model takes 1 to {longest}{window}.")


def _batch_rows(max_sequences: int, context: int) -> int:
    """Rows of a batch that registers and sequences allow."""
    if context > 1 << BATCH_POSITION_BITS or max_sequences > 1 << BATCH_SEQUENCE_BITS:
        return 1
    return min(max_sequences, MOST_BATCH_ROWS)


def compile_model(
    checkpoint: Checkpoint,
    config: Configuration,
    weights: WeightFormat,
    *,
    kv_format: str = AUTO,
    max_context: int | None = None,
    max_sequences: int = 1,
    base: int = 0,
    all_logits: bool = False,
    chunk_rows: int | None = None,
    embedding: str = AUTO,
) -> CompiledModel:
    """Compile a checkpoint for ``config``.

    ``kv_format`` is the name of a `KVFormat`, or what suits the model (`choose_kv_format`).
    ``max_context`` defaults to the model's; ``all_logits`` makes a scoring program that stores the
    logits of every row instead of the last one's; ``chunk_rows`` limits the rows of a chunk.
    ``embedding`` is the name of an `EmbeddingFormat`, or what suits the file.
    An image encoder becomes one of tokens (`weft.compiler.patches`).
    Raises `CompileError` when the model does not fit.
    """
    checkpoint = of_tokens(checkpoint)
    context = _context(checkpoint.config, max_context)
    weight_format = WeightFormat(weights)
    layout = lay_out(
        checkpoint.config,
        config,
        weight_format,
        kv_format=kv_format,
        max_context=context,
        max_sequences=max_sequences,
        base=base,
        all_logits=all_logits,
        chunk_rows=chunk_rows,
        embedding=choose_embedding_format(embedding, checkpoint.token_embedding),
    )
    chip, memory = layout.chip, layout.memory

    if checkpoint.config.head == "none":
        for rows in {1, min(2 * chip.chunk_rows + 1, context)}:
            scalars = encoder_scalars(rows, chip.chunk_rows)
            check_program(layout.program, config, memory, scalars)
        if layout.long:
            for rows in {chip.chunk_rows + 1, context}:
                check_program(layout.long.program, config, memory, layout.text_scalars(rows))
    else:
        check_decoder(layout, config, memory, context)
    if layout.long and checkpoint.config.head == "lm":
        for rows in {chip.chunk_rows + 1, layout.long.chip.chunk_rows}:
            scalars = chunk_scalars(rows, context - rows, logit_rows=1)
            check_program(layout.long.program, config, memory, scalars)
    image = fill_memory(checkpoint, config, memory, base=base, max_context=context)
    programs = {"program": layout.program}
    if layout.batch:
        programs["batch_program"] = layout.batch.program
    if layout.long:
        programs["long_program"] = layout.long.program
    if layout.keep:
        check_program(layout.keep, config, memory, {})
        programs["keep_program"] = layout.keep
    for region, program in programs.items():
        raw = instruction_bytes(config, program)
        start = memory.regions[region].base - base
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
        program=layout.program,
        batch=layout.batch,
        long=layout.long,
        keep=layout.keep,
        image=image,
        program_file=_encoded(config, layout.program),
    )


def instruction_bytes(config: Configuration, program: tuple[Instruction, ...]) -> NDArray[np.uint8]:
    """A program as it lies in memory."""
    return np.frombuffer(_encoded(config, program)[-INSTRUCTION_BYTES * len(program) :], np.uint8)


def _encoded(config: Configuration, program: tuple[Instruction, ...]) -> bytes:
    """A program image; its end is the instructions."""
    try:
        return write_image(config, program)
    except EncodingError as error:
        raise CompileError(f"the model's program cannot be encoded: {error}.") from None
