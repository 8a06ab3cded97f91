# SPDX-License-Identifier: Apache-2.0
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weft.errors import FileError, ModelError, WeftError
from weft.model.llama2c import load_llama2c


def numbers(first: int, *shape: int) -> np.ndarray:
    """The fixture's numbers from the `first` one on."""
    count = int(np.prod(shape))
    return (np.arange(first, first + count, dtype=np.float32) / np.float32(4096)).reshape(shape)


@pytest.mark.parametrize("untied", [False, True])
def test_arrays_come_in_the_order_of_run_c(
    tmp_path: Path, make_llama2c: Callable[..., bytes], untied: bool
):
    path = tmp_path / "m.bin"
    path.write_bytes(make_llama2c(untied=untied))
    checkpoint = load_llama2c(path)
    config = checkpoint.config
    assert (config.dim, config.hidden_dim, config.n_layers, config.n_heads) == (8, 12, 2, 2)
    assert (config.n_kv_heads, config.head_dim, config.vocab_size) == (1, 4, 300)
    assert (config.max_context, config.norm_eps, config.rope_theta) == (16, 1e-5, 10000.0)
    assert config.tied_embeddings is not untied

    position = 0

    def take(*shape: int) -> np.ndarray:
        nonlocal position
        array = numbers(position, *shape)
        position += array.size
        return array

    np.testing.assert_array_equal(checkpoint.token_embedding, take(300, 8))
    order = {
        "attention_norm": (8,),
        "wq": (8, 8),
        "wk": (4, 8),
        "wv": (4, 8),
        "wo": (8, 8),
        "ffn_norm": (8,),
        "w_gate": (12, 8),
        "w_down": (8, 12),
        "w_up": (12, 8),
    }
    for name, shape in order.items():
        array = take(2, *shape)
        for index in range(2):
            np.testing.assert_array_equal(getattr(checkpoint.layers[index], name), array[index])
    np.testing.assert_array_equal(checkpoint.final_norm, take(8))
    take(2, 16, 2)  # cosines and sines that nobody reads
    if untied:
        np.testing.assert_array_equal(checkpoint.lm_head, take(300, 8))
    else:
        assert checkpoint.lm_head is checkpoint.token_embedding
    assert path.stat().st_size == 28 + 4 * position


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ({"dim": 0}, "dim is 0, but must be between 1 and 65536"),
        ({"dim": -8}, "dim is -8, but must be"),
        ({"n_heads": 0}, "n_heads is 0, which does not divide dim 8"),
        ({"n_heads": 3}, "n_heads is 3, which does not divide dim 8"),
        ({"n_heads": 8}, "head_dim is 1, but rotary embedding needs an even number"),
        ({"n_kv_heads": 0}, "n_kv_heads is 0"),
        ({"vocab_size": 0}, "vocab_size is 0"),
        ({"vocab_size": -(1 << 31)}, "vocab_size is 2147483648"),
        ({"n_layers": 1 << 30}, "n_layers is 1073741824, but must be between 1 and 1024"),
        ({"hidden_dim": 13}, r"cut off at \d+ bytes, where a header of dim 8, hidden_dim 13"),
        ({"n_layers": 1000, "hidden_dim": 1 << 18}, "cut off at .* asks for 25166665916"),
        ({"n_layers": 1}, r"too long at \d+ bytes"),
        ({"dim": 0x616B3432, "hidden_dim": 2}, "a llama2.c file of version 2, but weft reads only"),
    ],
)
def test_a_damaged_header_is_refused_with_a_sentence(
    tmp_path: Path, make_llama2c: Callable[..., bytes], header: dict[str, int], sentence: str
):
    path = tmp_path / "m.bin"
    path.write_bytes(make_llama2c(header))
    with pytest.raises(WeftError, match=rf"m\.bin: {sentence}"):
        load_llama2c(path)


def test_truncated_files_are_refused(tmp_path: Path, make_llama2c: Callable[..., bytes]):
    path = tmp_path / "m.bin"
    path.write_bytes(make_llama2c()[:-1])
    with pytest.raises(FileError, match=r"m\.bin: cut off at \d+ bytes"):
        load_llama2c(path)
    path.write_bytes(b"1234567")
    with pytest.raises(FileError, match="cut off after 7 bytes, inside a header of 28"):
        load_llama2c(path)
    with pytest.raises(FileError, match=r"none\.bin does not exist\."):
        load_llama2c(tmp_path / "none.bin")


def test_weights_that_are_not_finite_are_refused(
    tmp_path: Path, make_llama2c: Callable[..., bytes]
):
    data = bytearray(make_llama2c())
    data[28 + 4 * 2400 : 28 + 4 * 2401] = struct.pack("<f", float("inf"))
    path = tmp_path / "m.bin"
    path.write_bytes(data)
    with pytest.raises(
        ModelError, match=r"m\.bin: tensor attention_norm holds inf at index \[0, 0\]"
    ):
        load_llama2c(path)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    position=st.integers(0, 6),
    value=st.integers(-(1 << 31), (1 << 31) - 1) | st.integers(-4, 400),
    length=st.integers(0, 40_000),
)
def test_any_header_is_loaded_or_refused(
    tmp_path: Path,
    make_llama2c: Callable[..., bytes],
    refusal: Callable[..., str],
    position: int,
    value: int,
    length: int,
):
    data = bytearray(make_llama2c())
    data[4 * position : 4 * position + 4] = struct.pack("<i", value)
    path = tmp_path / "m.bin"
    path.write_bytes(data[:length])
    assert "\n" not in refusal(lambda: load_llama2c(path))


def test_stories260k_has_its_shape(stories260k: Path):
    config = load_llama2c(stories260k / "stories260K.bin").config
    assert (config.dim, config.hidden_dim, config.n_layers) == (64, 172, 5)
    assert (config.n_heads, config.n_kv_heads, config.vocab_size) == (8, 4, 512)
