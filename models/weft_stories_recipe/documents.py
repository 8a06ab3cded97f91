# SPDX-License-Identifier: Apache-2.0
"""Training documents: token ids with a loss weight each, and batches of them."""

import dataclasses
import random

import numpy as np
from tokenizers import Tokenizer

from .drill import drill_segments
from .story import END_OF_TEXT, TRAINING_SEED, choose_questions, make_story


@dataclasses.dataclass(frozen=True, kw_only=True)
class DocumentOptions:
    """What a training document looks like.

    `story_only` is the share of documents without questions; they alone teach where a story ends.
    `answer_weight` is the loss weight of the words of an answer. The full stop and the newline
    after it have weight 1 as a story token has, the text of a question has 0 (nobody can foresee
    it). A story leaves a lot to chance, an answer nothing, so answers teach the model to keep
    track; with equal weights their gradient drowns in the noise of the stories.

    `unfinished` is the share of the documents with questions whose story breaks off at a random
    event; they ask about states in the middle of a story, and the short ones are easy. A training
    run begins with `drill_documents` drills, then come `easy_documents` that break off after 0 to 2
    events. `drills` is the share of drills after that.
    """

    questions: int = 12
    story_only: float = 0.15
    answer_weight: float = 12.0
    unfinished: float = 0.5
    drills: float = 0.1
    drill_documents: int = 40960
    easy_documents: int = 8192


def document_segments(seed: int, options: DocumentOptions) -> list[tuple[str, float]]:
    """The document of a seed as (text, weight) segments; their texts joined are the document."""
    rng = random.Random(f"document {seed}")
    number = seed - TRAINING_SEED
    if number < options.drill_documents or rng.random() < options.drills:
        return drill_segments(rng)
    story = make_story(seed)
    if number < options.drill_documents + options.easy_documents:
        story = make_story(seed, rng.randint(0, 2))
    elif rng.random() < options.story_only:
        return [(story.text, 1.0), (END_OF_TEXT, 1.0)]
    elif rng.random() < options.unfinished:
        story = make_story(seed, rng.randrange(len(story.chronicle.events)))
    segments = [(story.text, 1.0), ("\n", 0.0)]
    for question in choose_questions(story, options.questions):
        segments.append((f"Question: {question.text}\nAnswer:", 0.0))
        segments.append((f" {question.answer.removesuffix('.')}", options.answer_weight))
        segments.append((".\n", 1.0))
    return [*segments, (END_OF_TEXT, 1.0)]


def make_documents(
    first_seed: int, count: int, tokenizer: Tokenizer, options: DocumentOptions
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Documents of `count` seeds: token ids (with `<|endoftext|>` in front) and their weights."""
    rows = [document_segments(seed, options) for seed in range(first_seed, first_seed + count)]
    flat = [text for row in rows for text, _ in row]
    encoded = iter(tokenizer.encode_batch(flat, add_special_tokens=False))
    start = tokenizer.token_to_id(END_OF_TEXT)
    documents = []
    for row in rows:
        ids, weights = [start], [0.0]
        for _, weight in row:
            tokens = next(encoded).ids
            ids.extend(tokens)
            weights.extend([weight] * len(tokens))
        documents.append((np.array(ids, np.int64), np.array(weights, np.float32)))
    return documents


def make_batches(
    documents: list[tuple[np.ndarray, np.ndarray]], batch_tokens: int, rng: random.Random
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Batches (ids, weights) of equal width, `batch_tokens` at most (but one document at least).

    Documents of like length share a batch; padding at the right end has weight 0 and, attention
    being causal, no influence.
    """
    groups: list[list[tuple[np.ndarray, np.ndarray]]] = [[]]
    for document in sorted(documents, key=lambda document: len(document[0])):
        if groups[-1] and (len(groups[-1]) + 1) * len(document[0]) > batch_tokens:
            groups.append([])
        groups[-1].append(document)
    batches = []
    for group in groups:
        width = len(group[-1][0])
        ids = np.zeros((len(group), width), np.int64)
        weights = np.zeros((len(group), width), np.float32)
        for row, (document, weight) in enumerate(group):
            ids[row, : len(document)] = document
            weights[row, : len(weight)] = weight
        batches.append((ids, weights))
    rng.shuffle(batches)
    return batches
