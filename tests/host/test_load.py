# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path

import pytest

from weft.errors import FileError, ModelError, TokenizerError
from weft.model import held_out_path, load_model, shipped_models
from weft.tokenizer import HuggingFaceTokenizer, Llama2cTokenizer


@pytest.fixture
def llama2c_folder(
    tmp_path: Path, make_llama2c: Callable[..., bytes], llama2c_tokenizer_bytes: bytes
) -> Path:
    (tmp_path / "small.bin").write_bytes(make_llama2c())
    (tmp_path / "tok300.bin").write_bytes(llama2c_tokenizer_bytes)
    return tmp_path


def test_a_folder_brings_its_tokenizer(make_folder: Callable[..., Path]):
    folder = make_folder()
    loaded = load_model(folder)
    assert loaded.name == "tiny"
    assert loaded.path == folder
    assert isinstance(loaded.tokenizer, HuggingFaceTokenizer)
    assert loaded.tokenizer.vocab_size == loaded.checkpoint.config.vocab_size
    assert held_out_path(loaded) is None
    held_out = folder.parent / "tiny-heldout.jsonl"
    held_out.touch()
    assert held_out_path(loaded) == held_out
    with pytest.raises(TokenizerError, match="a folder with its own tokenizer"):
        load_model(str(folder), tokenizer="tok.bin")


def test_a_bin_file_takes_the_tokenizer_beside_it(llama2c_folder: Path):
    loaded = load_model(str(llama2c_folder / "small.bin"))
    assert loaded.name == "small"
    assert isinstance(loaded.tokenizer, Llama2cTokenizer)

    (llama2c_folder / "tok300.bin").rename(llama2c_folder / "other.bin")
    with pytest.raises(TokenizerError, match=r"small\.bin has no tokenizer tok\*\.bin beside it"):
        load_model(llama2c_folder / "small.bin")
    load_model(llama2c_folder / "small.bin", tokenizer=llama2c_folder / "other.bin")

    for name in ("tok1.bin", "tok2.bin"):
        (llama2c_folder / name).touch()
    with pytest.raises(TokenizerError, match=r"2 tokenizers beside it \(tok1\.bin, tok2\.bin\)"):
        load_model(llama2c_folder / "small.bin")
    with pytest.raises(FileError, match=r"none\.bin does not exist"):
        load_model(llama2c_folder / "small.bin", tokenizer=llama2c_folder / "none.bin")


@pytest.mark.parametrize("name", ["no-such-model", "", "a\0b", "x" * 5000])
def test_an_unknown_name_is_refused_with_a_sentence(name: str):
    with pytest.raises(ModelError, match=r"is neither a path nor a shipped model \(shipped: ") as e:
        load_model(name)
    assert len(str(e.value)) < 400


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    path = tmp_path / "model.pt"
    path.touch()
    with pytest.raises(ModelError, match=r"pt is neither a model folder nor a GGUF or llama2\.c"):
        load_model(path)


def test_shipped_models_load_by_name():
    shipped = shipped_models()
    if not shipped:
        pytest.skip("no shipped model has been made yet")
    for name, folder in shipped.items():
        loaded = load_model(name)
        assert (loaded.name, loaded.path) == (name, folder)
        text = "Once upon a time there was a fox."
        assert loaded.tokenizer.decode(loaded.tokenizer.encode(text)) == text
