# SPDX-License-Identifier: Apache-2.0
"""The held-out set: its file, and how any implementation of the model is scored on it.

The file has one JSON object per line:

    {"seed": 3, "text": "Once upon ...",
     "questions": [{"topic": "why feel", "question": "Why was Mia sad?", "answer": "because ..."}]}

`score` needs nothing but a function from token ids to logits, so the float model, the NumPy
reference and the accelerator are measured by the same code.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from .story import END_OF_TEXT, HELD_OUT_SEED, choose_questions, make_story, question_prompt

#: token ids (a list of n) -> logits (n, vocabulary), row i predicting token i + 1
LogitsOf = Callable[[list[int]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Score:
    """`perplexity` per token of the stories with their end; `exact_match` of the answers, 0 to 1;
    `by_topic` the same per topic, with the number of questions."""

    perplexity: float
    exact_match: float
    stories: int
    questions: int
    by_topic: dict[str, tuple[float, int]]


def write_held_out(path: Path, *, stories: int = 200, questions: int = 6) -> None:
    """Writes the held-out set. Only the seeds below `TRAINING_SEED` belong to it."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for seed in range(HELD_OUT_SEED, HELD_OUT_SEED + stories):
            story = make_story(seed)
            asked = [
                {"topic": each.topic, "question": each.text, "answer": each.answer}
                for each in choose_questions(story, questions)
            ]
            record = {"seed": seed, "text": story.text, "questions": asked}
            file.write(json.dumps(record) + "\n")


def read_held_out(path: Path) -> list[dict]:
    """The records of a held-out file."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def score(logits_of: LogitsOf, tokenizer: Tokenizer, records: Iterable[dict]) -> Score:
    """Scores a model.

    Every question is asked on its own, after the story alone. An answer counts when greedy decoding
    would write it and then a newline, exactly. That is so when every token of it has the highest
    logit given the tokens before, which one pass over prompt and answer tells.
    """
    end = tokenizer.token_to_id(END_OF_TEXT)
    loss, tokens, stories = 0.0, 0, 0
    hits: dict[str, list[bool]] = {}
    for record in records:
        stories += 1
        ids = [*tokenizer.encode(record["text"]).ids, end]
        loss += float(np.sum(_losses(logits_of(ids[:-1]), ids[1:])))
        tokens += len(ids) - 1
        for each in record["questions"]:
            prompt = tokenizer.encode(question_prompt(record["text"], each["question"])).ids
            answer = tokenizer.encode(f" {each['answer']}\n", add_special_tokens=False).ids
            logits = logits_of([*prompt, *answer[:-1]])
            written = np.argmax(logits[len(prompt) - 1 :], axis=-1)
            hits.setdefault(each["topic"], []).append(written.tolist() == answer)
    every = [hit for found in hits.values() for hit in found]
    return Score(
        perplexity=float(np.exp(loss / tokens)),
        exact_match=float(np.mean(every)),
        stories=stories,
        questions=len(every),
        by_topic={topic: (float(np.mean(hits[topic])), len(hits[topic])) for topic in sorted(hits)},
    )


def _losses(logits: np.ndarray, targets: list[int]) -> np.ndarray:
    wide = np.asarray(logits, np.float64)
    wide = wide - wide.max(axis=-1, keepdims=True)
    log_sums = np.log(np.exp(wide).sum(axis=-1))
    return log_sums - wide[np.arange(len(targets)), targets]
