# SPDX-License-Identifier: Apache-2.0
"""The instructions as their docstrings in `weft_arch.isa` say them: nested loops, one number at a
time, with the definitions of `weft_arch`. Slow, and nothing else."""

import numpy as np

from weft_arch import blocks, float24, functions, isa
from weft_arch.layouts import KVLayout, key_scale_bits, q8_row_bytes
from weft_sim.reference.state import MachineState, Resolved

__all__ = ["Direct"]

GATES = {
    isa.Activation.SILU: functions.SIGMOID,
    isa.Activation.GELU_TANH: functions.GELU_TANH,
    isa.Activation.GELU_ERF: functions.GELU_ERF,
}


class Direct:
    """A machine that starts from a copy of another's state and runs single instructions."""

    def __init__(self, state: MachineState) -> None:
        self.config = state.config
        self.memory = state.memory.data.copy()
        self.vectors = state.vectors.astype(np.float32)
        self.codes, self.exponents = state.codes.copy(), state.exponents.copy()
        self.row_scalars = state.row_scalars.astype(np.float32)
        self.entries = [int(e) for e in state.codebook]
        self.top_k: list[tuple[float, int]] = list(state.top_k)
        self.tiles: list[tuple[np.ndarray, np.ndarray]] = []
        """scales and codes of weight tiles on their way to MATMUL"""
        self.kept_scales: dict[int, np.ndarray] = {}
        self.kept_codes: dict[int, np.ndarray] = {}
        """bytes by place of the resident memory"""
        self.slots: list[tuple[int, int]] = []
        """address and positions of KV slots on their way to ATTEND"""
        self.groups: list[tuple[np.ndarray, int]] = []

    def run(self, op: Resolved) -> None:
        getattr(self, op.instruction.opcode.name.lower())(op, op.instruction)

    def word(self, address: int) -> np.ndarray:
        return self.vectors[address % self.config.vector_memory_words]

    def u16(self, address: int) -> int:
        return int.from_bytes(self.memory[address : address + 2].tobytes(), "little")

    # STREAM ------------------------------------------------------------------------------------

    def stream_weights(self, op: Resolved, s: isa.StreamWeights) -> None:
        cols, bits = self.config.array_cols, 8 if s.format == isa.WeightFormat.W8 else 4
        halves = bits // 4
        for tile in range(op.count):
            if s.resident == isa.Resident.REPLAY:
                place = op.address + tile * halves
                halves_of_tile = [self.kept_codes[place + half] for half in range(halves)]
                raw = np.concatenate([self.kept_scales[place], *halves_of_tile])
            else:
                start = op.address + tile * self.config.tile_bytes(bits)
                raw = self.memory[start : start + self.config.tile_bytes(bits)]
            if s.resident == isa.Resident.KEEP:
                place = op.aux_a + tile * halves
                self.kept_scales[place] = raw[: 2 * cols].copy()
                for half in range(halves):
                    first = 2 * cols + half * 16 * cols
                    self.kept_codes[place + half] = raw[first : first + 16 * cols].copy()
                continue
            scales = [
                int.from_bytes(raw[2 * c : 2 * c + 2].tobytes(), "little") for c in range(cols)
            ]
            codes = np.zeros((cols, 32), np.int64)
            for column in range(cols):
                block = raw[2 * cols + 4 * bits * column :]
                for j in range(32):
                    if bits == 8:
                        codes[column, j] = np.int8(block[j])
                    else:
                        byte = int(block[j % 16])
                        codes[column, j] = byte & 15 if j < 16 else byte >> 4
            self.tiles.append((np.array(scales), codes))

    def stream_kv(self, op: Resolved, s: isa.StreamKV) -> None:
        self.slots.append((op.address, op.count))

    # COMPUTE -----------------------------------------------------------------------------------

    def codebook(self, op: Resolved, c: isa.Codebook) -> None:
        both = c.entries_low | c.entries_high << 64
        unsigned = [both >> 8 * i & 255 for i in range(16)]
        self.entries = [e - 256 if e > 127 else e for e in unsigned]

    def activation(self, block: int) -> tuple[np.ndarray, int]:
        place = block % self.config.activation_blocks
        return self.codes[place], int(self.exponents[place])

    def matmul(self, op: Resolved, m: isa.Matmul) -> None:
        lanes, rows = self.config.lanes, op.count
        out = np.zeros((rows, m.n_tiles, lanes), np.float32)
        if m.init == isa.InitMode.VECTOR_MEMORY:
            for row in range(rows):
                for n in range(m.n_tiles):
                    out[row, n] = self.word(m.initial + row * m.initial_stride + n)
        if m.clear_top_k:
            self.top_k = []
        for n in range(m.n_tiles):
            for k in range(m.k_blocks):
                scales, codes = self.tiles.pop(0)
                for row in range(rows):
                    block, exponent = self.activation(op.address + row * m.activation_stride + k)
                    for lane in range(lanes):
                        weights = codes[lane]
                        if m.format == isa.WeightFormat.W4:
                            weights = [self.entries[c] for c in weights]
                        total = sum(int(a) * int(w) for a, w in zip(block, weights, strict=True))
                        scale = float24.from_float16_bits(scales[lane])
                        out[row, n, lane] = blocks.accumulate(
                            out[row, n, lane], total, scale, exponent
                        )
            for row in range(rows):
                if m.to_vector_memory:
                    self.word(m.destination + row * m.destination_stride + n)[:] = out[row, n]
                if m.to_top_k:
                    for lane in range(lanes):
                        index = m.top_k_base + n * self.config.array_cols + lane
                        if index < m.top_k_limit:
                            self.enter(float(out[row, n, lane]), index)

    def enter(self, value: float, index: int) -> None:
        place = 0
        while place < len(self.top_k) and (
            self.top_k[place][0] > value
            or (self.top_k[place][0] == value and self.top_k[place][1] < index)
        ):
            place += 1
        self.top_k.insert(place, (value, index))
        del self.top_k[self.config.top_k_entries :]

    def attend(self, op: Resolved, a: isa.Attend) -> None:
        address, n_keys = self.slots.pop(0)
        assert n_keys == op.aux_b
        for row in range(op.count):
            limit = op.aux_a + row // a.rows_per_position + 1 if a.causal else op.aux_b
            self.attend_row(op, a, address, row, limit)

    def attend_row(self, op: Resolved, a: isa.Attend, address: int, row: int, limit: int) -> None:
        layout = KVLayout(self.config, a.k_blocks, bool(a.wide_keys))
        m_old: int | None = None
        total = np.float32(0)
        out = np.zeros(32 * a.k_blocks, np.float32)
        for block in range(-(-op.aux_b // 32)):
            fixed: list[int] = []
            for j in range(32):
                score = np.float32(0)
                for k in range(layout.key_blocks):
                    of_query = k >> a.wide_keys
                    query, exponent = self.activation(
                        op.address + row * a.activation_stride + of_query
                    )
                    place = address + layout.key_codes_offset(32 * block + j, k)
                    key = self.memory[place : place + 32].view(np.int8)
                    scale = self.u16(address + layout.key_scale_offset(32 * block + j, k))
                    partial = sum(int(x) * int(y) for x, y in zip(query, key, strict=True))
                    score = blocks.accumulate(
                        score, partial, float24.from_float16_bits(scale), exponent
                    )
                fixed.append(int(functions.to_fixed(score, 12, 24)))
            visible = [32 * block + j < limit for j in range(32)]
            codes, exponent = np.zeros(32, np.int32), blocks.MIN_EXPONENT
            if any(visible):
                ceiling = max(-(-f // 4096) for f, seen in zip(fixed, visible, strict=True) if seen)
                m_new = ceiling if m_old is None else max(m_old, ceiling)
                drop = 0 if m_old is None else m_new - m_old
                total, out = self.shrink(total, drop), self.shrink(out, drop)
                m_old = m_new
                in_sum, weighted = 0, np.zeros(32, np.float32)
                for j in range(32):
                    distance = 4096 * m_new - fixed[j]
                    whole = distance // 4096
                    if not visible[j] or whole > 24:
                        continue
                    p = int(functions.EXP2.evaluate(distance % 4096))
                    in_sum += (p << 8) >> whole
                    value_exponent = int(
                        self.memory[address + layout.exponent_offset(32 * block + j)].view(np.int8)
                    )
                    weighted[j] = float24.scale_exponent(p, value_exponent - 16 - whole)
                total = float24.add(total, float24.round_to_f24(in_sum * 2.0**-24))
                codes, exponent = blocks.quantize(weighted, self.config.activation_bits)
            buffer = (a.probabilities + block % 2 * op.count + row) % self.config.activation_blocks
            self.codes[buffer], self.exponents[buffer] = codes, exponent
            for channel in range(32 * a.k_blocks):
                place = address + layout.value_offset(32 * block, channel)
                values = self.memory[place : place + 32].view(np.int8)
                partial = sum(int(x) * int(y) for x, y in zip(codes, values, strict=True))
                out[channel] = blocks.accumulate(out[channel], partial, 1.0, exponent)
        words = out.reshape(-1, self.config.lanes)
        for n, word in enumerate(words):
            self.word(a.destination + row * a.destination_stride + n)[:] = word
        self.row_scalars[(a.row_scalar + row) % 256] = functions.reciprocal(total)

    @staticmethod
    def shrink(x: np.ndarray | np.float32, drop: int) -> np.ndarray:
        return float24.scale_exponent(x, -drop)

    # VECTOR ------------------------------------------------------------------------------------

    def vector(self, op: Resolved, v: isa.Vector) -> None:
        before = self.vectors.copy()  # operands are those before the instruction
        size, lanes = self.config.vector_memory_words, self.config.lanes
        for o in range(op.count):
            for i in range(v.inner):
                results: list[np.ndarray] = []
                for w in range(v.words):
                    a = before[(v.a + o * v.a_outer + i * v.a_inner + w) % size]
                    place = v.b + o * v.b_outer + i * v.b_inner
                    match v.operand_b:
                        case isa.OperandB.VECTOR_MEMORY:
                            b = before[(place + w) % size]
                        case isa.OperandB.ROW_SCALAR:
                            b = np.repeat(self.row_scalars[place % 256], lanes)
                        case isa.OperandB.IMMEDIATE:
                            b = np.repeat(float24.decode(op.address & 0xFFFFFF), lanes)
                    c = before[(place + w) % size]
                    s = before[(place + w + (op.address & 0x3FFF)) % size]
                    results.append(self.element_wise(v, a, b, c, s))
                if v.to == isa.VectorDestination.VECTOR_MEMORY:
                    for w, result in enumerate(results):
                        self.word(v.d + o * v.d_outer + i * v.d_inner + w)[:] = result
                else:
                    self.quantize(v, o, i, results)

    def element_wise(
        self, v: isa.Vector, a: np.ndarray, b: np.ndarray, c: np.ndarray, s: np.ndarray
    ) -> np.ndarray:
        out = np.zeros(self.config.lanes, np.float32)
        for lane in range(self.config.lanes):
            x, y = a[lane], b[lane]
            match v.operation:
                case isa.VectorOp.COPY:
                    out[lane] = x
                case isa.VectorOp.ADD:
                    out[lane] = float24.add(x, y)
                case isa.VectorOp.SUB:
                    out[lane] = float24.add(x, -y)
                case isa.VectorOp.MUL:
                    out[lane] = float24.multiply(x, y)
                case isa.VectorOp.ROPE:
                    straight = float24.multiply(x, c[lane])
                    crossed = float24.multiply(a[lane ^ 1], s[lane])
                    out[lane] = float24.add(straight, crossed)
                case isa.VectorOp.ACTIVATE:
                    out[lane] = functions.gate(GATES[v.activation], x)
        return out

    def quantize(self, v: isa.Vector, o: int, i: int, results: list[np.ndarray]) -> None:
        if v.fill:
            zero = np.zeros(self.config.lanes, np.float32)
            filled = [zero] * v.group_words
            filled[v.group_offset : v.group_offset + v.words] = results
            results = filled
        for g in range(len(results) // v.group_words):
            values = np.concatenate(results[g * v.group_words : (g + 1) * v.group_words])
            if v.to == isa.VectorDestination.ACTIVATIONS:
                codes, exponent = blocks.quantize(values, self.config.activation_bits)
                place = (v.d + o * v.d_outer + i * v.d_inner + g) % self.config.activation_blocks
                self.codes[place], self.exponents[place] = codes, exponent
                continue
            if v.to == isa.VectorDestination.KEYS and v.wide_keys:
                self.wide_keys(values)
                continue
            low = (
                blocks.KEY_MIN_EXPONENT
                if v.to == isa.VectorDestination.KEYS
                else blocks.MIN_EXPONENT
            )
            codes, exponent = blocks.quantize(values, 8, low)
            for part in codes.reshape(-1, 32):
                self.groups.append((part, int(exponent)))

    def wide_keys(self, values: np.ndarray) -> None:
        largest = max(abs(float(x)) for x in values)
        top = max(np.frexp(largest)[1] - 1 if largest else -127, -1)
        codes = [int(float(x) * 2.0 ** (13 - top)) for x in values]
        high = np.array([int(c / 128) for c in codes])
        for plane, exponent in ((high, top - 6), (codes - 128 * high, top - 13)):
            for part in plane.reshape(-1, 32):
                self.groups.append((part, int(exponent)))

    def reduce(self, op: Resolved, r: isa.Reduce) -> None:
        for o in range(op.count):
            for i in range(r.inner):
                start = r.a + o * r.a_outer + i * r.a_inner
                values = [x for w in range(r.words) for x in self.word(start + w)]
                if r.operation == isa.ReduceOp.SUM_SQUARES:
                    values = [float24.multiply(x, x) for x in values]
                scale, offset = float24.decode(op.address & 0xFFFFFF), float24.decode(r.offset)
                total = blocks.reduce_sum(np.array(values, np.float32))
                total = float24.add(float24.multiply(total, scale), offset)
                if r.post == isa.ReducePost.RSQRT:
                    total = functions.rsqrt(total)
                elif r.post == isa.ReducePost.RECIPROCAL:
                    total = functions.reciprocal(total)
                self.row_scalars[(r.d + o * r.d_outer + i * r.d_inner) % 256] = total

    # LOAD and STORE ----------------------------------------------------------------------------

    def load(self, op: Resolved, ld: isa.Load) -> None:
        for r in range(op.count):
            number = r
            if ld.gather:
                number = int(self.memory[op.aux_a + 4 * r :][:4].view("<u4")[0])
            start = op.address + number * ld.row_bytes
            for w in range(ld.words):
                word = self.word(ld.destination + r * ld.destination_stride + w)
                for lane in range(self.config.lanes):
                    word[lane] = self.element(ld, start, w * self.config.lanes + lane)

    def element(self, ld: isa.Load, start: int, index: int) -> np.ndarray:
        if ld.format == isa.LoadFormat.F32:
            raw = self.memory[start + 4 * index :][:4].view("<f4")[0]
            return float24.from_float32(raw)
        if ld.format == isa.LoadFormat.F16:
            return float24.from_float16_bits(self.u16(start + 2 * index))
        dim = ld.words * self.config.lanes
        scale = float24.from_float16_bits(self.u16(start + 2 * (index // 32)))
        codes = start + q8_row_bytes(self.config, dim) - dim
        return float24.multiply(float(self.memory[codes + index].view(np.int8)), scale)

    def store(self, op: Resolved, s: isa.Store) -> None:
        for r in range(op.count):
            for w in range(s.words):
                raw = self.word(s.source + r * s.source_stride + w).copy().view(np.uint8)
                place = op.address + r * s.row_bytes + 4 * self.config.lanes * w
                self.memory[place : place + raw.size] = raw

    def store_kv(self, op: Resolved, s: isa.StoreKV) -> None:
        layout = KVLayout(self.config, s.k_blocks, bool(s.wide_keys))
        for r in range(op.count):
            position = op.aux_a + r
            for slot in range(s.slots):
                base = op.address + slot * s.slot_bytes
                for k in range(s.k_blocks if s.values else layout.key_blocks):
                    codes, exponent = self.groups.pop(0)
                    if s.values:
                        self.memory[base + layout.exponent_offset(position)] = exponent & 255
                        for j in range(32):
                            place = base + layout.value_offset(position, 32 * k + j)
                            self.memory[place] = int(codes[j]) & 255
                    else:
                        place = base + layout.key_scale_offset(position, k)
                        scale = key_scale_bits(exponent).to_bytes(2, "little")
                        self.memory[place : place + 2] = np.frombuffer(scale, np.uint8)
                        place = base + layout.key_codes_offset(position, k)
                        self.memory[place : place + 32] = codes.astype(np.int8).view(np.uint8)

    def store_top_k(self, op: Resolved, s: isa.StoreTopK) -> None:
        for entry in range(self.config.top_k_entries):
            value, index = -float24.MAX, 0xFFFFFFFF
            if entry < len(self.top_k):
                value, index = self.top_k[entry]
            raw = np.float32(value).tobytes() + index.to_bytes(4, "little")
            place = op.address + 8 * entry
            self.memory[place : place + 8] = np.frombuffer(raw, np.uint8)
