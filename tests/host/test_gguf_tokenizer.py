# SPDX-License-Identifier: Apache-2.0
"""Tokenizers out of GGUF metadata."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.host.gguf_files import write_gguf
from weft import LLM, SamplingParams
from weft.errors import TokenizerError
from weft.model import LoadedModel, load_model
from weft.tokenizer import (
    HuggingFaceTokenizer,
    SentencePieceTokenizer,
    StreamingDetokenizer,
    Tokenizer,
)
from weft.tokenizer.sentencepiece import TokenKind

TEXTS = st.text(st.sampled_from("abdehnt T.éü🦊\n'1") | st.characters(codec="utf-8"), max_size=30)
Make = Callable[..., LoadedModel]


@pytest.fixture(scope="module")
def stories() -> LoadedModel:
    return load_model("weft-stories")


@pytest.fixture
def make(stories: LoadedModel, tmp_path: Path) -> Make:
    """Loads a file of the shipped model with changed metadata."""

    def load(**changes: Any) -> LoadedModel:
        metadata = {f"tokenizer.ggml.{key}": value for key, value in changes.items()}
        path = tmp_path / "m.gguf"
        return load_model(write_gguf(path, stories, lambda n, a: Type.F16, metadata=metadata))

    return load


def spm(**changes: Any) -> SentencePieceTokenizer:
    pieces = [b"<unk>", b"<s>", b"</s>", *(b"<0x%02X>" % byte for byte in range(256))]
    kinds = [TokenKind.UNKNOWN, *[TokenKind.CONTROL] * 2, *[TokenKind.BYTE] * 256]
    scores = [0.0] * len(pieces)
    words = {"▁": -50, "a": -51, "b": -52, "c": -53, "ab": -1, "bc": -2, "▁a": -3, "▁ab": -4}
    words |= {"abc": -5, "é": -54, "▁▁": -6}
    pieces += [word.encode() for word in words]
    kinds += [TokenKind.NORMAL] * len(words)
    scores += [float(score) for score in words.values()]
    pieces += [b"<tool>", b"[PAD]"]
    kinds += [TokenKind.USER_DEFINED, TokenKind.UNUSED]
    fields: dict[str, Any] = {
        "pieces": tuple(pieces),
        "scores": (*scores, 0.0, 0.0),
        "kinds": tuple(kinds),
        "vocab_size": len(pieces) + 3,
        "bos_id": 1,
        "eos_ids": (2,),
        "add_bos": True,
        "space_prefix": True,
    }
    return SentencePieceTokenizer(**(fields | changes))


def pieces_of(tokenizer: SentencePieceTokenizer, text: str, **options: Any) -> list[str]:
    return [tokenizer.pieces[i].decode() for i in tokenizer.encode(text, **options)]


def test_byte_level_tokens_are_those_of_the_models_own_tokenizer(stories: LoadedModel, make: Make):
    loaded = make()
    own, ours = stories.tokenizer, loaded.tokenizer
    assert isinstance(ours, HuggingFaceTokenizer)
    assert (ours.vocab_size, ours.bos_id, ours.eos_ids) == (own.vocab_size, 0, (0,))
    assert loaded.chat_template == "{{ messages[0].content }}"

    @settings(max_examples=200)
    @given(text=TEXTS)
    def same(text: str) -> None:
        assert ours.encode(text) == own.encode(text)
        assert ours.decode(own.encode(text)) == own.decode(own.encode(text))

    same()
    assert make(add_bos_token=False).tokenizer.encode("Tom") == own.encode("Tom")[1:]


@pytest.mark.parametrize(
    ("pre", "text", "cut"),
    [
        ("llama-bpe", "It's 12345 o'clock", ["It", "'s", " ", "123", "45", " o", "'clock"]),
        ("smollm", "It's 123", ["It", "'s", " ", "1", "2", "3"]),
        ("gpt-2", "It's 123", ["It", "'s", " 123"]),
        ("qwen2", "a  123\n\nb", ["a", " ", " ", "1", "2", "3", "\n\n", "b"]),
        ("tekken", "HelloWorld 12", ["Hello", "World", " ", "1", "2"]),
        ("default", "a=b 1234", ["a", "=", "b", " ", "123", "4"]),
    ],
)
def test_texts_are_cut_as_the_pre_tokenizer_says(make: Make, pre: str, text: str, cut: list[str]):
    tokenizer = make(pre=pre).tokenizer
    assert isinstance(tokenizer, HuggingFaceTokenizer)
    before = tokenizer._backend.pre_tokenizer
    assert before is not None
    spaced = [
        piece.replace("Ġ", " ").replace("Ċ", "\n") for piece, _ in before.pre_tokenize_str(text)
    ]
    assert spaced == cut


def test_pairs_of_the_highest_score_are_merged_first():
    tokenizer = spm()
    assert pieces_of(tokenizer, "abc") == ["<s>", "▁ab", "c"]
    assert pieces_of(tokenizer, "abc", add_special_tokens=False) == ["abc"]
    assert pieces_of(tokenizer, "cab bc", add_special_tokens=False) == ["c", "ab", "▁", "bc"]
    assert pieces_of(tokenizer, "é🦊", add_special_tokens=False) == [
        "é",
        *(f"<0x{byte:02X}>" for byte in "🦊".encode()),
    ]


def test_special_tokens_are_found_in_the_text():
    tokenizer = spm()
    assert pieces_of(tokenizer, "ab<tool>ab</s>") == ["<s>", "▁ab", "<tool>", "▁ab", "</s>"]
    assert tokenizer.decode(tokenizer.encode("ab<tool>ab</s>")) == "ab<tool> ab"
    assert pieces_of(spm(space_prefix=False), "ab<tool>ab") == ["<s>", "ab", "<tool>", "ab"]
    assert tokenizer.encode("") == [1]
    assert spm(add_bos=False).encode("") == []


@given(text=TEXTS)
def test_every_text_comes_back(text: str):
    tokenizer = spm()
    assert tokenizer.decode(tokenizer.encode(text)) == text.replace("▁", " ")


@given(text=TEXTS)
def test_a_stream_of_tokens_is_the_text(text: str):
    tokenizer = spm()
    bos, *ids = tokenizer.encode(text)
    stream = StreamingDetokenizer(tokenizer, [bos])
    pieces = [stream.push(token_id) for token_id in ids]
    assert "".join([*pieces, stream.finish()]) == tokenizer.decode([bos, *ids])


def test_tokens_without_a_text():
    tokenizer = spm()
    assert tokenizer.decode([0, 1, 2, len(tokenizer.pieces) - 1, tokenizer.vocab_size - 1]) == ""
    with pytest.raises(TokenizerError, match=r"token id \d+ is not between"):
        tokenizer.decode([tokenizer.vocab_size])


def test_incomplete_pieces_are_refused():
    tokenizer = spm()
    doubled = (*tokenizer.pieces[:-1], b"ab")
    with pytest.raises(TokenizerError, match=r"tokens \d+ and \d+ are both b'ab'\."):
        spm(pieces=doubled)
    pieces = list(tokenizer.pieces)
    pieces[3 + 0x41] = b"other"
    with pytest.raises(TokenizerError, match=r"no token <0x41> for that byte\."):
        spm(pieces=tuple(pieces))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model": "t5"}, r"tokenizer\.ggml\.model is 't5', but weft knows llama, gpt2, bert\."),
        ({"model": None}, r"tokenizer\.ggml\.model is None, but weft knows"),
        ({"tokens": None}, r"tokenizer\.ggml\.tokens holds no token\."),
        ({"tokens": ["x"] * 769}, r"769 tokens, but the embedding has 768 rows\."),
        ({"tokens": ["a", "b", "a"]}, r"tokens 0 and 2 are both 'a'\."),
        ({"pre": "kimi"}, r"pre is 'kimi', but weft knows default, gpt-2"),
        ({"merges": ["nospace"]}, r"merge 0 of tokenizer\.ggml\.merges is b'nospace', which is no"),
        ({"merges": ["zzz yyy"]}, r"tokens and merges make no tokenizer \("),
        ({"bos_token_id": 768}, r"bos_token_id is 768, but token ids are between 0 and 767\."),
        ({"bos_token_id": None}, r"are to begin with BOS, but tokenizer\.ggml\.bos_token_id is mi"),
        ({"add_eos_token": True}, r"add_eos_token is true, but weft does not end its prompts\."),
        ({"token_type": [1, 2]}, r"token_type holds 2 numbers for 768 tokens\."),
        ({"model": "llama"}, r"tokenizer\.ggml\.scores holds 0 numbers for 768 tokens\."),
    ],
)
def test_what_cannot_be_used_gets_a_sentence(make: Make, changes: dict[str, Any], sentence: str):
    with pytest.raises(TokenizerError, match=rf"m\.gguf: .*{sentence}"):
        make(**changes)


def test_stories260k_as_a_sentencepiece_file(stories260k: Path, tmp_path: Path):
    """The llama2.c model and its GGUF file: the same tokens and the same completions."""
    original = load_model(stories260k / "stories260K.bin")
    path = write_gguf(tmp_path / "s.gguf", original, lambda name, array: Type.F16)
    tokenizer: Tokenizer = load_model(path).tokenizer
    assert isinstance(tokenizer, SentencePieceTokenizer)
    assert (tokenizer.bos_id, tokenizer.eos_ids) == (1, (2,))
    for text in ("Once upon a time, Tom ran.", "  two  spaces", "“Hi!” é🦊\n", ""):
        ids = tokenizer.encode(text)
        assert ids == original.tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
    params = SamplingParams(temperature=0, max_tokens=16, ignore_eos=True)
    outputs = []
    for model in (stories260k / "stories260K.bin", path):
        with LLM(model, device="reference", max_model_len=64) as llm:
            outputs.append(llm.generate("Once upon a time", params)[0])
    agreed = np.mean(np.array(outputs[0].token_ids) == outputs[1].token_ids)
    assert agreed == 1
    assert outputs[0].text == outputs[1].text
