# SPDX-License-Identifier: Apache-2.0
"""Level 3: one program for prefill chunks of any size and for every decode step.

The host sets scalar registers (see `conventions.Register`), writes token ids to memory and starts.
The layer loop is a hardware loop; its addresses are scalar registers that advance with it.
"""

from collections.abc import Iterable
from typing import Any

from weft.compiler.building_blocks import BuildingBlocks, f24
from weft.compiler.conventions import Register, Token
from weft.compiler.graph import Graph
from weft.compiler.plan import MemoryPlan, OnChipPlan, WeightPart, blocks_of
from weft_arch import isa
from weft_arch.config import BLOCK, Configuration
from weft_arch.isa import (
    Activation,
    Attend,
    Codebook,
    Halt,
    Instruction,
    Load,
    LoadFormat,
    Matmul,
    OperandB,
    Scalar,
    ScalarOp,
    Store,
    StoreKV,
    StoreTopK,
    StreamKV,
    Vector,
    VectorDestination,
    VectorOp,
    WeightFormat,
)

__all__ = ["emit"]


_ACTIVATIONS = {
    "silu": Activation.SILU,
    "gelu_tanh": Activation.GELU_TANH,
    "gelu_erf": Activation.GELU_ERF,
}


class _LlamaProgram(BuildingBlocks):
    def emit(self) -> list[Instruction]:
        self.prologue()
        layers = self.open_loop(count=self.model.n_layers)
        self.attention_layer()
        self.feed_forward_layer()
        self.advance()
        self.close_loop(layers)
        self.epilogue()
        return self.program

    def prologue(self) -> None:
        r, memory, vector = Register, self.memory, self.chip.vector

        def set_scalar(destination: int, **fields: Any) -> Instruction:
            return Scalar(destination=destination, **fields)

        self.add(
            set_scalar(r.CONTEXT, address_reg=r.POSITION, count_reg=r.ROWS),
            set_scalar(
                r.ROPE,
                operation=ScalarOp.MUL,
                address_reg=r.POSITION,
                address=memory.rope_row_bytes,
            ),
            set_scalar(r.IDS, address=memory.regions["ids"].base),
            set_scalar(
                r.QUERY_ROWS,
                operation=ScalarOp.MUL,
                address_reg=r.ROWS,
                address=self.chip.heads.rows,
            ),
            set_scalar(r.KV, address_reg=r.SEQUENCE, address=memory.regions["kv"].base),
            set_scalar(r.WEIGHTS, address=memory.regions["weights"].base),
            set_scalar(r.GAINS, address=memory.regions["gains"].base),
        )
        if self.format == WeightFormat.W4:
            entries = bytes(value & 0xFF for value in range(-8, 8))
            self.add(
                Codebook(
                    entries_low=int.from_bytes(entries[:8], "little"),
                    entries_high=int.from_bytes(entries[8:], "little"),
                )
            )
        head_words = self.words(self.model.head_dim)
        self.add(
            *self.zeros_between_heads(),
            *self.zeros_around_queries(),
            Vector(signal_a=Token.GAIN_A_FREE, signal_b=Token.GAIN_B_FREE, words=1),
            Load(
                signal_a=Token.X,
                address=memory.regions["embedding"].base,
                aux_a_reg=r.IDS,
                count_reg=r.ROWS,
                format=LoadFormat.F16,
                gather=1,
                words=self.words(self.model.dim),
                destination=vector["x"].base,
                destination_stride=self.words(self.model.dim),
                row_bytes=memory.row_bytes,
            ),
            # Done before the first gain, whose token covers it: loads finish in order.
            Load(
                address=memory.regions["rope"].base,
                address_reg=r.ROPE,
                count_reg=r.ROWS,
                format=LoadFormat.F32,
                words=4 * head_words,
                destination=vector["rope"].base,
                destination_stride=4 * head_words,
                row_bytes=memory.rope_row_bytes,
            ),
        )

    def attention_layer(self) -> None:
        chip, memory = self.chip, self.memory
        kv_part, q_part, o_part = memory.layer_parts[:3]
        self.add(
            self.stream((kv_part, q_part), 0, Register.WEIGHTS),
            self.load_gain("gain_a", 0, Register.GAINS, Token.GAIN_A_FREE, Token.GAIN_A),
            *self.norm("gain_a", Token.X, Token.GAIN_A, Token.GAIN_A_FREE, Token.NORMED),
            self.matmul(
                kv_part,
                "normed",
                chip.vector["keys_values"].base,
                wait_a=Token.NORMED,
                signal_a=Token.KEYS_VALUES,
            ),
            self.matmul(q_part, "normed", chip.vector["queries"].base, signal_a=Token.QUERIES),
            *self.keys_values(),
        )
        for slot in range(chip.heads.n_slots):
            self.add(
                StreamKV(
                    wait_a=Token.KV_STORED if slot == 0 else 0,
                    address=slot * memory.slot_bytes,
                    address_reg=Register.KV,
                    count_reg=Register.CONTEXT,
                    k_blocks=chip.heads.k_blocks,
                )
            )
        self.add(*self.queries())
        self.add(*(self.attend(slot) for slot in range(chip.heads.n_slots)))
        skipped = (kv_part.tiles + q_part.tiles) * self.config.tile_bytes(memory.weight_bits)
        self.add(self.stream(memory.layer_parts[2:], skipped, Register.WEIGHTS))
        self.add(*self.attended())
        self.add(
            self.matmul(
                o_part,
                "attended",
                chip.vector["x"].base,
                residual=True,
                wait_a=Token.ATTENDED,
                signal_a=Token.X_ATTENTION,
            )
        )

    def zeros_between_heads(self) -> Iterable[Instruction]:
        """Zeros where heads do not fill their slots; nothing overwrites them."""
        heads = self.chip.heads
        if heads.fill_slots:
            return
        head_words = self.words(self.model.head_dim)
        start = self.chip.vector["padded"].base + head_words
        yield Vector(
            operation=VectorOp.MUL,
            operand_b=OperandB.IMMEDIATE,
            address=f24(0.0),
            count_reg=Register.ROWS,
            inner=2 * heads.n_slots,
            words=heads.slot_words - head_words,
            a=start,
            a_outer=2 * heads.n_slots * heads.slot_words,
            a_inner=heads.slot_words,
            d=start,
            d_outer=2 * heads.n_slots * heads.slot_words,
            d_inner=heads.slot_words,
        )

    def keys_values(self) -> Iterable[Instruction]:
        """Rotate the keys, quantise keys and values, append them to the cache.

        Keys of heads that fill a slot are quantised as they are rotated; others are rotated in
        place, or into the slots between zeros, and quantised slot by slot.
        """
        chip, heads, vector = self.chip, self.chip.heads, self.chip.vector
        head_words, per_block = self.words(self.model.head_dim), self.config.words_per_block
        kv_words = self.words(self.model.kv_dim)
        slot_words = heads.slot_words
        keys = slots = vector["keys_values"].base
        slot_stride, values = 2 * kv_words, kv_words
        if not heads.fill_slots:
            slots, slot_stride = vector["padded"].base, 2 * heads.n_slots * slot_words
            values = heads.n_slots * slot_words
        heads_apart = head_words if heads.fill_slots else slot_words
        each: dict[str, Any] = {
            "count_reg": Register.ROWS,
            "inner": self.model.n_kv_heads,
            "words": head_words,
            "a_outer": 2 * kv_words,
            "a_inner": head_words,
            "d_outer": slot_stride,
            "d_inner": heads_apart,
        }
        yield Vector(
            wait_a=Token.KEYS_VALUES,
            operation=VectorOp.ROPE,
            to=VectorDestination.KEYS if heads.are_slots else VectorDestination.VECTOR_MEMORY,
            address=head_words,
            a=keys,
            b=vector["rope"].base,
            b_outer=4 * head_words,
            d=slots,
            group_words=per_block,
            **each,
        )
        if not heads.fill_slots:
            yield Vector(operation=VectorOp.COPY, a=keys + kv_words, d=slots + values, **each)
        for to, start, group_words in (
            (VectorDestination.KEYS, slots, per_block),
            (VectorDestination.VALUES, slots + values, slot_words),
        ):
            if to == VectorDestination.KEYS and heads.are_slots:
                continue
            yield Vector(
                operation=VectorOp.COPY,
                to=to,
                count_reg=Register.ROWS,
                inner=heads.n_slots,
                words=slot_words,
                a=start,
                a_outer=slot_stride,
                a_inner=slot_words,
                group_words=group_words,
            )
        for values in (0, 1):
            yield StoreKV(
                signal_a=Token.KV_STORED if values else 0,
                address_reg=Register.KV,
                aux_a_reg=Register.POSITION,
                count_reg=Register.ROWS,
                values=values,
                k_blocks=chip.heads.k_blocks,
                slots=chip.heads.n_slots,
                slot_bytes=self.memory.slot_bytes,
            )

    def queries(self) -> Iterable[Instruction]:
        """Rotate and scale the queries, quantise them into the rows of their slots."""
        heads, vector = self.chip.heads, self.chip.vector
        head_words, per_block = self.words(self.model.head_dim), self.config.words_per_block
        rope = vector["rope"].base + 2 * head_words
        parts = [
            (kv_head, *piece)
            for kv_head in range(heads.n_kv_heads)
            for piece in self._query_pieces(kv_head % heads.per_slot)
        ]
        for number, (kv_head, word, size, block, offset) in enumerate(parts):
            yield Vector(
                wait_a=Token.QUERIES if number == 0 else 0,
                signal_a=Token.QUERY_CODES if number == len(parts) - 1 else 0,
                operation=VectorOp.ROPE,
                to=VectorDestination.ACTIVATIONS,
                address=head_words,
                count_reg=Register.ROWS,
                inner=heads.group,
                words=size,
                a=vector["queries"].base + kv_head * heads.group * head_words + word,
                a_outer=self.words(self.model.q_dim),
                a_inner=head_words,
                b=rope + word,
                b_outer=4 * head_words,
                d=self._query_block(kv_head) + block,
                d_outer=heads.rows * heads.k_blocks,
                d_inner=heads.k_blocks,
                group_words=per_block,
                fill=int(size % per_block > 0),
                group_offset=offset,
            )

    def _query_pieces(self, place: int) -> list[tuple[int, int, int, int]]:
        """As `Heads.pieces`, with whole blocks that lie side by side joined."""
        per_block = self.config.words_per_block
        joined: list[tuple[int, int, int, int]] = []
        for word, size, block, offset in self.chip.heads.pieces(place):
            if size == per_block and joined and joined[-1][1] % per_block == 0:
                word, size, block, offset = joined.pop()
                size += per_block
            joined.append((word, size, block, offset))
        return joined

    def zeros_around_queries(self) -> Iterable[Instruction]:
        """Zeros in the blocks of a slot that are another head's; nothing overwrites them."""
        heads, per_block = self.chip.heads, self.config.words_per_block
        for kv_head in range(heads.n_kv_heads):
            for block in heads.empty_blocks(kv_head % heads.per_slot):
                yield Vector(
                    operation=VectorOp.MUL,
                    operand_b=OperandB.IMMEDIATE,
                    address=f24(0.0),
                    to=VectorDestination.ACTIVATIONS,
                    count_reg=Register.ROWS,
                    inner=heads.group,
                    words=per_block,
                    a=self.chip.vector["queries"].base,
                    d=self._query_block(kv_head) + block,
                    d_outer=heads.rows * heads.k_blocks,
                    d_inner=heads.k_blocks,
                    group_words=per_block,
                )

    def _query_block(self, kv_head: int) -> int:
        """First block of the first query row that goes with a KV head."""
        heads = self.chip.heads
        slot, place = divmod(kv_head, heads.per_slot)
        row = slot * self.chip.chunk_rows * heads.rows + place * heads.group
        return self.chip.activations["queries"].base + row * heads.k_blocks

    def _attention_word(self, slot: int) -> int:
        heads = self.chip.heads
        size = self.chip.chunk_rows * heads.rows * heads.slot_words
        return self.chip.vector["attention"].base + slot * size

    def attend(self, slot: int) -> Instruction:
        heads = self.chip.heads
        return Attend(
            wait_a=Token.QUERY_CODES if slot == 0 else 0,
            signal_a=Token.HEADS,
            address=self._query_block(slot * heads.per_slot),
            count_reg=Register.QUERY_ROWS,
            aux_a_reg=Register.POSITION,
            aux_b_reg=Register.CONTEXT,
            activation_stride=heads.k_blocks,
            k_blocks=heads.k_blocks,
            rows_per_position=heads.rows,
            causal=1,
            probabilities=self.chip.activations["probabilities"].base,
            destination=self._attention_word(slot),
            destination_stride=heads.slot_words,
            row_scalar=slot * self.chip.chunk_rows * heads.rows,
        )

    def attended(self) -> Iterable[Instruction]:
        """Divide by the softmax sums and quantise, heads side by side."""
        chip, heads = self.chip, self.chip.heads
        head_words, per_block = self.words(self.model.head_dim), self.config.words_per_block
        packed = not heads.are_slots
        row_words = self.words(self.model.q_dim)
        row_blocks = blocks_of(self.model.q_dim)
        for kv_head in range(heads.n_kv_heads):
            slot, place = divmod(kv_head, heads.per_slot)
            first_head = kv_head * heads.group
            last = kv_head == heads.n_kv_heads - 1
            yield Vector(
                wait_a=Token.HEADS if place == 0 else 0,
                signal_a=Token.ATTENDED if last and not packed else 0,
                operation=VectorOp.MUL,
                operand_b=OperandB.ROW_SCALAR,
                to=VectorDestination.VECTOR_MEMORY if packed else VectorDestination.ACTIVATIONS,
                count_reg=Register.ROWS,
                inner=heads.group,
                words=head_words,
                a=self._attention_word(slot)
                + place * (heads.group * heads.slot_words + head_words),
                a_outer=heads.rows * heads.slot_words,
                a_inner=heads.slot_words,
                b=slot * chip.chunk_rows * heads.rows + place * heads.group,
                b_outer=heads.rows,
                b_inner=1,
                d=chip.vector["packed"].base + first_head * head_words
                if packed
                else chip.activations["attended"].base + first_head * heads.k_blocks,
                d_outer=row_words if packed else row_blocks,
                d_inner=head_words if packed else heads.k_blocks,
                group_words=per_block,
            )
        if packed:
            yield from self.quantize_rows(
                VectorOp.COPY,
                self.model.q_dim,
                signals=(Token.ATTENDED, 0),
                a=chip.vector["packed"].base,
                a_outer=row_words,
                d=chip.activations["attended"].base,
            )

    def feed_forward_layer(self) -> None:
        *gate_up, down = self.memory.layer_parts[3:]
        self.add(
            self.load_gain(
                "gain_b", self.memory.gain_bytes, Register.GAINS, Token.GAIN_B_FREE, Token.GAIN_B
            ),
            *self.norm(
                "gain_b", Token.X_ATTENTION, Token.GAIN_B, Token.GAIN_B_FREE, Token.NORMED_FFN
            ),
        )
        for number, part in enumerate(gate_up):
            self.add(*self.hidden_slice(part, number, len(gate_up)))
        x = self.chip.vector["x"].base
        self.add(
            self.matmul(down, "hidden", x, residual=True, wait_a=Token.HIDDEN, signal_a=Token.X)
        )

    def hidden_slice(self, part: WeightPart, number: int, count: int) -> Iterable[Instruction]:
        """A slice of the hidden channels, in one of two buffers: activation(gate) * up."""
        words, region = part.n_tiles[0], self.chip.vector["gate_up"]
        vector = region.base + number % 2 * (region.size // 2)
        row_words, first = 2 * words, part.first_tile * self.config.array_cols
        last, again = number == count - 1, number + 2 < count
        yield self.matmul(
            part,
            "normed",
            vector,
            wait_a=Token.NORMED_FFN if number == 0 else 0,
            wait_b=Token.GATE_UP_FREE if number > 1 else 0,
            signal_a=Token.GATE_UP,
        )
        yield Vector(
            wait_a=Token.GATE_UP,
            operation=VectorOp.ACTIVATE,
            activation=_ACTIVATIONS[self.model.activation],
            count_reg=Register.ROWS,
            words=words,
            a=vector,
            a_outer=row_words,
            d=vector,
            d_outer=row_words,
        )
        yield from self.quantize_rows(
            VectorOp.MUL,
            min(words * self.config.array_cols, self.model.hidden_dim - first),
            signals=(Token.HIDDEN if last else 0, Token.GATE_UP_FREE if again else 0),
            a=vector,
            a_outer=row_words,
            b=vector + words,
            b_outer=row_words,
            d=self.chip.activations["hidden"].base + first // BLOCK,
            d_outer=blocks_of(self.model.hidden_dim),
        )

    def advance(self) -> None:
        """Move the layer's scalar registers on."""
        for reg, step in (
            (Register.WEIGHTS, self.memory.layer_weight_bytes),
            (Register.GAINS, 2 * self.memory.gain_bytes),
            (Register.KV, self.memory.layer_kv_bytes),
        ):
            self.add(Scalar(destination=reg, address_reg=reg, address=step))

    def epilogue(self) -> None:
        r, memory = Register, self.memory
        head = self.open_loop(count_reg=r.HEAD)
        start = memory.regions["weights"].base + self.model.n_layers * memory.layer_weight_bytes
        gain = memory.regions["gains"].base + 2 * self.model.n_layers * memory.gain_bytes
        self.add(
            self.stream((memory.head_part,), start, 0),
            self.load_gain("gain_a", gain, 0, Token.GAIN_A_FREE, Token.GAIN_A),
            *self.norm("gain_a", Token.X, Token.GAIN_A, Token.GAIN_A_FREE, Token.NORMED),
            *self.head(),
        )
        self.close_loop(head)
        self.add(
            Vector(wait_a=Token.X, words=1),
            Load(wait_a=Token.GAIN_A_FREE, wait_b=Token.GAIN_B_FREE, words=1),
            Scalar(destination=r.POSITION, address_reg=r.POSITION, count_reg=r.ROWS),
            Halt(),
        )

    def head(self) -> Iterable[Instruction]:
        """Logits of the last row (or of all rows), segment by segment."""
        r, memory, part = Register, self.memory, self.memory.head_part
        all_rows = self.chip.logit_rows > 1
        k_blocks, n_tiles = part.k_blocks, part.n_tiles[0]
        logits = self.chip.vector["logits"]
        per_segment = logits.size // self.chip.logit_rows
        if not all_rows:  # LAST_ROW = (ROWS - 1) * k_blocks
            yield Scalar(
                destination=r.LAST_ROW, operation=ScalarOp.MUL, address_reg=r.ROWS, address=k_blocks
            )
            yield Scalar(
                destination=r.LAST_ROW,
                operation=ScalarOp.SUB,
                address_reg=r.LAST_ROW,
                address=k_blocks,
            )
        yield Store(signal_a=Token.LOGITS_FREE, words=1)
        for start in range(0, n_tiles, per_segment):
            size = min(per_segment, n_tiles - start)
            last = start + size == n_tiles
            yield Matmul(
                wait_a=Token.LOGITS_FREE,
                wait_b=Token.NORMED if start == 0 else 0,
                signal_a=Token.LOGITS,
                signal_b=Token.X if last else 0,
                count=0 if all_rows else 1,
                count_reg=r.ROWS if all_rows else 0,
                address=self.chip.activations["normed"].base,
                address_reg=0 if all_rows else r.LAST_ROW,
                activation_stride=k_blocks,
                k_blocks=k_blocks,
                n_tiles=size,
                format=self.format,
                destination=logits.base,
                destination_stride=per_segment,
                to_top_k=int(not all_rows),
                clear_top_k=int(start == 0),
                top_k_base=start * self.config.array_cols,
                top_k_limit=self.model.vocab_size,
            )
            yield Store(
                wait_a=Token.LOGITS,
                signal_a=0 if last else Token.LOGITS_FREE,
                address=memory.regions["logits"].base + 4 * self.config.lanes * start,
                count_reg=r.LOGITS,
                words=size,
                source=logits.base,
                source_stride=per_segment,
                row_bytes=4 * self.config.lanes * n_tiles,
            )
        yield StoreTopK(address=memory.regions["top_k"].base)


def emit(
    graph: Graph, config: Configuration, chip: OnChipPlan, memory: MemoryPlan
) -> list[Instruction]:
    """The program of a model. ``graph`` must be of the Llama form that `llama_graph` makes."""
    program = _LlamaProgram(graph, config, chip, memory).emit()
    assert all(isinstance(i, isa.Instruction) for i in program)
    return program
