# SPDX-License-Identifier: Apache-2.0
"""The programs of a model with a side path: a chunk's and a batch's, as those without."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from weft.compiler import plan
from weft.compiler.batch_program import Batch
from weft.compiler.conventions import MOST_ADAPTED_ROWS
from weft.compiler.decoder_programs import DecoderPrograms, find_batch
from weft.compiler.emit import emit
from weft.compiler.graph import transformer_graph
from weft.compiler.low_rank import LowRankPlan
from weft.compiler.plan import MemoryPlan, OnChipPlan
from weft.errors import CompileError
from weft.model import ModelConfig
from weft_arch.config import Configuration
from weft_arch.isa import Instruction

__all__ = [
    "MOST_RANK",
    "AdapterProgram",
    "ResidentAdapter",
    "adapter_program",
    "check_ranks",
]

MOST_RANK = 256
"""Largest rank of a side path."""


@dataclass(frozen=True, kw_only=True)
class AdapterProgram:
    """What adapters with the same side path share."""

    low_rank: LowRankPlan
    chip: OnChipPlan
    program: tuple[Instruction, ...]
    batch: Batch | None
    """none where the model has none, or where there is no room for two rows and their program"""
    number: int = 0
    """of the programs that are resident"""

    @property
    def prompt_rows(self) -> int:
        """Most positions of a prompt that one run appends."""
        return self.chip.chunk_rows

    def chunk_program(self, rows: int) -> tuple[str, tuple[Instruction, ...]]:
        """The program that appends so many positions to a sequence, and its region of memory."""
        del rows  # there is one for all
        return self.region, self.program

    @property
    def region(self) -> str:
        """Where the program lies in memory."""
        return f"adapter_program_{self.number}"

    @property
    def batch_region(self) -> str:
        """Where the batch's lies."""
        return f"adapter_batch_program_{self.number}"


@dataclass(frozen=True, kw_only=True)
class ResidentAdapter:
    """An adapter beside a compiled model, with its weights at byte address ``address``."""

    program: AdapterProgram
    address: int


class Base(DecoderPrograms, Protocol):
    """The programs without a side path."""

    @property
    def memory(self) -> MemoryPlan:
        """Where everything lies."""
        ...


def check_ranks(model: ModelConfig, ranks: Mapping[str, int]) -> None:
    """Raise `CompileError` unless matrices of a model may have side paths of these ranks."""
    if model.head == "none":
        raise CompileError(
            f"this {model.architecture} model is an encoder; the device takes adapters of decoders."
        )
    for name, rank in ranks.items():
        if name not in model.matrices:
            raise CompileError(f"{name} is no matrix of this {model.architecture} model's layers.")
        if not 1 <= rank <= MOST_RANK:
            raise CompileError(
                f"rank {rank} of {name} is not one of a side path, which takes 1 to {MOST_RANK}; "
                "merge the adapter into the weights instead."
            )


def adapter_program(
    model: ModelConfig, config: Configuration, base: Base, low_rank: LowRankPlan
) -> AdapterProgram:
    """The programs for adapters of a side path, over the same weights and caches as those without.
    They take no more rows. Raises `CompileError` when they do not fit."""
    graph, memory = transformer_graph(model), base.memory
    chip = plan.plan_chip(
        graph,
        config,
        all_logits=base.chip.logit_rows > 1,
        chunk_rows=base.chip.chunk_rows,
        low_rank=low_rank,
    )
    plan.check(graph, chip, config)
    program = emit(graph, config, chip, memory)
    if len(program) > config.instruction_words:
        raise CompileError(
            f"the program with the adapter has {len(program)} instructions; preset {config.name} "
            f"takes {config.instruction_words}."
        )
    most = min(base.batch.chip.chunk_rows, MOST_ADAPTED_ROWS) if base.batch else 1
    batch = find_batch(graph, config, most, lambda _: memory, low_rank)
    return AdapterProgram(low_rank=low_rank, chip=chip, program=tuple(program), batch=batch)
