# SPDX-License-Identifier: Apache-2.0
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from weft.errors import FileError
from weft.model.safetensors_file import SafetensorsFile


def write(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return path


def entry(**changes: Any) -> dict[str, Any]:
    return {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}


def test_reads_what_the_library_wrote(tmp_path: Path):
    rng = np.random.default_rng(2)
    tensors = {
        "a": rng.normal(size=(3, 5)).astype(np.float32),
        "b": rng.normal(size=7).astype(np.float16),
        "c": rng.normal(size=(2, 1, 2)),
    }
    path = tmp_path / "m.safetensors"
    path.write_bytes(save(tensors, metadata={"format": "pt"}))
    file = SafetensorsFile(path)
    assert set(file.entries) == set(tensors)
    for name, tensor in tensors.items():
        assert file.shape(name) == tensor.shape
        assert file.read(name).dtype == np.float32
        np.testing.assert_array_equal(file.read(name), tensor.astype(np.float32))


def test_bfloat16_is_the_upper_half_of_float32(tmp_path: Path):
    values = np.array([1.0, -2.5, 3e38, 1e-40], np.float32)
    upper = (values.view(np.uint32) >> 16).astype("<u2")
    header = {"w": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}
    file = SafetensorsFile(write(tmp_path / "m", header, upper.tobytes()))
    expected = (upper.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(file.read("w"), expected)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (entry(data_offsets=[0, 12]), r"'w' lies at bytes 0 to 12, but the file holds 8 bytes"),
        (entry(data_offsets=[8, 0]), r"'w' lies at bytes 8 to 0"),
        (entry(data_offsets=[0, 4]), r"'w' of type F32 and shape \[2\] is said to take 4 bytes"),
        (entry(data_offsets=[-8, 0]), r"'w' has data_offsets \[-8, 0\], which is not a pair"),
        (entry(data_offsets=[0]), r"'w' has data_offsets \[0\], which is not a pair"),
        (entry(shape=[1 << 60, 1 << 60]), r"'w' of type F32 and shape .* is said to take 8 bytes"),
        (entry(shape=[-2]), r"'w' has shape \[-2\], which is no shape"),
        (entry(shape=[True, 2]), r"'w' has shape \[True, 2\], which is no shape"),
        (entry(shape=None), r"'w' has shape None, which is no shape"),
        (entry(shape=[1] * 9), r"which is no shape"),
        (entry(dtype=5), r"'w' has dtype 5, which is not the name of a type"),
        ({"w": 3}, r"'w' is described by 3, not by an object"),
        ([1], r"not a JSON object, but \[1\]"),
        (b"{", r"not valid JSON"),
        (b"\xff\xff", r"the header is not UTF-8 text \(byte 0\)"),
        (b"[" * 50_000, r"nested too deeply"),
        (b'{"w": 1' + b"0" * 5000 + b"}", r"too many digits"),
    ],
)
def test_a_damaged_header_is_refused_with_a_sentence(tmp_path: Path, header: Any, sentence: str):
    path = write(tmp_path / "m.safetensors", header, b"\0" * 8)
    with pytest.raises(FileError, match=rf"m\.safetensors: .*{sentence}"):
        SafetensorsFile(path)


def test_a_header_longer_than_the_file_is_not_allocated(tmp_path: Path):
    path = write(tmp_path / "m", b"{}", length=(1 << 64) - 1)
    with pytest.raises(FileError, match=r"18446744073709551615 bytes long, but at most 2 are"):
        SafetensorsFile(path)


def test_a_file_without_a_header_is_refused(tmp_path: Path):
    path = tmp_path / "m"
    path.write_bytes(b"abc")
    with pytest.raises(FileError, match="cut off after 3 bytes"):
        SafetensorsFile(path)
    with pytest.raises(FileError, match=r"none does not exist\."):
        SafetensorsFile(tmp_path / "none")
    with pytest.raises(FileError, match="is a folder, not a file"):
        SafetensorsFile(tmp_path)


def test_types_that_are_no_weights_are_refused_when_read(tmp_path: Path):
    header = {"w": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}
    file = SafetensorsFile(write(tmp_path / "m", header, b"\0" * 8))
    with pytest.raises(FileError, match=r"'w' is of type I64, but weights must be one of"):
        file.read("w")
    header = {"w": {"dtype": "F32", "shape": [0, 1 << 62], "data_offsets": [0, 0]}}
    with pytest.raises(FileError, match="'w' is empty"):
        SafetensorsFile(write(tmp_path / "m", header)).read("w")


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_change_of_bytes_is_read_or_refused(
    tmp_path: Path, refusal: Callable[..., str], data: st.DataObject
):
    raw = bytearray(save({"a": np.ones((2, 3), np.float32), "b": np.ones(2, np.float16)}))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "m"
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])

    def read_all():
        file = SafetensorsFile(path)
        for name in file.entries:
            file.read(name)

    assert "\n" not in refusal(read_all)
