# SPDX-License-Identifier: Apache-2.0
"""Where rings and prompts lie in the memory, and a compiled model in the firmware's words."""

from dataclasses import dataclass

from weft.compiler import CompiledModel
from weft.compiler.conventions import Register
from weft_arch.jobs import (
    JOB_BYTES,
    MODEL_BYTES,
    MOST_STOPS,
    RECORD_BYTES,
    RINGS_BYTES,
    ModelDescriptor,
)

__all__ = ["JobArea", "describe"]

_ALIGNMENT = 64
_WORD = 4


@dataclass(frozen=True, kw_only=True)
class JobArea:
    """Addresses from ``base`` on, a multiple of 64: the rings, one model, and for each slot of the
    job ring its prompt and its stop tokens."""

    base: int
    max_context: int
    job_entries: int = 4
    token_entries: int = 256

    @classmethod
    def after(cls, compiled: CompiledModel) -> "JobArea":
        """The first area behind a model."""
        base = -(-compiled.memory.size // _ALIGNMENT) * _ALIGNMENT
        return cls(base=base, max_context=compiled.max_context)

    @property
    def model(self) -> int:
        """Address of the model's descriptor."""
        return self.base + RINGS_BYTES

    @property
    def job_ring(self) -> int:
        """Address of the job ring."""
        return self.model + MODEL_BYTES

    @property
    def token_ring(self) -> int:
        """Address of the token ring."""
        return self.job_ring + self.job_entries * JOB_BYTES

    def slot(self, number: int) -> int:
        """Address of a job."""
        return self.job_ring + number % self.job_entries * JOB_BYTES

    def stops(self, number: int) -> int:
        """Address of a job's stop tokens."""
        size = _WORD * (MOST_STOPS + self.max_context)
        lists = self.token_ring + self.token_entries * RECORD_BYTES
        return lists + number % self.job_entries * size

    def prompt(self, number: int) -> int:
        """Address of a job's prompt."""
        return self.stops(number) + _WORD * MOST_STOPS

    @property
    def end(self) -> int:
        """First byte behind it all."""
        return self.stops(self.job_entries - 1) + _WORD * (MOST_STOPS + self.max_context)


def describe(compiled: CompiledModel) -> ModelDescriptor:
    """A compiled model for the firmware."""
    memory, regions = compiled.memory, compiled.memory.regions
    return ModelDescriptor(
        fingerprint=compiled.config.fingerprint,
        program=regions["program"].base,
        program_length=len(compiled.program),
        region_base=compiled.base,
        region_limit=memory.size,
        write_base=memory.read_only_end,
        write_limit=memory.size,
        ids=regions["ids"].base,
        chunk_rows=compiled.chip.chunk_rows,
        top_k=regions["top_k"].base,
        top_k_entries=compiled.config.top_k_entries,
        logits=regions["logits"].base,
        vocab_size=compiled.model.vocab_size,
        max_context=compiled.max_context,
        max_sequences=compiled.max_sequences,
        sequence_bytes=memory.sequence_kv_bytes,
        rows_register=Register.ROWS,
        position_register=Register.POSITION,
        sequence_register=Register.SEQUENCE,
        head_register=Register.HEAD,
        logits_register=Register.LOGITS,
        keep_program=regions["keep_program"].base if compiled.keep else 0,
        keep_length=len(compiled.keep),
    )
