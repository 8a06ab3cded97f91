# SPDX-License-Identifier: Apache-2.0
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from weft.errors import FileError, PromptError, TokenizerError, WeftError
from weft.tokenizer import HuggingFaceTokenizer, load_huggingface_tokenizer


def test_ids_are_those_of_the_library(
    make_folder: Callable[..., Path], byte_level_tokenizer: Tokenizer
):
    tokenizer = load_huggingface_tokenizer(make_folder(), 320)
    text = "Tom ran to the café 🦊"
    assert tokenizer.encode(text) == byte_level_tokenizer.encode(text).ids
    assert tokenizer.encode(text)[0] == tokenizer.bos_id == 0
    assert tokenizer.encode(text, add_special_tokens=False) == tokenizer.encode(text)[1:]
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.eos_ids == (0,)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40))
def test_every_text_comes_back(byte_level_tokenizer: Tokenizer, text: str):
    tokenizer = HuggingFaceTokenizer(byte_level_tokenizer, vocab_size=320, bos_id=0, eos_ids=(0,))
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_truncation_and_padding_of_the_file_are_switched_off(
    make_folder: Callable[..., Path], byte_level_tokenizer: Tokenizer
):
    folder = make_folder()
    fields = json.loads(byte_level_tokenizer.to_str())
    fields["truncation"] = {
        "direction": "Right",
        "max_length": 4,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    (folder / "tokenizer.json").write_text(json.dumps(fields))
    tokenizer = load_huggingface_tokenizer(folder, 320)
    assert len(tokenizer.encode("zyxwvu")) == 7


def test_eos_ids_of_the_generation_config_come_first(make_folder: Callable[..., Path]):
    folder = make_folder({"eos_token_id": 5, "bos_token_id": None})
    tokenizer = load_huggingface_tokenizer(folder, 320)
    assert (tokenizer.eos_ids, tokenizer.bos_id) == ((5,), None)
    generation = folder / "generation_config.json"
    generation.write_text('{"eos_token_id": [7, 8]}')
    assert load_huggingface_tokenizer(folder, 320).eos_ids == (7, 8)
    generation.write_text("{}")
    assert load_huggingface_tokenizer(folder, 320).eos_ids == (5,)
    for value in (320, -1, "a", True, [[1]]):
        generation.write_text(json.dumps({"eos_token_id": value}))
        with pytest.raises(TokenizerError, match=r"generation_config\.json: eos_token_id is "):
            load_huggingface_tokenizer(folder, 320)


def test_ids_and_texts_out_of_bounds_are_refused(make_folder: Callable[..., Path]):
    tokenizer = load_huggingface_tokenizer(make_folder(), 330)
    assert tokenizer.decode([329]) == ""  # the model has it, the file gives it no text
    for token_id in (-1, 330, 1 << 80):
        with pytest.raises(TokenizerError, match="is not between 0 and 329"):
            tokenizer.decode([token_id])
    with pytest.raises(PromptError, match="half of a surrogate pair"):
        tokenizer.encode("\udfff")


def test_a_tokenizer_larger_than_the_model_is_refused(make_folder: Callable[..., Path]):
    with pytest.raises(TokenizerError, match=r"token with id \d+, but .* vocab_size is 100"):
        load_huggingface_tokenizer(make_folder(), 100)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not valid JSON"),
        ("[]", r"not a JSON object, but \[\]"),
        ("{}", "is not a usable tokenizer"),
        ('{"model": {"type": "BPE", "vocab": 3}}', "is not a usable tokenizer"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_damaged_files_are_refused_with_a_sentence(
    make_folder: Callable[..., Path], text: str, sentence: str
):
    folder = make_folder()
    (folder / "tokenizer.json").write_text(text)
    with pytest.raises(WeftError, match=rf"tokenizer\.json.* ?{sentence}"):
        load_huggingface_tokenizer(folder, 320)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(FileError, match=r"tokenizer\.json does not exist\."):
        load_huggingface_tokenizer(folder, 320)


JSON_VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 3, 1e9, "", "x", [], [1], {}, {"type": "BPE"}, {"type": "Nope"}]
)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_change_of_fields_is_loaded_or_refused(
    make_folder: Callable[..., Path], refusal: Callable[..., str], data: st.DataObject
):
    folder = make_folder()
    path = folder / "tokenizer.json"
    fields = json.loads(path.read_text())
    target = data.draw(st.sampled_from([fields, fields["model"], fields["added_tokens"][0]]))
    target[data.draw(st.sampled_from(sorted(target)))] = data.draw(JSON_VALUES)
    path.write_text(json.dumps(fields))

    def use():
        tokenizer = load_huggingface_tokenizer(folder, 320)
        tokenizer.decode(tokenizer.encode("Tom é"))

    assert "\n" not in refusal(use)
