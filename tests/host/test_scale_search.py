# SPDX-License-Identifier: Apache-2.0
"""Searched scales: never worse than rounding to nearest, whatever the block."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft import codebooks
from weft.codebooks import Codebook
from weft.quantize import WeightFormat, quantize
from weft.scale_search import nearest_codes, round_blocks, search_blocks, squared_errors

Floats = npt.NDArray[np.float32]
TABLES = {
    "int4": codebooks.INT4,
    "fp4": codebooks.FP4,
    "nf4": codebooks.NF4,
    "iq4_nl": codebooks.IQ4_NL,
}
EACH = pytest.mark.parametrize("codebook", TABLES.values(), ids=TABLES)
RNG = np.random.default_rng(9)


def errors_of(blocks: Floats, codebook: Codebook) -> tuple[np.ndarray, np.ndarray]:
    """Squared errors of (the search, rounding to nearest), of blocks of any shape [n, 32]."""
    found = squared_errors(blocks, *search_blocks(blocks, codebook), codebook)
    return found, squared_errors(blocks, *round_blocks(blocks, codebook), codebook)


def test_codebooks_are_those_of_their_sources():
    assert codebooks.INT4.tolist() == list(range(-8, 8))
    e2m1 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
    assert codebooks.FP4.tolist() == [2 * v for v in e2m1] + [-2 * v for v in e2m1]
    assert codebooks.NF4.tolist()[0::15] == [-127, 127]
    assert sorted(codebooks.NF4.tolist()) == codebooks.NF4.tolist()
    gguf = pytest.importorskip("gguf")
    assert tuple(codebooks.IQ4_NL.tolist()) == gguf.quants.IQ4_NL.kvalues
    assert tuple(codebooks.FP4.tolist()) == gguf.quants.MXFP4.kvalues


@EACH
def test_codes_are_the_nearest(codebook: Codebook):
    values = (np.arange(-300, 301) / 2).astype(np.float32)
    chosen = codebook[nearest_codes(values, codebook)].astype(np.float64)
    distances = np.abs(values[:, np.newaxis] - codebook.astype(np.float64))
    np.testing.assert_array_equal(np.abs(values - chosen), distances.min(axis=1))
    assert nearest_codes(np.array([-1e9, 1e9], np.float32), codebook).tolist() == [
        codebook.argmin(),
        codebook.argmax(),
    ]


@EACH
@pytest.mark.parametrize("spread", [1e-30, 1e-6, 0.02, 1.0, 5e4])
def test_the_search_gains_on_every_kind_of_block(codebook: Codebook, spread: float):
    blocks = (RNG.standard_t(4, (400, 32)) * spread).astype(np.float32)
    blocks = blocks.clip(-5e5, 5e5)
    found, rounded = errors_of(blocks, codebook)
    assert (found <= rounded).all()
    if spread > 1e-5:
        assert found.sum() < 0.95 * rounded.sum()


FLOATS = st.floats(-5e5, 5e5, width=32)


@EACH
@settings(max_examples=150)
@given(values=st.lists(FLOATS, min_size=32, max_size=32))
def test_no_block_is_worse_than_rounded(codebook: Codebook, values: list[float]):
    found, rounded = errors_of(np.array([values], np.float32), codebook)
    assert found[0] <= rounded[0]


@settings(max_examples=150)
@given(values=st.lists(FLOATS, min_size=32, max_size=32))
def test_no_block_of_int4_is_worse_than_q4_0(values: list[float]):
    """The same codebook; Q4_0's codes are computed with the scale before it is rounded."""
    blocks = np.array([values], np.float32)
    q4_0 = quantize(blocks, WeightFormat.W4).dequantize().astype(np.float64)
    found, _ = errors_of(blocks, codebooks.INT4)
    assert found[0] <= np.square(q4_0 - blocks).sum() * (1 + 1e-6)


@EACH
def test_blocks_that_the_format_can_say_are_kept_exactly(codebook: Codebook):
    """Any float16 scale, as long as the largest entry is there: rounding finds it."""
    codes = RNG.integers(0, 16, (300, 32))
    largest = np.abs(codebook.astype(int)).argmax()
    codes[np.arange(300), RNG.integers(0, 32, 300)] = largest
    scales = RNG.normal(0, 0.1, 300).astype(np.float16)
    blocks = codebook[codes] * scales.astype(np.float32)[:, np.newaxis]
    found, _ = errors_of(blocks, codebook)
    assert not found.any()


@EACH
def test_zeros_stay_zeros(codebook: Codebook):
    codes, scales = search_blocks(np.zeros((3, 32), np.float32), codebook)
    assert not scales.any()
    assert codes.dtype == np.uint8
    assert not codebook[codes].astype(float).any() or codebook is codebooks.IQ4_NL


@EACH
def test_one_large_weight_keeps_its_value(codebook: Codebook):
    """And the zeros around it, but for those of iq4_nl, each 1 of 127."""
    share = 31**0.5 / 127 if codebook is codebooks.IQ4_NL else 0.001
    for value in (65504 * 8.0, -65504 * 8.0, 1e-3, -1e-3):
        block = np.zeros((1, 32), np.float32)
        block[0, 17] = value
        found, _ = errors_of(block, codebook)
        assert found[0] <= (share * value) ** 2


@EACH
def test_pieces_do_not_matter(codebook: Codebook, monkeypatch: pytest.MonkeyPatch):
    blocks = RNG.normal(size=(50, 32)).astype(np.float32)
    whole = search_blocks(blocks, codebook)
    monkeypatch.setattr("weft.scale_search.PIECE_BLOCKS", 7)
    for ours, expected in zip(search_blocks(blocks, codebook), whole, strict=True):
        np.testing.assert_array_equal(ours, expected)
