# SPDX-License-Identifier: Apache-2.0
"""ATTEND of the reference, all kv blocks at once, against the definition block by block."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.machines import CONFIGS, Pair
from weft_arch import attention, blocks, float24, isa
from weft_arch.config import BLOCK
from weft_arch.layouts import KVLayout, unpack_tiles


def by_definition(pair: Pair, op: isa.Attend, base: int, rows: int, n_keys: int, position: int):
    """Output [rows, channels] and 1/sum [rows] by `weft_arch.attention` and `weft_arch.blocks`."""
    state, config = pair.state, pair.config
    layout = KVLayout(config, op.k_blocks, bool(op.wide_keys))
    where = op.address + np.arange(rows)[:, None] * op.activation_stride + np.arange(op.k_blocks)
    queries = state.codes[where % config.activation_blocks].astype(np.int64)
    exponents = state.exponents[where % config.activation_blocks]
    softmax = attention.initial_state(rows)
    out = np.zeros((rows, BLOCK * op.k_blocks), np.float32)
    limits = attention.key_limits(rows, position, n_keys, bool(op.causal), op.rows_per_position)
    for block in range(-(-n_keys // BLOCK)):
        raw = state.memory.data[base + block * layout.block_bytes :][: layout.block_bytes]
        keys, scales = unpack_tiles(config, raw[BLOCK : layout.key_bytes], layout.key_blocks, 8)
        scores = np.zeros((rows, BLOCK), np.float32)
        for k in range(layout.key_blocks):
            query = k // 2 if op.wide_keys else k
            partial = queries[:, query] @ keys[:, k].view(np.int8).astype(np.int64).T
            scale = float24.from_float16_bits(scales[:, k])
            scores = blocks.accumulate(scores, partial, scale, exponents[:, query, None])
        visible = attention.visible_keys(limits, block * BLOCK)
        result = attention.softmax_block(
            softmax, scores, visible, raw[:BLOCK].view(np.int8), config.activation_bits
        )
        softmax = result.state
        values = raw[layout.key_bytes :].view(np.int8).reshape(-1, BLOCK).astype(np.int64)
        out = float24.scale_exponent(out, -result.rescale[:, None])
        partial = result.codes.astype(np.int64) @ values.T
        out = blocks.accumulate(out, partial, 1.0, result.exponent[:, None])
    return out, attention.finish(softmax)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: str(c.array_cols))
@settings(max_examples=15)
@given(seed=st.integers(0, 1 << 32), data=st.data())
def test_attend_is_its_definition(config, seed: int, data: st.DataObject) -> None:
    draw = data.draw
    pair, base = Pair(config, seed), 1024
    k_blocks = draw(st.integers(1, 4))
    accumulators = 1 + k_blocks * config.words_per_block
    rows = draw(st.integers(1, min(config.max_rows, config.accumulator_words // accumulators, 8)))
    n_keys = draw(st.integers(1, 130))
    position = draw(st.integers(0, n_keys + 40))
    wide = draw(st.integers(0, 1))
    layout = KVLayout(config, k_blocks, bool(wide))
    steep = draw(st.integers(-16, -2))
    for key in range(-(-n_keys // BLOCK) * BLOCK):
        pair.write(base + layout.exponent_offset(key), pair.rng.integers(-12, 3).astype(np.int8))
        for k in range(layout.key_blocks):
            scale = np.float16(2.0 ** min(max(steep + pair.rng.integers(-3, 3), -14), 15))
            pair.write(base + layout.key_scale_offset(key, k), scale)
    op = isa.Attend(
        address=draw(st.integers(0, 30)),
        count=rows,
        aux_a_reg=1,
        aux_b_reg=2,
        activation_stride=draw(st.integers(0, 4)),
        k_blocks=k_blocks,
        rows_per_position=draw(st.integers(1, 4)),
        causal=draw(st.integers(0, 1)),
        probabilities=48,
        destination=0,
        destination_stride=k_blocks * config.words_per_block,
        wide_keys=wide,
    )
    out, scale = by_definition(pair, op, base, rows, n_keys, position)
    state = pair.state
    state.scalars[1], state.scalars[2] = position, n_keys
    stream = isa.StreamKV(address=base, count=n_keys, k_blocks=k_blocks, wide_keys=wide)
    pair.machine.run([stream, op, isa.Halt()])
    words = rows * k_blocks * config.words_per_block
    got = state.vectors[np.arange(words) % len(state.vectors)].reshape(rows, -1)
    np.testing.assert_array_equal(got, out)
    np.testing.assert_array_equal(state.row_scalars[:rows], scale)


def test_scores_at_the_ends_of_their_range() -> None:
    """Saturated scores of both signs, and the largest rescale, in one instruction."""
    config = CONFIGS[1]
    pair, base = Pair(config, 1), 1024
    layout = KVLayout(config, 1)
    pair.state.codes[0] = pair.direct.codes[0] = 511
    pair.state.exponents[0] = pair.direct.exponents[0] = 10
    for key in range(96):
        sign = -1 if key < 40 else 1
        pair.write(base + layout.key_codes_offset(key, 0), np.full(32, 127 * sign, np.int8))
        pair.write(base + layout.key_scale_offset(key, 0), np.float16(2.0 ** (key // 8)))
        pair.write(base + layout.exponent_offset(key), np.int8(key - 48))
    pair.run(
        isa.StreamKV(address=base, count=96, k_blocks=1),
        isa.Attend(count=1, aux_b_reg=2, k_blocks=1, rows_per_position=1, probabilities=8),
        s2=96,
    )
