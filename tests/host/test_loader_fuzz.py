# SPDX-License-Identifier: Apache-2.0
"""Real files with a few bytes changed: every loader reads them or refuses them in one line."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weft.model import load_model, shipped_models

FOLDER_FILES = ["model.safetensors", "config.json", "generation_config.json", "tokenizer.json"]
LLAMA2C_FILES = ["stories260K.bin", "tok512.bin"]
TOKENS = [
    b"-1", b"0", b"1e999", b"NaN", b"null", b"true", b"[]", b"{}", b'""', b'"x"', b"9" * 40,
    b"\xff", b"\0", b'"', b",", b"}", b"\\ud800",
]  # fmt: skip
"""What a byte becomes besides another byte: what parsers of text trip over."""


def mutate(raw: bytes, data: st.DataObject) -> bytes:
    """Bytes changed, mostly near the front, where headers are; perhaps cut off."""
    changed = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        last = min(len(raw), 4096) if data.draw(st.integers(0, 3)) else len(raw)
        place = data.draw(st.integers(0, last - 1))
        if data.draw(st.booleans()):
            changed[place] = data.draw(st.integers(0, 255))
        else:
            changed[place : place + 1] = data.draw(st.sampled_from(TOKENS))
    if not data.draw(st.integers(0, 4)):
        del changed[data.draw(st.integers(0, len(changed))) :]
    return bytes(changed)


def check(
    folder: Path, names: list[str], model: Path, refusal: Callable[..., str], n_examples: int
) -> None:
    """Change one of the files of a folder at a time and load the model."""
    originals = {name: (folder / name).read_bytes() for name in names}

    @settings(
        max_examples=n_examples,
        suppress_health_check=[HealthCheck.large_base_example, HealthCheck.too_slow],
    )
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(names))
        (folder / name).write_bytes(mutate(originals[name], data))

        def use() -> None:
            loaded = load_model(model)
            loaded.tokenizer.decode(loaded.tokenizer.encode("Once upon a time")[:8])

        sentence = refusal(use)
        (folder / name).write_bytes(originals[name])
        assert "\n" not in sentence
        assert len(sentence) < 1000

    run()


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped_models()["weft-stories"], tmp_path / "model"))


@pytest.fixture
def llama2c(stories260k: Path, tmp_path: Path) -> Path:
    for name in LLAMA2C_FILES:
        (tmp_path / name).write_bytes((stories260k / name).read_bytes())
    return tmp_path


def test_changed_folders(shipped: Path, refusal: Callable[..., str]):
    check(shipped, FOLDER_FILES, shipped, refusal, 200)


def test_changed_llama2c_files(llama2c: Path, refusal: Callable[..., str]):
    check(llama2c, LLAMA2C_FILES, llama2c / LLAMA2C_FILES[0], refusal, 200)


@pytest.mark.slow
def test_twenty_thousand_changed_folders(shipped: Path, refusal: Callable[..., str]):
    check(shipped, FOLDER_FILES, shipped, refusal, 20_000)


@pytest.mark.slow
def test_twenty_thousand_changed_llama2c_files(llama2c: Path, refusal: Callable[..., str]):
    check(llama2c, LLAMA2C_FILES, llama2c / LLAMA2C_FILES[0], refusal, 20_000)
