# SPDX-License-Identifier: Apache-2.0
"""LOAD, STORE, STORE_KV, STORE_TOP_K and the STREAM instructions."""

import numpy as np

from weft_arch import float24, layouts
from weft_arch.config import BLOCK
from weft_arch.isa import (
    Load,
    LoadFormat,
    Resident,
    Store,
    StoreKV,
    StreamKV,
    StreamWeights,
    WeightFormat,
)
from weft_arch.registers import Fault
from weft_sim.reference.arithmetic import F64, rounded
from weft_sim.reference.state import (
    MachineState,
    ProgramFault,
    Replayed,
    Resolved,
    Starved,
    Stream,
)

__all__ = ["load", "store", "store_kv", "store_top_k", "stream_kv", "stream_weights"]


def stream_weights(state: MachineState, op: Resolved) -> None:
    """Queue weight tiles for MATMUL, or keep them."""
    s = op.instruction
    assert isinstance(s, StreamWeights)
    bits = 8 if s.format == WeightFormat.W8 else 4
    if s.resident != Resident.NONE:
        first = op.aux_a if s.resident == Resident.KEEP else op.address
        end = first + op.count * state.config.resident_tile_places(bits)
        if end > state.resident.places:
            raise ProgramFault(Fault.ILLEGAL_OPERAND, s.opcode)
    if op.count == 0:
        return
    size = op.count * state.config.tile_bytes(bits)
    if s.resident == Resident.KEEP:
        state.resident.keep(op.aux_a, state.memory.read(op.address, size), bits)
        return
    stream = Stream(op.address, op.count, int(s.format))
    if s.resident == Resident.REPLAY:
        tiles = state.resident.replay(op.address, op.count, bits)
        if tiles is None:
            raise Starved(f"tiles from place {op.address} on, which have not been kept")
        stream.replayed = Replayed(tiles, state.resident.version)
    else:
        _check_range(state, op.address, size)
    state.streams.append(stream)


def stream_kv(state: MachineState, op: Resolved) -> None:
    """Queue kv blocks for ATTEND."""
    s = op.instruction
    assert isinstance(s, StreamKV)
    if s.k_blocks == 0:
        raise ProgramFault(Fault.ILLEGAL_OPERAND, s.opcode)
    if op.count:
        wide = bool(s.wide_keys)
        layout = layouts.KVLayout(state.config, s.k_blocks, wide)
        _check_range(state, op.address, -(-op.count // BLOCK) * layout.block_bytes)
        state.streams.append(Stream(op.address, op.count, -1, s.k_blocks, wide))


def _check_range(state: MachineState, address: int, size: int) -> None:
    state.memory.read(address, size)
    state.memory.bytes_read -= size  # counted when the array consumes it


def load(state: MachineState, op: Resolved) -> None:
    """Run a LOAD."""
    ld = op.instruction
    assert isinstance(ld, Load)
    config, memory = state.config, state.memory
    dim = ld.words * config.lanes
    if ld.words == 0 or (ld.format == LoadFormat.Q8 and dim % BLOCK):
        raise ProgramFault(Fault.ILLEGAL_OPERAND, ld.opcode)
    for row in range(op.count):
        number = row
        if ld.gather:
            number = int(memory.read(op.aux_a + 4 * row, 4, align=4).view("<u4")[0])
        address = (op.address + number * ld.row_bytes) & 0xFFFF_FFFF
        values = _load_row(state, ld.format, address, dim)
        first = ld.destination + row * ld.destination_stride
        place = (first + np.arange(ld.words)) % len(state.vectors)
        state.vectors[place] = values.reshape(ld.words, config.lanes)


def _load_row(state: MachineState, kind: LoadFormat, address: int, dim: int) -> F64:
    if kind == LoadFormat.F32:
        raw = state.memory.read(address, 4 * dim).view("<f4")
        return float24.from_float32(raw).astype(np.float64)
    if kind == LoadFormat.F16:
        raw = state.memory.read(address, 2 * dim).view("<u2")
        return float24.from_float16_bits(raw).astype(np.float64)
    row = state.memory.read(address, layouts.q8_row_bytes(state.config, dim))
    scales = float24.from_float16_bits(row[: 2 * (dim // BLOCK)].view("<u2")).astype(np.float64)
    codes = row[-dim:].view(np.int8).reshape(-1, BLOCK).astype(np.float64)
    return rounded(codes * scales[:, None]).reshape(-1)


def store(state: MachineState, op: Resolved) -> None:
    """Run a STORE."""
    s = op.instruction
    assert isinstance(s, Store)
    if s.words == 0:
        raise ProgramFault(Fault.ILLEGAL_OPERAND, s.opcode)
    for row in range(op.count):
        first = s.source + row * s.source_stride
        values = state.vectors[(first + np.arange(s.words)) % len(state.vectors)]
        raw = np.ascontiguousarray(values.reshape(-1), np.float32).view(np.uint8)
        address = (op.address + row * s.row_bytes) & 0xFFFF_FFFF
        state.memory.write(address, raw, align=state.config.beat_bytes)


def store_kv(state: MachineState, op: Resolved) -> None:
    """Run a STORE_KV."""
    s = op.instruction
    assert isinstance(s, StoreKV)
    if s.k_blocks == 0 or s.slots == 0:
        raise ProgramFault(Fault.ILLEGAL_OPERAND, s.opcode)
    layout = layouts.KVLayout(state.config, s.k_blocks, bool(s.wide_keys))
    beat = state.config.beat_bytes
    if op.address % beat or s.slot_bytes % beat:
        raise ProgramFault(Fault.UNALIGNED_ADDRESS, op.address)
    if len(state.groups) < op.count * s.slots * (s.k_blocks if s.values else layout.key_blocks):
        raise Starved("quantised groups that no VECTOR before it makes")
    for row in range(op.count):
        position = op.aux_a + row
        for slot in range(s.slots):
            base = (op.address + slot * s.slot_bytes) & 0xFFFF_FFFF
            store_one = _store_value if s.values else _store_key
            store_one(state, layout, base, position)


def _store_key(state: MachineState, layout: layouts.KVLayout, base: int, position: int) -> None:
    for k in range(layout.key_blocks):
        codes, exponent = state.groups.popleft()
        scale = np.array([layouts.key_scale_bits(exponent)], "<u2").view(np.uint8)
        state.memory.write(base + layout.key_scale_offset(position, k), scale)
        raw = codes.astype(np.int8).view(np.uint8)
        state.memory.write(base + layout.key_codes_offset(position, k), raw)


def _store_value(state: MachineState, layout: layouts.KVLayout, base: int, position: int) -> None:
    for k in range(layout.k_blocks):
        codes, exponent = state.groups.popleft()
        if k == 0:
            raw = np.array([exponent], np.int8).view(np.uint8)
            state.memory.write(base + layout.exponent_offset(position), raw)
        place = base + layout.value_offset(position, BLOCK * k)
        state.memory.write_strided(place, BLOCK, codes.astype(np.int8).view(np.uint8))


def store_top_k(state: MachineState, op: Resolved) -> None:
    """Run a STORE_TOP_K."""
    entries = state.config.top_k_entries
    record = np.zeros(entries, np.dtype([("value", "<f4"), ("index", "<u4")]))
    record["value"], record["index"] = -float24.MAX, 0xFFFF_FFFF
    for i, (value, index) in enumerate(state.top_k):
        record[i] = (value, index)
    raw = record.view(np.uint8)
    state.memory.write(op.address, raw, align=state.config.beat_bytes)
