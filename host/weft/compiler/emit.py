# SPDX-License-Identifier: Apache-2.0
"""Level 3: the programs of a model.

The host sets scalar registers (see `conventions.Register`), writes token ids to memory and starts.
The layer loop is a hardware loop; its addresses are scalar registers that advance with it.
"""

from weft.compiler.batch_program import BatchProgram
from weft.compiler.chunk_program import ChunkProgram
from weft.compiler.encoder_program import EncoderProgram
from weft.compiler.graph import Graph
from weft.compiler.plan import MemoryPlan, OnChipPlan
from weft_arch.config import Configuration
from weft_arch.isa import Halt, Instruction, Resident, StreamWeights, WeightFormat

__all__ = ["emit", "emit_batch", "emit_keep"]


def emit(
    graph: Graph, config: Configuration, chip: OnChipPlan, memory: MemoryPlan
) -> list[Instruction]:
    """The program for chunks of one sequence, of any size, and so for its decode steps too; of an
    encoder, for whole texts. ``graph`` must be of the form that `transformer_graph` makes."""
    if graph.config.head == "none":
        return EncoderProgram(graph, config, chip, memory).emit()
    return ChunkProgram(graph, config, chip, memory).emit()


def emit_batch(
    graph: Graph, config: Configuration, chip: OnChipPlan, memory: MemoryPlan
) -> list[Instruction]:
    """The program for a step of several sequences; ``chip`` is a plan with all logits."""
    return BatchProgram(graph, config, chip, memory).emit()


def emit_keep(config: Configuration, memory: MemoryPlan) -> list[Instruction]:
    """The program that brings all weights to the chip, for a plan whose weights stay there: once,
    and again after a reset."""
    weights = memory.regions["weights"]
    return [
        StreamWeights(
            address=weights.base,
            count=weights.size // config.tile_bytes(memory.weight_bits),
            format=WeightFormat.W8 if memory.weight_bits == 8 else WeightFormat.W4,
            resident=Resident.KEEP,
        ),
        Halt(),
    ]
