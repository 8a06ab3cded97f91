# SPDX-License-Identifier: Apache-2.0
"""Every tensor type against the `gguf` package."""

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from tests.host.gguf_files import blocks
from weft.model.gguf_types import OTHER_TYPES, TENSOR_TYPES

QUANTISED = [n for n in (2, 3, 6, 7, 8, 30, 39) if n in TENSOR_TYPES]
"""Types that the package can write."""
EXACT = [n for n, kind in TENSOR_TYPES.items() if kind.integers is not None]


def same_bits(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal, NaN included, and in the sign of zero."""
    assert ours.dtype == theirs.dtype == np.float32
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(np.signbit(ours), np.signbit(theirs))


def test_names_and_sizes_are_the_packages():
    for number, kind in TENSOR_TYPES.items():
        assert kind.name == Type(number).name
        assert (kind.block, kind.block_bytes) == gguf.GGML_QUANT_SIZES[Type(number)]
    for number, name in OTHER_TYPES.items():
        assert name == Type(number).name
    assert not TENSOR_TYPES.keys() & OTHER_TYPES.keys()


@pytest.mark.parametrize("number", TENSOR_TYPES, ids=lambda n: TENSOR_TYPES[n].name)
def test_any_bytes_stand_for_the_same_numbers(number: int):
    kind = TENSOR_TYPES[number]
    raw = np.random.default_rng(number).integers(0, 256, (3000, kind.block_bytes), dtype=np.uint8)
    with np.errstate(all="ignore"):
        same_bits(kind.unpack(raw), gguf.quants.dequantize(raw, Type(number)))


@pytest.mark.parametrize("number", QUANTISED, ids=lambda n: TENSOR_TYPES[n].name)
def test_what_the_package_quantised_is_read_as_it_reads_it(number: int):
    rows = np.random.default_rng(number).normal(0, 0.1, (64, 320)).astype(np.float32)
    raw = gguf.quants.quantize(rows, Type(number)).view(np.uint8)
    kind = TENSOR_TYPES[number]
    ours = kind.unpack(raw.reshape(-1, kind.block_bytes)).reshape(rows.shape)
    same_bits(ours, gguf.quants.dequantize(raw, Type(number)).reshape(rows.shape))
    assert np.abs(ours - rows).max() < 0.2


@pytest.mark.parametrize("number", EXACT, ids=lambda n: TENSOR_TYPES[n].name)
def test_exact_types_are_small_integers_with_a_scale(number: int):
    kind = TENSOR_TYPES[number]
    raw = blocks(Type(number), 500, seed=number)
    assert kind.integers is not None
    values, scales = kind.integers(raw)
    assert values.dtype == np.int8
    np.testing.assert_array_equal(scales.astype(np.float16), scales)
    product = values.astype(np.float64) * scales[:, np.newaxis]
    np.testing.assert_array_equal(product, gguf.quants.dequantize(raw, Type(number)))
