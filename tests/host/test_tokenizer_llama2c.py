# SPDX-License-Identifier: Apache-2.0
import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weft.errors import FileError, PromptError, TokenizerError
from weft.tokenizer import Llama2cTokenizer, load_llama2c_tokenizer

Pieces = list[tuple[bytes, float]]
TEXTS = st.text(st.sampled_from("abdehnt T.éü🦊\n") | st.characters(codec="utf-8"), max_size=30)


@pytest.fixture(scope="module")
def tokenizer(llama2c_pieces: Pieces) -> Llama2cTokenizer:
    return Llama2cTokenizer([p for p, _ in llama2c_pieces], [s for _, s in llama2c_pieces])


def encode_by_rescanning(pieces: Pieces, text: str) -> list[int]:
    """The rule as it is stated: look at all neighbours, merge the best, begin again."""
    ids = {piece: token_id for token_id, (piece, _) in reversed(list(enumerate(pieces)))}
    tokens = [1] + ([ids[b" "]] if text else [])
    for character in text:
        raw = character.encode()
        tokens += [ids[raw]] if raw in ids else [byte + 3 for byte in raw]
    while True:
        best_score, best_position = -1e10, -1
        for position in range(len(tokens) - 1):
            joint = ids.get(pieces[tokens[position]][0] + pieces[tokens[position + 1]][0], -1)
            if joint >= 0 and pieces[joint][1] > best_score:
                best_score, best_position = pieces[joint][1], position
        if best_position < 0:
            return tokens
        pair = tokens[best_position : best_position + 2]
        merged = ids[pieces[pair[0]][0] + pieces[pair[1]][0]]
        tokens[best_position : best_position + 2] = [merged]


@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_merging_follows_the_stated_rule(
    tokenizer: Llama2cTokenizer, llama2c_pieces: Pieces, text: str
):
    assert tokenizer.encode(text) == encode_by_rescanning(llama2c_pieces, text)


@given(text=TEXTS)
def test_every_text_comes_back(tokenizer: Llama2cTokenizer, text: str):
    assert tokenizer.decode(tokenizer.encode(text)) == text
    bare = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(bare) == text


def test_bos_and_a_space_come_first(tokenizer: Llama2cTokenizer, llama2c_pieces: Pieces):
    pieces = [piece for piece, _ in llama2c_pieces]
    assert tokenizer.encode("") == [1]
    assert [pieces[i] for i in tokenizer.encode("and the")[1:]] == [b" a", b"nd", b" the"]
    assert tokenizer.encode("z") == [1, pieces.index(b" "), ord("z") + 3]
    assert tokenizer.bos_id == 1
    assert set(tokenizer.eos_ids) == {1, 2}


def test_only_a_token_behind_bos_loses_its_space(
    tokenizer: Llama2cTokenizer, llama2c_pieces: Pieces
):
    the = [piece for piece, _ in llama2c_pieces].index(b" the")
    assert tokenizer.decode([1, the, the]) == "the the"
    assert tokenizer.decode([the]) == " the"
    assert tokenizer.decode([the, 2, the, 1, the]) == " the thethe"


def test_byte_tokens_form_characters(tokenizer: Llama2cTokenizer):
    assert tokenizer.decode([byte + 3 for byte in "€".encode()]) == "€"
    assert tokenizer.decode([0xE2 + 3, 0x41 + 3]) == "\ufffdA"
    assert tokenizer.decode([1, 0x20 + 3]) == " "


@pytest.mark.parametrize("token_id", [-1, 300, 1 << 70])
def test_unknown_ids_are_refused(tokenizer: Llama2cTokenizer, token_id: int):
    with pytest.raises(TokenizerError, match=r"token id -?\d+ is not between 0 and 299"):
        tokenizer.decode([token_id])


def test_half_a_surrogate_pair_is_refused(tokenizer: Llama2cTokenizer):
    with pytest.raises(PromptError, match=r"surrogate pair, '\\ud800', at position 1"):
        tokenizer.encode("a\ud800")


def test_long_prompts_do_not_take_quadratic_time(tokenizer: Llama2cTokenizer):
    assert len(tokenizer.encode("ab bd the and " * 20_000)) > 10_000


def change(data: bytes, offset: int, kind: str, value: float) -> bytes:
    return data[:offset] + struct.pack(kind, value) + data[offset + 4 :]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda data: data[:3], "is cut off after 3 bytes"),
        (lambda data: data[:100], r"is cut off at token \d+ of the model's 300"),
        (lambda data: data[:-1], r"the piece of token 299 is said to be \d+ bytes long"),
        (lambda data: data + b"x", "goes on for 1 bytes behind the model's 300 tokens"),
        (lambda data: change(data, 8, "<i", -1), "token 0 is said to be -1 bytes long"),
        (lambda data: change(data, 8, "<i", 0), "token 0 is said to be 0 bytes long"),
        (lambda data: change(data, 8, "<i", 1 << 30), "token 0 is said to be 1073741824 bytes"),
        (lambda data: change(data, 4, "<f", float("nan")), "token 0 has score nan"),
        (lambda data: data[:12] + b"\0" + data[13:], "token 0 has score 0.0 and piece"),
    ],
)
def test_damaged_files_are_refused_with_a_sentence(
    tmp_path: Path, llama2c_tokenizer_bytes: bytes, damage: Callable[[bytes], bytes], sentence: str
):
    path = tmp_path / "tok.bin"
    path.write_bytes(damage(llama2c_tokenizer_bytes))
    with pytest.raises(TokenizerError, match=rf"tok\.bin.* {sentence}"):
        load_llama2c_tokenizer(path, 300)


def test_files_that_do_not_fit_the_model_are_refused(
    tmp_path: Path, llama2c_tokenizer_bytes: bytes
):
    path = tmp_path / "tok.bin"
    path.write_bytes(llama2c_tokenizer_bytes)
    with pytest.raises(TokenizerError, match="cut off at token 300 of the model's 512"):
        load_llama2c_tokenizer(path, 512)
    with pytest.raises(TokenizerError, match=r"goes on for \d+ bytes behind the model's 270"):
        load_llama2c_tokenizer(path, 270)
    with pytest.raises(FileError, match=r"none does not exist\."):
        load_llama2c_tokenizer(tmp_path / "none", 300)


def test_a_vocabulary_without_bytes_or_space_is_refused(llama2c_pieces: Pieces):
    pieces = [piece for piece, _ in llama2c_pieces]
    with pytest.raises(TokenizerError, match="of 10 tokens has no room for the 259"):
        Llama2cTokenizer(pieces[:10], [0.0] * 10)
    pieces[pieces.index(b" ")] = b"?"
    with pytest.raises(TokenizerError, match="needs a token for the space"):
        Llama2cTokenizer(pieces, [0.0] * 300)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_change_of_bytes_is_loaded_or_refused(
    tmp_path: Path,
    llama2c_tokenizer_bytes: bytes,
    refusal: Callable[..., str],
    data: st.DataObject,
):
    raw = bytearray(llama2c_tokenizer_bytes)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "tok.bin"
    path.write_bytes(raw[: data.draw(st.integers(len(raw) - 20, len(raw)))])
    assert "\n" not in refusal(lambda: load_llama2c_tokenizer(path, 300))


def test_stories260k_agrees_with_run_c(stories260k: Path):
    tokenizer = load_llama2c_tokenizer(stories260k / "tok512.bin", 512)
    for run in json.loads((stories260k / "llama2c-greedy.json").read_text())["runs"]:
        prompt = tokenizer.encode(run["prompt"])
        assert prompt == run["token_ids"][: len(prompt)]
        assert tokenizer.decode(run["token_ids"]) == run["text"]
