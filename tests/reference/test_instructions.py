# SPDX-License-Identifier: Apache-2.0
"""Each instruction of the reference against a direct transcription of its docstring."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.machines import CONFIGS, Pair
from weft_arch import float24, isa
from weft_arch.isa import (
    InitMode,
    LoadFormat,
    OperandB,
    ReduceOp,
    ReducePost,
    VectorDestination,
    VectorOp,
    WeightFormat,
)
from weft_arch.layouts import KVLayout, q8_row_bytes

CONFIG = st.sampled_from(CONFIGS)
SEED = st.integers(0, 1 << 32)
F24 = st.one_of(
    st.floats(-100, 100), st.sampled_from([0.0, 1.0, -1.0, 2.0**-126, float24.MAX])
).map(lambda x: int(float24.encode(float24.round_to_f24(x))))
few = settings(max_examples=50)


def small(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)


@few
@given(CONFIG, SEED, st.data())
def test_matmul(config, seed: int, data: st.DataObject) -> None:
    pair, draw = Pair(config, seed), data.draw
    rows, k_blocks, n_tiles = draw(small(1, 4)), draw(small(1, 3)), draw(small(1, 4))
    weights = draw(st.sampled_from(WeightFormat))
    top_k = draw(st.booleans()) and rows == 1
    in_place = draw(st.booleans())
    initial = 200 if in_place else draw(small(0, 100))
    stride = n_tiles + draw(small(0, 3))
    # The tiles may come in several streams, and one stream may hold tiles of several products.
    tiles = k_blocks * n_tiles
    first = draw(small(0, tiles))
    tile_bytes = config.tile_bytes(8 if weights == WeightFormat.W8 else 4)
    codebook = isa.Codebook(entries_low=draw(st.integers(0, (1 << 64) - 1)), entries_high=123)
    if draw(st.booleans()):  # ordinary scales
        scales = pair.rng.normal(size=(MEMORY_TILES, config.array_cols)) / 64
        for tile in range(MEMORY_TILES):
            pair.write(4096 + tile * tile_bytes, scales[tile].astype(np.float16))
    pair.run(
        *([codebook] if draw(st.booleans()) else []),
        isa.StreamWeights(address=4096, count=first, format=weights),
        isa.StreamWeights(address=4096 + first * tile_bytes, count=tiles - first, format=weights),
        isa.Matmul(
            format=weights,
            address_reg=1,
            address=draw(small(0, 63)),
            count_reg=2,
            count=rows - 1,
            activation_stride=draw(small(0, 5)),
            k_blocks=k_blocks,
            n_tiles=n_tiles,
            init=draw(st.sampled_from(InitMode)),
            initial=initial,
            initial_stride=stride if in_place else draw(small(0, 9)),
            to_vector_memory=draw(small(0, 1)),
            destination=200,
            destination_stride=stride,
            to_top_k=int(top_k),
            clear_top_k=draw(small(0, 1)),
            top_k_base=draw(small(0, 40)),
            top_k_limit=draw(small(0, 60)),
        ),
        s1=draw(small(0, 9)),
        s2=1,
    )


MEMORY_TILES = 16


@few
@given(CONFIG, SEED, st.integers(1, 4), st.lists(st.sampled_from([-1.0, 0.0, 2.0]), min_size=1))
def test_top_k_over_several_products(config, seed: int, k: int, values: list[float]) -> None:
    """Equal logits in different products: the lower index stays in front."""
    pair = Pair(config, seed)
    program: list[isa.Instruction] = []
    for number, value in enumerate(values[:6]):
        pair.state.vectors[10 + number] = pair.direct.vectors[10 + number] = value
        program += [
            isa.StreamWeights(address=4096, count=1),
            isa.Matmul(
                address=0,
                count=1,
                k_blocks=1,
                n_tiles=1,
                init=InitMode.VECTOR_MEMORY,
                initial=10 + number,
                to_vector_memory=0,
                to_top_k=1,
                clear_top_k=int(number == 0),
                top_k_base=(5 - number) * config.array_cols,
                top_k_limit=1000,
            ),
        ]
    pair.write(4096, np.zeros(config.tile_bytes(8), np.uint8))  # so logits are the initial values
    pair.run(*program, isa.StoreTopK(address=256))


@few
@given(CONFIG, SEED, st.data())
def test_attend(config, seed: int, data: st.DataObject) -> None:
    pair, draw = Pair(config, seed), data.draw
    k_blocks = draw(small(1, 2))
    rows, n_keys = draw(small(1, 5)), draw(small(1, 100))
    wide = draw(small(0, 1))
    layout, base = KVLayout(config, k_blocks, bool(wide)), 1024
    wild = draw(st.booleans())
    for position in range(-(-n_keys // 32) * 32):
        if not wild:
            exponent = pair.rng.integers(-12, -4).astype(np.int8)
            pair.write(base + layout.exponent_offset(position), exponent)
            for k in range(layout.key_blocks):
                scale = np.float16(2.0 ** pair.rng.integers(-14, -4))
                pair.write(base + layout.key_scale_offset(position, k), scale)
    words = 32 * k_blocks // config.lanes
    pair.run(
        isa.StreamKV(address=base, count_reg=3, k_blocks=k_blocks, wide_keys=wide),
        isa.Attend(
            address=draw(small(0, 20)),
            count_reg=2,
            aux_a_reg=4,
            aux_b_reg=3,
            activation_stride=draw(small(0, 3)),
            k_blocks=k_blocks,
            rows_per_position=draw(small(1, 3)),
            causal=draw(small(0, 1)),
            probabilities=40,
            destination=draw(small(0, 255)),
            destination_stride=words + draw(small(0, 2)),
            row_scalar=draw(small(0, 255)),
            wide_keys=wide,
        ),
        s2=rows,
        s3=n_keys,
        s4=draw(small(0, n_keys + 3)),
    )


@few
@given(CONFIG, SEED, st.data())
def test_vector(config, seed: int, data: st.DataObject) -> None:
    pair, draw = Pair(config, seed), data.draw
    operation = draw(st.sampled_from(VectorOp))
    outer, inner, words = draw(small(0, 3)), draw(small(1, 3)), draw(small(1, 4))
    operand_b = draw(st.sampled_from(OperandB))
    address = draw(F24)
    if operation == VectorOp.ROPE:
        operand_b, address = OperandB.VECTOR_MEMORY, draw(small(0, 40))
    in_place = draw(st.booleans())
    step = words + draw(small(0, 2))
    pair.run(
        isa.Vector(
            operation=operation,
            activation=draw(st.sampled_from(isa.Activation)),
            operand_b=operand_b,
            count=outer,
            address=address,
            words=words,
            inner=inner,
            a=100,
            b=draw(small(0, 40)),
            d=100 if in_place else 200,
            b_outer=draw(small(0, 5)),
            b_inner=draw(small(0, 5)),
            a_inner=step,
            a_outer=inner * step,
            d_inner=step,
            d_outer=inner * step,
        )
    )


@few
@given(CONFIG, SEED, st.data())
def test_vector_that_quantises(config, seed: int, data: st.DataObject) -> None:
    pair, draw = Pair(config, seed), data.draw
    to = draw(st.sampled_from(list(VectorDestination)[1:]))
    per_block = config.words_per_block
    slot_blocks = draw(small(1, 3)) if to == VectorDestination.VALUES else 1
    group_words = slot_blocks * per_block
    fill = draw(small(0, 1))
    offset = draw(small(0, group_words - 1)) if fill else 0
    words = draw(small(1, group_words - offset)) if fill else group_words * draw(small(1, 2))
    groups = 1 if fill else words // group_words
    outer, inner = draw(small(0, 3)), draw(small(1, 2))
    vector = isa.Vector(
        operation=draw(st.sampled_from([VectorOp.COPY, VectorOp.MUL, VectorOp.ACTIVATE])),
        to=to,
        count=outer,
        words=words,
        inner=inner,
        a=draw(small(0, 255)),
        a_outer=draw(small(0, 20)),
        a_inner=draw(small(0, 20)),
        b=draw(small(0, 255)),
        d=draw(small(0, 63)),
        d_inner=groups,
        d_outer=groups * inner,
        group_words=group_words,
        fill=fill,
        group_offset=offset,
    )
    rows = outer * inner * groups
    layout = KVLayout(config, slot_blocks)
    pair.run(
        vector,
        isa.StoreKV(
            count=rows if to != VectorDestination.ACTIVATIONS else 0,
            address=512,
            aux_a_reg=1,
            values=int(to == VectorDestination.VALUES),
            k_blocks=slot_blocks,
            slots=1,
            slot_bytes=layout.block_bytes,
        ),
        s1=draw(small(0, 40)),
    )


@few
@given(
    CONFIG,
    SEED,
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(0, 70),
    st.integers(0, 1),
)
def test_store_kv_of_several_slots(
    config, seed: int, rows: int, slots: int, k_blocks: int, position: int, wide: int
) -> None:
    pair = Pair(config, seed)
    words = k_blocks * config.words_per_block
    slot_bytes = KVLayout(config, k_blocks, bool(wide)).slot_bytes(96)
    for to in (VectorDestination.KEYS, VectorDestination.VALUES):
        values = int(to == VectorDestination.VALUES)
        pair.run(
            isa.Vector(
                to=to,
                count=rows,
                inner=slots,
                words=words,
                a_outer=slots * words,
                a_inner=words,
                group_words=words if values else config.words_per_block,
                wide_keys=wide,
            ),
            isa.StoreKV(
                wide_keys=wide,
                count=rows,
                address=64,
                aux_a_reg=5,
                values=values,
                k_blocks=k_blocks,
                slots=slots,
                slot_bytes=slot_bytes,
            ),
            s5=position,
        )


@few
@given(CONFIG, SEED, st.data())
def test_reduce(config, seed: int, data: st.DataObject) -> None:
    draw, pair = data.draw, Pair(config, seed)
    inner = draw(small(1, 3))
    pair.run(
        isa.Reduce(
            operation=draw(st.sampled_from(ReduceOp)),
            post=draw(st.sampled_from(ReducePost)),
            count=draw(small(0, 3)),
            words=draw(small(1, 40)),
            inner=inner,
            a=draw(small(0, 255)),
            a_outer=draw(small(0, 60)),
            a_inner=draw(small(0, 60)),
            d=draw(small(0, 255)),
            d_outer=inner,
            d_inner=1,
            address=draw(F24),
            offset=draw(F24),
        )
    )


@few
@given(CONFIG, SEED, st.data())
def test_load(config, seed: int, data: st.DataObject) -> None:
    draw, pair = data.draw, Pair(config, seed)
    kind = draw(st.sampled_from(LoadFormat))
    rows, beat = draw(small(0, 4)), config.beat_bytes
    # Sizes of which a row is whole beats; Q8 has whole blocks.
    unit = config.words_per_block if kind == LoadFormat.Q8 else max(1, beat // 8)
    words = unit * draw(small(1, 3))
    dim = words * config.lanes
    size = {LoadFormat.F32: 4 * dim, LoadFormat.F16: 2 * dim}.get(kind, q8_row_bytes(config, dim))
    row_bytes = -(-size // beat) * beat + beat * draw(small(0, 2))
    ids = np.array(draw(st.lists(small(0, 6), min_size=rows, max_size=rows)), "<u4")
    pair.write(32, ids)
    pair.run(
        isa.Load(
            format=kind,
            gather=draw(small(0, 1)),
            count_reg=1,
            aux_a_reg=2,
            address=1024,
            address_reg=3,
            words=words,
            destination=draw(small(0, 255)),
            destination_stride=words + draw(small(0, 2)),
            row_bytes=row_bytes,
        ),
        s1=rows,
        s2=32,
        s3=beat * draw(small(0, 5)),
    )


@few
@given(CONFIG, SEED, st.integers(0, 4), st.integers(1, 4), st.integers(0, 3), st.integers(0, 255))
def test_store(config, seed: int, rows: int, words: int, gap: int, source: int) -> None:
    pair = Pair(config, seed)
    pair.run(
        isa.Store(
            count=rows,
            address=2048,
            words=words,
            source=source,
            source_stride=gap,
            row_bytes=4 * config.lanes * words + gap * config.beat_bytes,
        )
    )
