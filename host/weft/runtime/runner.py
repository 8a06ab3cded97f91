# SPDX-License-Identifier: Apache-2.0
"""Runs a compiled model on a device: token ids in, logits or the likeliest tokens out."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from weft.compiler import CompiledModel
from weft.compiler.adapter_program import AdapterProgram, ResidentAdapter
from weft.compiler.conventions import (
    ADAPTER,
    Register,
    batch_scalars,
    chunk_scalars,
    even_chunks,
)
from weft.errors import WeftError, shown
from weft.runtime.program import set_program
from weft_arch import registers
from weft_arch.device import Device, DeviceError
from weft_arch.isa import LoadFormat
from weft_arch.registers import Control

__all__ = ["BatchRow", "Counters", "ModelRunner", "TopK"]

CYCLES_PER_CHUNK_LIMIT = 2_000_000_000
"""A program that runs longer has hung."""


@dataclass(frozen=True, kw_only=True)
class Counters:
    """The hardware's counters over some work."""

    cycles: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    mac_cycles: int = 0

    def __sub__(self, other: "Counters") -> "Counters":
        return Counters(
            **{f.name: getattr(self, f.name) - getattr(other, f.name) for f in fields(self)}
        )

    def __add__(self, other: "Counters") -> "Counters":
        return Counters(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )


@dataclass(frozen=True)
class TopK:
    """The likeliest tokens of the last row, best first, with their logits."""

    token_ids: NDArray[np.uint32]
    logits: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class BatchRow:
    """A token to be appended to a sequence at a position."""

    sequence: int
    position: int
    token_id: int


class ModelRunner:
    """One compiled model on one device.

    A sequence is a KV cache area, 0 to max_sequences - 1; what it holds is a pure function of the
    tokens given to it and of the adapter, whatever the chunks were. Wherever an adapter can be
    chosen, it is the name of one that is resident beside the model, or None for the model itself.
    """

    def __init__(self, compiled: CompiledModel, device: Device) -> None:
        self.compiled = compiled
        self.device = device
        memory = compiled.memory
        if memory.size > device.memory_base + device.memory_bytes:
            raise WeftError(
                f"the model needs {memory.size - device.memory_base} bytes of memory; "
                f"the device has {device.memory_bytes}."
            )
        device.write_memory(compiled.base, compiled.image)
        for address, image in compiled.adapter_images.items():
            device.write_memory(address, image)
        self._scalars: dict[int, int] = {}
        self._program = ""
        """region of the program that the device is set to"""
        self._kept = False
        """whether the weights that stay on the chip are there"""

    @property
    def chunk_rows(self) -> int:
        """Most tokens per chunk of the ordinary program."""
        return self.compiled.chip.chunk_rows

    def batch_rows(self, adapter: str | None = None) -> int:
        """Most sequences that one step continues."""
        batch = self._programs(adapter).batch
        return batch.chip.chunk_rows if batch else 1

    def chunks(
        self, count: int, most: int | None = None, adapter: str | None = None
    ) -> list[tuple[int, int]]:
        """How ``count`` tokens are run: (first, end) of chunks of at most ``most`` tokens, or as
        many as there can be."""
        rows = self._programs(adapter).prompt_rows
        return even_chunks(count, min(most or rows, rows))

    def check_adapter(self, adapter: str | None) -> None:
        """Raise `WeftError` unless an adapter is resident."""
        self._programs(adapter)

    def _programs(self, adapter: str | None) -> CompiledModel | AdapterProgram:
        """The programs for an adapter."""
        return self.compiled if adapter is None else self._resident(adapter).program

    def _resident(self, adapter: str) -> ResidentAdapter:
        if adapter in self.compiled.adapters:
            return self.compiled.adapters[adapter]
        there = ", ".join(self.compiled.adapters) or "none"
        raise WeftError(f"adapter {shown(adapter)} is not resident; there are: {there}.")

    def _adapter_scalars(self, adapter: str | None) -> dict[int, int]:
        """The register that names an adapter's weights."""
        return {} if adapter is None else {ADAPTER: self._resident(adapter).address}

    def run_chunk(
        self,
        token_ids: Sequence[int],
        *,
        position: int,
        sequence: int = 0,
        head: bool = True,
        store_logits: bool = False,
        adapter: str | None = None,
    ) -> None:
        """Append ``token_ids`` at ``position`` of a sequence; with ``head`` compute the logits of
        the last one (or of all, in a scoring program)."""
        rows, memory = len(token_ids), self.compiled.memory
        if self.compiled.model.head == "none":
            raise WeftError(f"the {self.compiled.model.architecture} model has no logits.")
        programs = self._programs(adapter)
        if not 1 <= rows <= programs.prompt_rows:
            raise WeftError(f"a chunk has {rows} tokens; it must have 1 to {programs.prompt_rows}.")
        self._check_place(sequence, position, rows)
        self._write_ids(token_ids)
        logit_rows = rows if self.compiled.chip.logit_rows > 1 else 1
        scalars = chunk_scalars(
            rows,
            position,
            head=head,
            logit_rows=logit_rows if store_logits else 0,
            sequence=sequence * memory.sequence_kv_bytes,
        )
        region, program = programs.chunk_program(rows)
        self._run(region, len(program), scalars | self._adapter_scalars(adapter))
        self._scalars[Register.POSITION] = position + rows

    def run_batch(self, rows: Sequence[BatchRow], *, adapter: str | None = None) -> None:
        """Append one token to each of several sequences and store the logits of all, in the order
        of ``rows``: the same bits that each would get alone."""
        programs, regions = self._programs(adapter), self.compiled.memory.regions
        batch, most = programs.batch, self.batch_rows(adapter)
        if batch is None or not 1 <= len(rows) <= most:
            raise WeftError(f"a batch has {len(rows)} rows; it must have 1 to {most}.")
        for row in rows:
            self._check_place(row.sequence, row.position, 1)
        places = [(row.sequence, row.position) for row in rows]
        if len({row.sequence for row in rows}) < len(rows):
            raise WeftError("a batch has two rows of the same sequence; it may have one of each.")
        self._write_ids([row.token_id for row in rows])
        positions = np.asarray([row.position for row in rows], "<u4")
        self.device.write_memory(regions["positions"].base, positions.view(np.uint8))
        region = (
            "batch_program" if adapter is None else self._resident(adapter).program.batch_region
        )
        scalars = batch_scalars(places) | self._adapter_scalars(adapter)
        self._run(region, len(batch.program), scalars)

    def encode(
        self, token_ids: Sequence[int], token_types: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """Hidden states [n, dim] of a text, of an encoder; types are 0 unless given."""
        model, regions = self.compiled.model, self.compiled.memory.regions
        count, most = len(token_ids), self.compiled.max_context
        if model.head != "none":
            raise WeftError(f"the {model.architecture} model has no program for hidden states.")
        if not 1 <= count <= most:
            raise WeftError(f"the text has {count} tokens; it must have 1 to {most}.")
        self._write_ids(token_ids)
        if model.token_types:
            types = [0] * count if token_types is None else list(token_types)
            if len(types) != count or not all(0 <= kind < model.token_types for kind in types):
                raise WeftError(
                    f"a text of {count} tokens needs {count} token types of 0 to "
                    f"{model.token_types - 1}."
                )
            rows = np.arange(count) + most * np.asarray(types)
            self.device.write_memory(regions["positions"].base, rows.astype("<u4").view(np.uint8))
        region, program = self.compiled.chunk_program(count)
        self._run(region, len(program), self.compiled.text_scalars(count))
        raw = self.device.read_memory(regions["hidden_states"].base, 4 * count * model.dim)
        return raw.view("<f4").reshape(count, model.dim).copy()

    def write_embeddings(self, first: int, rows: NDArray[np.float16]) -> None:
        """Put rows [n, dim] in the place of those of the embedding from token ``first`` on."""
        model, memory = self.compiled.model, self.compiled.memory
        end = first + len(rows)
        if memory.embedding != LoadFormat.F16:
            raise WeftError("rows of the embedding can be written only where they are float16.")
        if first < 0 or end > model.vocab_size or rows.shape[1:] != (model.dim,):
            raise WeftError(
                f"rows {first} to {end - 1} of shape {list(rows.shape[1:])} are outside an "
                f"embedding of {model.vocab_size} rows of {model.dim}."
            )
        address = memory.regions["embedding"].base + first * memory.row_bytes
        raw = np.ascontiguousarray(rows, "<f2").reshape(-1).view(np.uint8)
        self.device.write_memory(address, raw)

    def _check_place(self, sequence: int, position: int, rows: int) -> None:
        if position < 0 or position + rows > self.compiled.max_context:
            raise WeftError(
                f"positions {position} to {position + rows - 1} are outside the context of "
                f"{self.compiled.max_context}."
            )
        if not 0 <= sequence < self.compiled.max_sequences:
            raise WeftError(
                f"sequence {sequence} is outside the {self.compiled.max_sequences} that the model "
                "is compiled for."
            )

    def _write_ids(self, token_ids: Sequence[int]) -> None:
        vocab_size = self.compiled.model.vocab_size
        strange = next((t for t in token_ids if not 0 <= t < vocab_size), None)
        if strange is not None:
            raise WeftError(f"token id {strange} is outside the vocabulary of {vocab_size}.")
        ids = np.asarray(token_ids, "<u4")
        self.device.write_memory(self.compiled.memory.regions["ids"].base, ids.view(np.uint8))

    def _run(self, program: str, length: int, scalars: Mapping[int, int]) -> None:
        """Run a program of the model, with the weights that it needs on the chip."""
        self.keep_weights()
        self._run_alone(program, length, scalars)

    def keep_weights(self) -> None:
        """Bring the weights that stay on the chip there, unless they are there already. The first
        run does it otherwise, and the next one after a fault or a hang."""
        if self.compiled.keep and not self._kept:
            self._run_alone("keep_program", len(self.compiled.keep), {})
            self._kept = True

    def _run_alone(self, program: str, length: int, scalars: Mapping[int, int]) -> None:
        """Run a program; after a fault or a hang the device is made ready for the next one."""
        if program != self._program:
            memory = self.compiled.memory
            set_program(
                self.device,
                memory.regions[program].base,
                length,
                region=(self.compiled.base, memory.size),
                write=(memory.read_only_end, memory.write_end),
            )
            self._program = program
            self._scalars.clear()  # each program leaves its own values behind
        for register, value in scalars.items():
            self._set(register, value)
        try:
            self.device.write_register(registers.offset("CONTROL"), Control.START)
            self.device.wait(CYCLES_PER_CHUNK_LIMIT)
        except DeviceError:
            self._scalars.clear()
            self._kept = False
            with suppress(DeviceError):
                self.device.reset()
            raise

    def forget(self) -> None:
        """Take nothing for granted that the device was set to: somebody else has used it."""
        self._program, self._kept = "", False

    def _set(self, register: int, value: int) -> None:
        """Write a scalar register unless it holds the value already."""
        if self._scalars.get(register) != value:
            self.device.write_register(registers.scalar_offset(register), value)
            self._scalars[register] = value

    def prefill(
        self,
        token_ids: Sequence[int],
        *,
        position: int = 0,
        sequence: int = 0,
        store_logits: bool = False,
        chunk: int | None = None,
        adapter: str | None = None,
    ) -> None:
        """Append a prompt in chunks; the head runs for its last token only."""
        for start, end in self.chunks(len(token_ids), chunk, adapter):
            last = end == len(token_ids)
            self.run_chunk(
                token_ids[start:end],
                position=position + start,
                sequence=sequence,
                head=last,
                store_logits=store_logits and last,
                adapter=adapter,
            )

    def score(
        self,
        token_ids: Sequence[int],
        *,
        position: int = 0,
        sequence: int = 0,
        adapter: str | None = None,
    ) -> NDArray[np.float32]:
        """Logits [n, vocab_size] of every position from `position` on; needs a scoring program."""
        parts: list[NDArray[np.float32]] = []
        for start, end in self.chunks(len(token_ids), adapter=adapter):
            part = token_ids[start:end]
            self.run_chunk(
                part,
                position=position + start,
                sequence=sequence,
                store_logits=True,
                adapter=adapter,
            )
            parts.append(self.logits(len(part)))
        return np.concatenate(parts)

    def top_k(self) -> TopK:
        """What the head's top-k unit kept of the last row."""
        entries = self.compiled.config.top_k_entries
        base = self.compiled.memory.regions["top_k"].base
        record = np.dtype([("value", "<f4"), ("index", "<u4")])
        raw = self.device.read_memory(base, 8 * entries).view(record)
        return TopK(raw["index"].copy(), raw["value"].copy())

    def logits(self, rows: int = 1) -> NDArray[np.float32]:
        """Stored logits [rows, vocab_size] of the last chunk."""
        memory, vocab_size = self.compiled.memory, self.compiled.model.vocab_size
        padded = memory.head_part.n_tiles[0] * self.compiled.config.array_cols
        raw = self.device.read_memory(memory.regions["logits"].base, 4 * rows * padded)
        return raw.view("<f4").reshape(rows, padded)[:, :vocab_size].copy()

    def kv_cache(self, sequence: int = 0) -> NDArray[np.uint8]:
        """The bytes of a sequence's KV cache."""
        memory = self.compiled.memory
        base = memory.regions["kv"].base + sequence * memory.sequence_kv_bytes
        return self.device.read_memory(base, memory.sequence_kv_bytes)

    def counters(self) -> Counters:
        """The hardware's counters now."""
        values: dict[str, int] = {}
        for field in fields(Counters):
            offset = registers.counter_offset(field.name.upper())
            low = self.device.read_register(offset)
            values[field.name] = low | self.device.read_register(offset + 4) << 32
        return Counters(**values)
