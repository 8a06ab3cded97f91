# SPDX-License-Identifier: Apache-2.0
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.errors import ModelError
from weft.quantize import BLOCK, Q4_0_CODEBOOK, QuantizedMatrix, WeightFormat, quantize

Floats = npt.NDArray[np.float32]
GGUF = [WeightFormat.W8, WeightFormat.W4]


def to_gguf(matrix: QuantizedMatrix) -> npt.NDArray[np.uint8]:
    """The bytes of the same blocks in a GGUF file: [rows, blocks, bytes of a block]."""
    scales = matrix.scales[..., np.newaxis].view(np.uint8)
    if matrix.format is WeightFormat.W8:
        codes = matrix.codes.view(np.uint8)
    else:
        nibbles = matrix.codes.view(np.uint8)
        codes = nibbles[..., :16] | (nibbles[..., 16:] << np.uint8(4))
    return np.concatenate([scales, codes], axis=-1)


def from_the_package(matrix: Floats, weight_format: WeightFormat) -> npt.NDArray[np.uint8]:
    gguf = pytest.importorskip("gguf")
    kind = {"w8": gguf.GGMLQuantizationType.Q8_0, "w4": gguf.GGMLQuantizationType.Q4_0}
    with np.errstate(all="ignore"):
        raw = gguf.quants.quantize(matrix, kind[weight_format])
    return raw.reshape(matrix.shape[0], matrix.shape[1] // BLOCK, -1)


@pytest.mark.parametrize("weight_format", GGUF)
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 0.02, 1.0, 300.0])
def test_blocks_are_those_of_gguf_in_every_bit(weight_format: WeightFormat, scale: float):
    rng = np.random.default_rng(3)
    matrix = rng.normal(0, scale, (37, 96)).astype(np.float32)
    matrix[0, :32] = 0
    matrix[1, :32] = matrix[1, 0]
    matrix[2, 5], matrix[2, 9] = scale * 9, -scale * 9  # equal magnitudes of both signs
    matrix[3] = rng.integers(-8, 9, 96) * np.float32(scale)  # ties
    matrix[4] = (rng.integers(-254, 255, 96) / 2) * np.float32(scale)
    matrix[5, ::2] = -0.0
    blocks = to_gguf(quantize(matrix, weight_format))
    np.testing.assert_array_equal(blocks, from_the_package(matrix, weight_format))


FLOATS = st.floats(-60000, 60000, width=32).filter(lambda x: x == 0 or abs(x) > 1e-30)


@pytest.mark.parametrize("weight_format", GGUF)
@settings(max_examples=200, deadline=None)
@given(values=st.lists(FLOATS, min_size=32, max_size=32))
def test_any_block_is_that_of_gguf(weight_format: WeightFormat, values: list[float]):
    matrix = np.array([values], np.float32)
    blocks = to_gguf(quantize(matrix, weight_format))
    np.testing.assert_array_equal(blocks, from_the_package(matrix, weight_format))


@pytest.mark.parametrize("weight_format", GGUF)
def test_values_are_those_of_gguf(weight_format: WeightFormat):
    gguf = pytest.importorskip("gguf")
    matrix = np.random.default_rng(4).normal(0, 0.1, (5, 64)).astype(np.float32)
    quantized = quantize(matrix, weight_format)
    kind = {"w8": gguf.GGMLQuantizationType.Q8_0, "w4": gguf.GGMLQuantizationType.Q4_0}
    raw = from_the_package(matrix, weight_format).reshape(5, -1)
    expected = gguf.quants.dequantize(raw, kind[weight_format])
    np.testing.assert_array_equal(quantized.dequantize(), expected)


def test_formats_have_the_names_that_users_type():
    assert [str(form) for form in WeightFormat] == ["w8", "w4", "int4", "fp4", "nf4", "iq4_nl"]
    assert [form.bits for form in WeightFormat] == [8, 4, 4, 4, 4, 4]
    assert [WeightFormat.named(name) for name in ("w8", "fp4")] == ["w8", "fp4"]
    with pytest.raises(
        ModelError, match=r"'w5', but must be one of w8, w4, int4, fp4, nf4, iq4_nl"
    ):
        WeightFormat.named("w5")


@pytest.mark.parametrize(("weight_format", "steps"), [("w8", 0.51), ("w4", 1.01)])
def test_values_stay_within_a_step(weight_format: str, steps: float):
    matrix = np.random.default_rng(5).normal(size=(9, 70)).astype(np.float32)
    quantized = quantize(matrix, WeightFormat(weight_format))
    step = np.abs(np.repeat(quantized.scales.astype(np.float64), BLOCK, axis=1)[:, :70])
    error = np.abs(quantized.dequantize() - matrix)
    assert (error <= steps * step + np.abs(matrix) * 2**-10).all()


@pytest.mark.parametrize("weight_format", WeightFormat)
def test_rows_are_padded_with_zeros(weight_format: WeightFormat):
    matrix = np.random.default_rng(6).normal(size=(4, 172)).astype(np.float32)
    quantized = quantize(matrix, weight_format)
    assert (quantized.rows, quantized.blocks, quantized.columns) == (4, 6, 172)
    assert quantized.codes.shape == (4, 6, 32)
    assert quantized.scales.dtype == np.float16
    assert quantized.dequantize().shape == (4, 172)
    assert quantized.dequantize().dtype == np.float32
    # iq4_nl has no zero, so its padding is the nearest there is; activations are padded with zeros
    padding = 1 if weight_format is WeightFormat.IQ4_NL else 0
    assert (quantized.integers()[:, -1, 12:] == padding).all()


@pytest.mark.parametrize("weight_format", WeightFormat)
def test_padding_has_no_say(weight_format: WeightFormat):
    """The last block's scale and codes are those of its own values, of which 0 is one here."""
    if weight_format.codebook is None or 0 not in weight_format.codebook:
        pytest.skip("needs a zero in the codebook")
    matrix = np.random.default_rng(8).normal(size=(40, 44)).astype(np.float32)
    wide = np.pad(matrix, ((0, 0), (0, 20)))
    short, whole = quantize(matrix, weight_format), quantize(wide, weight_format)
    np.testing.assert_array_equal(short.scales, whole.scales)
    np.testing.assert_array_equal(short.dequantize(), whole.dequantize()[:, :44])


def test_codes_have_their_ranges():
    matrix = np.random.default_rng(7).normal(size=(64, 64)).astype(np.float32)
    w8, w4 = (quantize(matrix, weight_format) for weight_format in GGUF)
    assert w8.codes.dtype == np.int8
    assert w8.codebook is None
    assert w8.codes.min() >= -127
    assert w4.codes.dtype == np.uint8
    assert w4.codes.max() <= 15
    assert w4.integers().dtype == np.int8
    np.testing.assert_array_equal(w4.integers(), Q4_0_CODEBOOK[w4.codes])
    assert Q4_0_CODEBOOK.tolist() == list(range(-8, 8))


@pytest.mark.parametrize("weight_format", WeightFormat)
def test_a_scale_too_small_for_float16_gives_zeros(weight_format: WeightFormat):
    for value in (1e-45, 1e-39, 1e-12):
        matrix = np.full((1, 32), value, np.float32)
        assert not quantize(matrix, weight_format).dequantize().any()


@pytest.mark.parametrize("weight_format", WeightFormat)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38, 9e6])
def test_values_beyond_float16_scales_are_refused(weight_format: WeightFormat, value: float):
    matrix = np.zeros((2, 40), np.float32)
    matrix[1, 35] = value
    with pytest.raises(ModelError, match=r"a weight of magnitude .* cannot be quantised"):
        quantize(matrix, weight_format)
