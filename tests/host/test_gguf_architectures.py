# SPDX-License-Identifier: Apache-2.0
"""Each architecture that llama.cpp writes: GGUF file against `transformers`, as in
`test_architectures`."""

from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from tests.host.gguf_files import blocks
from tests.host.stock_gguf import KINDS, write_stock_gguf
from tests.host.stock_models import VOCABULARY, make_stock_model
from weft.errors import ModelError
from weft.float_model import FloatModel
from weft.model.checkpoint import as_floats, as_quantized
from weft.model.gguf import load_gguf
from weft.model.gguf_file import GGUFFile
from weft.model.gguf_matrix import GGUFMatrix
from weft.model.huggingface import load_huggingface
from weft.model.repacking import RepackLog
from weft.quantize import WeightFormat

IDS = np.random.default_rng(3).integers(0, VOCABULARY, 24).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_gguf_file_is_the_same_model(kind: str, tmp_path: Path):
    torch = pytest.importorskip("torch")
    judge = make_stock_model(kind, tmp_path)
    write_stock_gguf(kind, judge, tmp_path / "m.gguf")
    checkpoint = load_gguf(tmp_path / "m.gguf").checkpoint
    with torch.no_grad():
        result = judge(torch.tensor([IDS]))
    if checkpoint.config.head == "none":
        expected = result.last_hidden_state[0].numpy()
        found = FloatModel(checkpoint).hidden_states(IDS)
        assert checkpoint.config.pooling == "cls"
    else:
        expected = result.logits[0].numpy()
        found = FloatModel(checkpoint).logits(IDS)
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    folder = load_huggingface(tmp_path)
    assert folder.config.layer_shapes() == checkpoint.config.layer_shapes()
    for (name, a), (_, b) in zip(folder.named_tensors(), checkpoint.named_tensors(), strict=True):
        np.testing.assert_array_equal(as_floats(a), as_floats(b), name)


@pytest.mark.parametrize("kind", [Type.Q8_0, Type.Q4_0, Type.Q6_K, Type.F16])
def test_rows_change_places_as_whole_blocks(tmp_path: Path, kind: Type):
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    if kind is Type.F16:
        raw = np.random.default_rng(1).normal(size=(12, 256)).astype(np.float16)
        writer.add_tensor("t", raw)
    else:
        per_row = 256 // gguf.GGML_QUANT_SIZES[kind][0]
        raw = blocks(kind, 12 * per_row).reshape(12, -1)
        writer.add_tensor("t", raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file, log = GGUFFile(tmp_path / "m.gguf"), RepackLog()
    rows = np.array([4, 6, 5, 7, 0, 2])
    whole = GGUFMatrix(file, file.tensors["t"], log)
    part = GGUFMatrix(file, file.tensors["t"], log, rows)
    assert (whole.shape, part.shape) == ((12, 256), (6, 256))
    np.testing.assert_array_equal(part.floats(1, 4), whole.floats(0, 12)[rows[1:4]])
    for form in WeightFormat:
        all_rows, some = as_quantized(whole, form), as_quantized(part, form)
        np.testing.assert_array_equal(some.codes, all_rows.codes[rows])
        np.testing.assert_array_equal(some.scales, all_rows.scales[rows])
    assert [each.tensor for each in log.tensors("w8")] == ["t", "t rows 0 to 7"]


def test_a_number_that_is_not_finite_is_named_by_its_place_in_the_file(tmp_path: Path):
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    values = np.ones((8, 32), np.float32)
    values[5, 3] = np.nan
    writer.add_tensor("t", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file = GGUFFile(tmp_path / "m.gguf")
    matrix = GGUFMatrix(file, file.tensors["t"], RepackLog(), np.array([7, 6, 5, 4]))
    with pytest.raises(ModelError, match=r"m\.gguf: tensor t holds nan at index \[5, 3\]\."):
        matrix.floats(0, 4)
