# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models

from weft.tokenizer import (
    HuggingFaceTokenizer,
    Llama2cTokenizer,
    StreamingDetokenizer,
    Tokenizer,
)

KINDS = ["byte_level", "llama2c", "metaspace"]


@pytest.fixture(scope="module")
def every_tokenizer(
    byte_level_tokenizer: Backend, llama2c_pieces: list[tuple[bytes, float]]
) -> dict[str, Tokenizer]:
    """One tokenizer per way of spelling bytes and spaces."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁", "▁the", "▁a", "nd", "é", "a"]
    sentencepiece = Backend(
        models.BPE({piece: i for i, piece in enumerate(pieces)}, [], byte_fallback=True)
    )
    sentencepiece.add_special_tokens(["<s>", "</s>"])
    sentencepiece.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return {
        "byte_level": HuggingFaceTokenizer(
            byte_level_tokenizer, vocab_size=320, bos_id=0, eos_ids=(0,)
        ),
        "llama2c": Llama2cTokenizer(
            [piece for piece, _ in llama2c_pieces], [score for _, score in llama2c_pieces]
        ),
        "metaspace": HuggingFaceTokenizer(
            sentencepiece, vocab_size=len(pieces), bos_id=1, eos_ids=(2,)
        ),
    }


def stream(tokenizer: Tokenizer, ids: list[int], context: list[int]) -> list[str]:
    detokenizer = StreamingDetokenizer(tokenizer, context)
    return [*(detokenizer.push(token_id) for token_id in ids), detokenizer.finish()]


@settings(max_examples=200, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["byte_level", "llama2c"]))
def test_pieces_of_any_sequence_make_up_its_text(
    every_tokenizer: dict[str, Tokenizer], data: st.DataObject, kind: str
):
    tokenizer = every_tokenizer[kind]
    bytes_of_characters = st.integers(0xC0, 0xF4) | st.integers(0x80, 0xBF)
    ids = data.draw(
        st.lists(st.integers(0, 280) | bytes_of_characters.map(lambda b: b + 3), max_size=20)
    )
    context = tokenizer.encode(data.draw(st.sampled_from(["", "a", "Tom é"])))
    whole = tokenizer.decode([*context, *ids])
    assert "".join(stream(tokenizer, ids, context)) == whole[len(tokenizer.decode(context)) :]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from("ae é🦊€ñ日"), max_size=12))
def test_characters_are_never_split(every_tokenizer: dict[str, Tokenizer], kind: str, text: str):
    tokenizer = every_tokenizer[kind]
    if kind == "metaspace":
        ids = [1, *(byte + 3 for byte in text.encode())]
    else:
        ids = tokenizer.encode(text)
    parts = stream(tokenizer, ids, [])
    assert "".join(parts) == tokenizer.decode(ids)
    assert not any("\ufffd" in part for part in parts)


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_character_comes_at_the_end(every_tokenizer: dict[str, Tokenizer], kind: str):
    tokenizer = every_tokenizer[kind]
    if kind == "byte_level":
        lead = tokenizer.encode("ã", add_special_tokens=False)[0]
    else:
        lead = 0xC3 + 3
    detokenizer = StreamingDetokenizer(tokenizer)
    assert detokenizer.push(lead) == ""
    assert detokenizer.finish() == "\ufffd"
    assert detokenizer.finish() == ""


def test_spaces_depend_on_what_is_in_front(every_tokenizer: dict[str, Tokenizer]):
    tokenizer = every_tokenizer["metaspace"]
    the = 3 + 256 + 1
    assert stream(tokenizer, [the, the], [1]) == ["the", " the", ""]
    assert stream(tokenizer, [the], [1, the]) == [" the", ""]
    llama2c = every_tokenizer["llama2c"]
    the = llama2c.encode("the")[1]
    assert stream(llama2c, [the, the], [1]) == ["the", " the", ""]
    assert stream(llama2c, [the], [1, the]) == [" the", ""]
