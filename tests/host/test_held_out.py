# SPDX-License-Identifier: Apache-2.0
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tokenizers import Tokenizer as Backend

from weft.errors import EvaluationError, FileError, WeftError
from weft.evaluate import LogitsOf
from weft.held_out import (
    HeldOutStory,
    is_exact,
    question_prompt,
    read_held_out,
    score_answers,
    story_perplexity,
    story_tokens,
)
from weft.tokenizer import HuggingFaceTokenizer

STORIES: list[dict[str, Any]] = [
    {
        "seed": 0,
        "text": "Tom ran.",
        "questions": [
            {"topic": "who", "question": "Who ran?", "answer": "Tom."},
            {"topic": "what", "question": "What did Tom do?", "answer": "ran."},
        ],
    },
    {"text": "Lily ran.", "questions": [{"question": "Who ran?", "answer": "Lily."}]},
]


@pytest.fixture
def tokenizer(byte_level_tokenizer: Backend) -> HuggingFaceTokenizer:
    return HuggingFaceTokenizer(byte_level_tokenizer, vocab_size=320, bos_id=0, eos_ids=(0,))


@pytest.fixture
def stories(tmp_path: Path) -> list[HeldOutStory]:
    path = tmp_path / "held-out.jsonl"
    path.write_text("".join(json.dumps(story) + "\n" for story in STORIES))
    return read_held_out(path)


def knowing(sequences: list[list[int]]) -> LogitsOf:
    """A model that has learned some sequences by heart."""

    def logits_of(token_ids: Sequence[int]) -> npt.NDArray[np.float64]:
        logits = np.zeros((len(token_ids), 320))
        for known in sequences:
            for i in range(min(len(token_ids), len(known) - 1)):
                if known[: i + 1] == list(token_ids[: i + 1]):
                    logits[i, known[i + 1]] = 10.0
        return logits

    return logits_of


def test_stories_are_read(stories: list[HeldOutStory]):
    assert [story.text for story in stories] == ["Tom ran.", "Lily ran."]
    assert stories[0].questions[1].topic == "what"
    assert stories[1].questions[0].topic == ""


def test_answers_count_when_exact(stories: list[HeldOutStory], tokenizer: HuggingFaceTokenizer):
    answered = [
        tokenizer.encode(question_prompt("Tom ran.", "Who ran?") + " Tom.\n"),
        tokenizer.encode(question_prompt("Tom ran.", "What did Tom do?") + " ran. No\n"),
        tokenizer.encode(question_prompt("Lily ran.", "Who ran?") + " Lily.\n"),
    ]
    score = score_answers(knowing(answered), tokenizer, stories)
    assert score.exact_match == pytest.approx(2 / 3)
    assert score.questions == 3
    assert score.by_topic == {"": (1.0, 1), "what": (0.0, 1), "who": (1.0, 1)}


def test_perplexity_counts_the_end_of_a_story(
    stories: list[HeldOutStory], tokenizer: HuggingFaceTokenizer
):
    assert story_tokens(stories[0], tokenizer) == [*tokenizer.encode("Tom ran."), 0]
    blank = story_perplexity(knowing([]), tokenizer, stories)
    assert blank == pytest.approx(320)
    known = knowing([story_tokens(story, tokenizer) for story in stories])
    assert story_perplexity(known, tokenizer, stories) < 1.3


def test_empty_sets_are_refused(tokenizer: HuggingFaceTokenizer):
    with pytest.raises(EvaluationError, match="no questions to answer"):
        score_answers(knowing([]), tokenizer, [HeldOutStory(text="a", questions=())])
    with pytest.raises(EvaluationError, match="no tokens to compute a perplexity of"):
        story_perplexity(knowing([]), tokenizer, [])
    with pytest.raises(EvaluationError, match="an answer of 3 tokens cannot be judged by 2"):
        is_exact(np.zeros((2, 4)), [1, 2, 3])


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", r"line 3: not valid JSON"),
        ("[]", r"line 3: not a JSON object, but \[\]"),
        ("{}", r"line 3: text is None, but must be a text"),
        ('{"text": ""}', r"line 3: text is '', but must be a text"),
        ('{"text": "a", "questions": 3}', r"line 3: questions is 3, but must be a list"),
        ('{"text": "a", "questions": [3]}', r"line 3: a question is 3, but must be an object"),
        ('{"text": "a", "questions": [{"question": "q"}]}', r"line 3: answer is None"),
    ],
)
def test_damaged_lines_are_refused_with_a_sentence(tmp_path: Path, line: str, sentence: str):
    path = tmp_path / "held-out.jsonl"
    path.write_text('{"text": "a", "questions": []}\n\n' + line)
    with pytest.raises(WeftError, match=rf"held-out\.jsonl {sentence}"):
        read_held_out(path)


def test_missing_and_empty_files_are_refused(tmp_path: Path):
    with pytest.raises(FileError, match="does not exist"):
        read_held_out(tmp_path / "none.jsonl")
    path = tmp_path / "empty.jsonl"
    path.touch()
    with pytest.raises(EvaluationError, match=r"empty\.jsonl holds no stories"):
        read_held_out(path)
