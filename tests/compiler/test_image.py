# SPDX-License-Identifier: Apache-2.0
"""What the compiler writes into memory, read back as the hardware reads it."""

import dataclasses
import math

import numpy as np
import pytest

from tests.compiler.models import compiled, model_config, random_model, runner, tokens
from weft.compiler import CompiledModel
from weft.compiler.memory_image import rope_table
from weft.errors import CompileError
from weft.model.checkpoint import as_floats
from weft.quantize import WeightFormat, quantize
from weft_arch import isa
from weft_arch.encoding import decode, read_image
from weft_arch.float24 import from_float32
from weft_arch.layouts import unpack_tiles

MODEL = random_model(model_config(n_layers=3, hidden_dim=100, vocab_size=101))


def region(of: CompiledModel, name: str) -> np.ndarray:
    where = of.memory.regions[name]
    return of.image[where.base - of.base : where.end - of.base]


@pytest.fixture(scope="module", params=[WeightFormat.W8, WeightFormat.W4, WeightFormat.NF4])
def model(request: pytest.FixtureRequest) -> CompiledModel:
    return compiled(MODEL, weights=request.param, base=0x4000)


def test_weights_lie_in_the_order_of_their_use(model: CompiledModel) -> None:
    bits = model.memory.weight_bits
    raw, place = region(model, "weights"), 0
    order: list[np.ndarray] = []
    for layer in MODEL.layers:
        order += [as_floats(matrix) for matrix in (layer.wk, layer.wv, layer.wq, layer.wo)]
        # 100 hidden channels in slices of four tiles
        for start in range(0, 100, 32):
            end = start + 32
            order += [
                as_floats(layer.matrix("w_gate"), start, end),
                as_floats(layer.w_up, start, end),
            ]
        order.append(as_floats(layer.w_down))
    for matrix in [*order, as_floats(MODEL.matrix("lm_head"))]:
        expected = quantize(matrix, model.weights)
        tiles = -(-expected.rows // model.config.array_cols) * expected.blocks
        size = tiles * model.config.tile_bytes(bits)
        codes, scales = unpack_tiles(model.config, raw[place : place + size], expected.blocks, bits)
        np.testing.assert_array_equal(codes[: expected.rows], expected.codes.view(np.uint8))
        np.testing.assert_array_equal(scales[: expected.rows], expected.scales.view(np.uint16))
        place += size
    assert place == raw.size


def test_gains_and_embedding(model: CompiledModel) -> None:
    gains = [g for la in MODEL.layers for g in (la.attention_norm, la.ffn_norm)]
    expected = np.concatenate([*gains, MODEL.vector("final_norm")])
    np.testing.assert_array_equal(region(model, "parameters").view(np.float32), expected)
    embedding = region(model, "embedding").view(np.float16).reshape(101, 64)
    np.testing.assert_array_equal(embedding, as_floats(MODEL.token_embedding).astype(np.float16))


def test_the_program_is_in_the_image_and_in_a_file(model: CompiledModel) -> None:
    raw = region(model, "program").tobytes()
    program = [decode(raw[32 * i : 32 * i + 32]) for i in range(len(model.program))]
    assert program == list(model.program) == read_image(model.config, model.program_file)
    assert not any(raw[32 * len(program) :])


def test_the_program_fits_any_number_of_layers() -> None:
    deep = compiled(random_model(model_config(n_layers=7)))
    flat = compiled(random_model(model_config(n_layers=1)))
    assert len(deep.program) == len(flat.program)


def test_rotary_tables() -> None:
    config = model_config(head_dim=8, n_heads=8, n_kv_heads=4, rope_theta=500.0)
    table = rope_table(config, 20).astype(np.float64)
    assert table.shape == (20, 32)
    np.testing.assert_array_equal(from_float32(table), table)
    scale = 1 / math.log(2) / math.sqrt(8)
    for position in (0, 1, 19):
        for pair in range(4):
            angle = position * 500.0 ** (-2 * pair / 8)
            cosine, sine = math.cos(angle), math.sin(angle)
            row = table[position].reshape(4, 8)[:, 2 * pair : 2 * pair + 2]
            expected = [[cosine] * 2, [-sine, sine]]
            expected += [[cosine * scale] * 2, [-sine * scale, sine * scale]]
            np.testing.assert_allclose(row, expected, atol=2.0**-16)


def test_the_rotary_table_covers_the_context() -> None:
    short = compiled(MODEL, max_context=5)
    assert short.memory.regions["rope"].size == 5 * 16 * MODEL.config.head_dim
    whole = compiled(MODEL)
    np.testing.assert_array_equal(
        region(short, "rope"), region(whole, "rope")[: region(short, "rope").size]
    )


@pytest.mark.parametrize("form", [form for form in WeightFormat if form.codebook is not None])
def test_four_bit_programs_set_their_codebook(form: WeightFormat) -> None:
    program = compiled(weights=form).program
    (codebook,) = [i for i in program if isinstance(i, isa.Codebook)]
    entries = (codebook.entries_low | codebook.entries_high << 64).to_bytes(16, "little")
    np.testing.assert_array_equal(np.frombuffer(entries, np.int8), form.codebook)
    assert not any(isinstance(i, isa.Codebook) for i in compiled().program)


def test_embedding_rows_of_8_bit_blocks_are_the_same_numbers() -> None:
    """Numbers that both formats hold give the same bits; the rows take about half the bytes."""
    codes = np.random.default_rng(5).integers(-127, 128, (101, 64))
    codes[:, ::32] = 127  # the largest of each block, so that its scale is 2**-5
    table = (codes / 32).astype(np.float32)
    model = dataclasses.replace(
        MODEL,
        config=dataclasses.replace(MODEL.config, tied_embeddings=False),
        token_embedding=table,
    )
    wide, narrow = compiled(model), compiled(model, embedding="q8")
    assert region(narrow, "embedding").size == 101 * (64 + 8)
    assert region(wide, "embedding").size == 101 * 2 * 64
    logits = []
    for each in (narrow, wide):
        of = runner(each)
        of.prefill(tokens(9), store_logits=True)
        logits.append(of.logits())
    assert np.ptp(logits[0]) > 1
    np.testing.assert_array_equal(*logits)


def test_embedding_rows_that_are_no_whole_blocks_stay_float16() -> None:
    model = random_model(model_config(dim=48))
    assert compiled(model).memory.embedding == isa.LoadFormat.F16
    sentence = r"^dim is 48; embedding rows in 8-bit blocks need a multiple of 32\.$"
    with pytest.raises(CompileError, match=sentence):
        compiled(model, embedding="q8")


def test_an_embedding_beyond_float16_is_refused() -> None:
    model = random_model(model_config(tied_embeddings=False))
    as_floats(model.token_embedding)[3, 3] = 70000
    sentence = r"^a token embedding is beyond 65504, the largest float16\.$"
    with pytest.raises(CompileError, match=sentence):
        compiled(model)


def test_a_program_longer_than_the_instruction_memory_is_refused() -> None:
    config = dataclasses.replace(compiled().config, instruction_words=64)
    model = random_model(model_config(n_kv_heads=4, n_heads=4, head_dim=32))
    sentence = r"^the model's program cannot be encoded: the program has \d+ instructions; "
    with pytest.raises(CompileError, match=sentence):
        compiled(model, config)
