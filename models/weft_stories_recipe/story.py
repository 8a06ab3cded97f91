# SPDX-License-Identifier: Apache-2.0
"""A story with its questions, made from a seed, and the text that a model sees of it.

Text format, one document:

    <|endoftext|>STORY<|endoftext|>                              a story alone
    <|endoftext|>STORY\\nQuestion: Q?\\nAnswer: A.\\n ... <|endoftext|>   a story with questions

`<|endoftext|>` both begins and ends a document. To have a question answered, give the model the
story, a newline, "Question: Q?", a newline and "Answer:"; the answer runs up to the next newline.
"""

import dataclasses
import random

from .narrate import Narrator
from .plots import simulate
from .questions import Question, ask_all
from .world import Chronicle

END_OF_TEXT = "<|endoftext|>"

#: seeds of the held-out stories; training seeds start at `TRAINING_SEED`
HELD_OUT_SEED = 0
TRAINING_SEED = 1_000_000


@dataclasses.dataclass(frozen=True)
class Story:
    """What a seed gives: the chronicle, its telling, and all questions that it answers."""

    seed: int
    chronicle: Chronicle
    text: str
    questions: tuple[Question, ...]


def make_story(seed: int, max_events: int | None = None) -> Story:
    """The story of a seed. A pure function: same seed, same story, on every machine.

    With `max_events` the story breaks off after so many events, and the questions are those that
    can be answered at that moment.
    """
    chronicle = simulate(seed)
    cut = max_events is not None and max_events < len(chronicle.events)
    if cut:
        chronicle = chronicle.until(max_events)
    text = Narrator(chronicle, random.Random(f"telling {seed}")).tell(ending=not cut)
    return Story(seed, chronicle, text, tuple(ask_all(chronicle)))


def choose_questions(story: Story, count: int) -> list[Question]:
    """`count` questions (fewer where there are fewer) in random order, as many topics as possible.

    One question of every topic comes before a second one of any, so that rare topics are not
    drowned by the ones that every story answers several times.
    """
    rng = random.Random(f"questions {story.seed}")
    shuffled = rng.sample(story.questions, len(story.questions))
    seen: dict[str, int] = {}
    ranks = []
    for question in shuffled:
        seen[question.topic] = seen.get(question.topic, 0) + 1
        ranks.append(seen[question.topic])
    order = sorted(range(len(shuffled)), key=lambda index: ranks[index])
    chosen = [shuffled[index] for index in order[:count]]
    rng.shuffle(chosen)
    return chosen


def question_prompt(story_text: str, question: str) -> str:
    """The text after which the model writes the answer."""
    return f"{story_text}\nQuestion: {question}\nAnswer:"
