# SPDX-License-Identifier: Apache-2.0
"""The held-out set: untouched by training, small, and scored the way it says."""

import random
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from models.weft_stories_recipe.documents import (
    DocumentOptions,
    document_segments,
    make_batches,
    make_documents,
)
from models.weft_stories_recipe.heldout import read_held_out, score, write_held_out
from models.weft_stories_recipe.story import (
    END_OF_TEXT,
    TRAINING_SEED,
    make_story,
    question_prompt,
)

MODELS = Path(__file__).resolve().parents[2] / "models"
HELD_OUT = MODELS / "weft-stories-heldout.jsonl"


@pytest.fixture(scope="module")
def records():
    return read_held_out(HELD_OUT)


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_file(str(MODELS / "weft-stories" / "tokenizer.json"))


def test_file_is_what_the_recipe_writes(tmp_path):
    write_held_out(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == HELD_OUT.read_bytes()


def test_size(records):
    assert HELD_OUT.stat().st_size < 400_000
    assert len(records) == 200
    assert sum(len(record["questions"]) for record in records) == 1200


def test_no_story_is_in_the_training_set(records):
    assert all(record["seed"] < TRAINING_SEED for record in records)
    held_out = {record["text"] for record in records}
    assert len(held_out) == len(records)
    trained = {make_story(TRAINING_SEED + index).text for index in range(0, 100_000, 50)}
    assert not held_out & trained


def test_everything_fits_into_the_context(records, tokenizer):
    for record in records:
        for each in record["questions"]:
            prompt = question_prompt(record["text"], each["question"])
            assert len(tokenizer.encode(f"{prompt} {each['answer']}\n").ids) <= 300


class Oracle:
    """Logits of somebody who knows the held-out set by heart, but for some questions."""

    def __init__(self, tokenizer, records, wrong=()):
        self.size = tokenizer.get_vocab_size()
        self.texts = []
        for record in records:
            self.texts.append([*tokenizer.encode(record["text"]).ids, 0])
            for each in record["questions"]:
                answer = "wrong." if each["question"] in wrong else each["answer"]
                prompt = question_prompt(record["text"], each["question"])
                self.texts.append(tokenizer.encode(f"{prompt} {answer}\n").ids)

    def __call__(self, ids):
        logits = np.zeros((len(ids), self.size), np.float32)
        for text in self.texts:
            same = 0
            while same < min(len(ids), len(text)) and ids[same] == text[same]:
                same += 1
            for row in range(min(same, len(text) - 1)):
                logits[row] = 0.0
                logits[row, text[row + 1]] = 50.0
        return logits


def test_score_of_an_oracle(records, tokenizer):
    few = records[:1]
    only = few[0]["questions"][0]["question"]
    asked = [{**few[0], "questions": few[0]["questions"][:1]}]
    result = score(Oracle(tokenizer, asked), tokenizer, asked)
    assert (result.stories, result.questions, result.exact_match) == (1, 1, 1.0)
    result = score(Oracle(tokenizer, asked, wrong={only}), tokenizer, asked)
    assert result.exact_match == 0.0


def test_perplexity_of_somebody_who_knows_nothing(records, tokenizer):
    size = tokenizer.get_vocab_size()
    result = score(lambda ids: np.zeros((len(ids), size)), tokenizer, records[:2])
    assert result.perplexity == pytest.approx(size)


def test_segments_tokenize_as_the_whole_document(tokenizer):
    """Training encodes segments on their own; a user encodes the whole text. Same tokens."""
    options = DocumentOptions(drill_documents=20, easy_documents=20)
    documents = make_documents(TRAINING_SEED, 60, tokenizer, options)
    for index, (ids, weights) in enumerate(documents):
        segments = document_segments(TRAINING_SEED + index, options)
        text = "".join(part for part, _ in segments)
        assert tokenizer.encode(text).ids == ids.tolist()
        assert ids[0] == tokenizer.token_to_id(END_OF_TEXT)
        assert index >= 20 or not text.endswith(END_OF_TEXT)  # a drill has no end
        assert text.endswith(END_OF_TEXT) == (ids[-1] == tokenizer.token_to_id(END_OF_TEXT))
        assert len(ids) == len(weights) <= 512


def test_batches_hold_every_document_once(tokenizer):
    documents = make_documents(TRAINING_SEED, 37, tokenizer, DocumentOptions())
    batches = make_batches(documents, 1000, random.Random(0))
    assert sum(len(ids) for ids, _ in batches) == len(documents)
    assert all(ids.size <= 1000 for ids, _ in batches)
    total = sum(float(weights.sum()) for _, weights in batches)
    assert total == pytest.approx(sum(float(weights.sum()) for _, weights in documents))
