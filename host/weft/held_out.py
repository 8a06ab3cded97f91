# SPDX-License-Identifier: Apache-2.0
"""Held-out stories with questions that have one right answer, and how answers are scored.

The file has one JSON object per line:

    {"text": "Once upon ...", "questions": [{"topic": "why feel", "question": "...",
     "answer": "..."}]}

Other fields are ignored; `topic` may be absent.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weft.errors import EvaluationError, shown
from weft.evaluate import Logits, LogitsOf, perplexity, token_losses
from weft.files import JsonObject, as_list, as_object, in_file, parse_json_object, read_text
from weft.tokenizer import Tokenizer

__all__ = [
    "AnswerScore",
    "HeldOutQuestion",
    "HeldOutStory",
    "is_exact",
    "question_prompt",
    "read_held_out",
    "score_answers",
    "story_perplexity",
    "story_tokens",
]

FILE_LIMIT_BYTES = 1 << 28


@dataclass(frozen=True, kw_only=True)
class HeldOutQuestion:
    """A question about a story and its one right answer; `topic` groups like questions."""

    question: str
    answer: str
    topic: str = ""


@dataclass(frozen=True, kw_only=True)
class HeldOutStory:
    """A story that no model was trained on, with questions about it."""

    text: str
    questions: tuple[HeldOutQuestion, ...]


@dataclass(frozen=True, kw_only=True)
class AnswerScore:
    """Share of answers that were exactly right, 0 to 1; `by_topic` gives (share, questions)."""

    exact_match: float
    questions: int
    by_topic: dict[str, tuple[float, int]]


def read_held_out(path: Path) -> list[HeldOutStory]:
    """The stories of a file.

    Raises `FileError` or `EvaluationError` naming the file, the line and the field at fault.
    """
    stories: list[HeldOutStory] = []
    text = read_text(path, limit_bytes=FILE_LIMIT_BYTES)
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            with in_file(f"{path} line {number}"):
                stories.append(_story(parse_json_object(line)))
    if not stories:
        raise EvaluationError(f"{path} holds no stories.")
    return stories


def question_prompt(text: str, question: str) -> str:
    """What the model is asked: the story, and one question about it."""
    return f"{text}\nQuestion: {question}\nAnswer:"


def story_tokens(story: HeldOutStory, tokenizer: Tokenizer) -> list[int]:
    """The story as a sequence to foresee, ended by EOS where the tokenizer has one."""
    return [*tokenizer.encode(story.text), *tokenizer.eos_ids[:1]]


def story_perplexity(
    logits_of: LogitsOf, tokenizer: Tokenizer, stories: Iterable[HeldOutStory]
) -> float:
    """Perplexity per token of stories with their end."""
    losses = [np.zeros(0)]
    for story in stories:
        ids = story_tokens(story, tokenizer)
        losses.append(token_losses(logits_of(ids[:-1]), ids[1:]))
    return perplexity(np.concatenate(losses))


def score_answers(
    logits_of: LogitsOf, tokenizer: Tokenizer, stories: Iterable[HeldOutStory]
) -> AnswerScore:
    """Ask every question on its own, behind its story, and count the exact answers.

    An answer is exact when greedy decoding would write it and then end the line. That is so when
    each of its tokens is the likeliest behind the ones before, which one pass over prompt and
    answer tells.
    """
    results: dict[str, list[bool]] = {}
    for story in stories:
        for question in story.questions:
            prompt = tokenizer.encode(question_prompt(story.text, question.question))
            answer = tokenizer.encode(f" {question.answer}\n", add_special_tokens=False)
            logits = logits_of([*prompt, *answer[:-1]])
            results.setdefault(question.topic, []).append(is_exact(logits, answer))
    every = [result for topic in results.values() for result in topic]
    if not every:
        raise EvaluationError("there are no questions to answer.")
    return AnswerScore(
        exact_match=sum(every) / len(every),
        questions=len(every),
        by_topic={
            topic: (sum(results[topic]) / len(results[topic]), len(results[topic]))
            for topic in sorted(results)
        },
    )


def is_exact(logits: Logits, answer: Sequence[int]) -> bool:
    """Whether the last `len(answer)` rows of `logits` have the answer's tokens as likeliest."""
    if not 0 < len(answer) <= logits.shape[0]:
        raise EvaluationError(
            f"an answer of {len(answer)} tokens cannot be judged by {logits.shape[0]} positions."
        )
    return logits[-len(answer) :].argmax(axis=-1).tolist() == list(answer)


def _story(fields: JsonObject) -> HeldOutStory:
    questions: list[HeldOutQuestion] = []
    items = as_list(fields.get("questions", []))
    if items is None:
        raise EvaluationError(f"questions is {shown(fields.get('questions'))}, but must be a list.")
    for item in items:
        question = as_object(item)
        if question is None:
            raise EvaluationError(f"a question is {shown(item)}, but must be an object.")
        questions.append(
            HeldOutQuestion(
                question=_text(question, "question"),
                answer=_text(question, "answer"),
                topic=_text(question, "topic") if "topic" in question else "",
            )
        )
    return HeldOutStory(text=_text(fields, "text"), questions=tuple(questions))


def _text(fields: JsonObject, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise EvaluationError(f"{name} is {shown(value)}, but must be a text.")
    return value
