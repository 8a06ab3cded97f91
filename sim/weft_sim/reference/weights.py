# SPDX-License-Identifier: Apache-2.0
"""Weight tiles as the array sees them, decoded once and kept while the memory stays unchanged."""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weft_arch import float24, layouts
from weft_arch.isa import Matmul, WeightFormat
from weft_arch.registers import Fault
from weft_sim.reference.arithmetic import F64
from weft_sim.reference.state import MachineState, ProgramFault, Replayed, Starved, Stream

__all__ = ["DecodedWeights", "WeightCache"]


@dataclass(frozen=True)
class _Piece:
    """Adjacent tiles, in memory or in the resident memory."""

    address: int
    """or place"""
    size: int
    """bytes"""
    version: int = 0
    """of the resident memory; 0: not from there"""


@dataclass(frozen=True)
class DecodedWeights:
    """codes: float32 [k_blocks, 32, N]; scales: F24 in float64 [k_blocks, 1, N]."""

    codes: NDArray[np.float32]
    scales: F64
    start: int
    """first address that they come from, if any"""
    end: int
    """the one after the last"""


class WeightCache:
    """Decoded weights by address, the least recently used dropped above ``limit_bytes``."""

    def __init__(self, limit_bytes: int = 4 << 30) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._kept: OrderedDict[tuple, DecodedWeights] = OrderedDict()
        self._start, self._end = 1 << 32, 0

    def pop_tiles(self, state: MachineState, op: Matmul) -> DecodedWeights:
        """Consume the tiles of a MATMUL from the weight stream."""
        needed = op.k_blocks * op.n_tiles
        weight_bits = 8 if op.format == WeightFormat.W8 else 4
        pieces: list[_Piece] = []
        raw: list[NDArray[np.uint8]] = []
        while needed:
            if not state.streams:
                raise Starved("weight tiles that no STREAM_WEIGHTS before it asks for")
            if state.streams[0].format != op.format:
                raise ProgramFault(Fault.ILLEGAL_OPERAND, op.opcode)
            stream = state.streams[0]
            take = min(needed, stream.count)
            # Reading marks the bytes as moved and checks the region, cached or not.
            piece, bytes_ = _take(state, stream, take, weight_bits)
            pieces.append(piece)
            raw.append(bytes_)
            stream.count -= take
            needed -= take
            if not stream.count:
                state.streams.popleft()
        codebook = state.codebook.tobytes() if weight_bits == 4 else b""
        key = (tuple(pieces), op.k_blocks, weight_bits, codebook)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        decoded = self._decode(state, np.concatenate(raw), pieces, op.k_blocks, weight_bits)
        self._kept[key] = decoded
        self._size += decoded.codes.nbytes
        self._start, self._end = min(self._start, decoded.start), max(self._end, decoded.end)
        while self._size > self._limit and len(self._kept) > 1:
            self._size -= self._kept.popitem(last=False)[1].codes.nbytes
        return decoded

    def forget(self, start: int, end: int) -> None:
        """Drop what was decoded from addresses that overlap [start, end)."""
        if start >= self._end or self._start >= end:
            return
        stale = [k for k, w in self._kept.items() if w.start < end and start < w.end]
        for key in stale:
            self._size -= self._kept.pop(key).codes.nbytes

    @staticmethod
    def _decode(
        state: MachineState,
        raw: NDArray[np.uint8],
        pieces: list[_Piece],
        k_blocks: int,
        weight_bits: int,
    ) -> DecodedWeights:
        codes, scales = layouts.unpack_tiles(state.config, raw, k_blocks, weight_bits)
        values = codes.view(np.int8) if weight_bits == 8 else state.codebook[codes]
        in_memory = [piece for piece in pieces if not piece.version]
        return DecodedWeights(
            np.ascontiguousarray(values.transpose(1, 2, 0), np.float32),
            float24.from_float16_bits(scales).T[:, None, :].astype(np.float64),
            min((p.address for p in in_memory), default=1 << 32),
            max((p.address + p.size for p in in_memory), default=0),
        )


def _take(
    state: MachineState, stream: Stream, tiles: int, weight_bits: int
) -> tuple[_Piece, NDArray[np.uint8]]:
    """The next tiles of a stream."""
    size, kept = tiles * state.config.tile_bytes(weight_bits), stream.replayed
    if kept is None:
        piece = _Piece(stream.address, size)
        raw = state.memory.read(stream.address, size)
        stream.address += size
        return piece, raw
    piece = _Piece(stream.address, size, kept.version)
    stream.replayed = Replayed(kept.tiles[tiles:], kept.version)
    stream.address += state.config.resident_tile_places(weight_bits) * tiles
    return piece, kept.tiles[:tiles].reshape(-1)
