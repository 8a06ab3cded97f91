# SPDX-License-Identifier: Apache-2.0
"""Drills: random words to repeat, and random facts with questions in the form that stories have.

    barn Zoe lamp red duck barn Zoe lamp red duck barn Zoe lamp red duck

    The lamp Zoe. A river named barn. The duck is in the girl.
    Question: Who is barn?
    Answer: a river.

Nothing can be guessed here, as it can in a story where few colours and places are at hand, so a
model that begins with drills learns to look things up, and then finds that it helps with stories.
"""

import random

from .lexicon import ANIMALS, COLOURS, CONTAINERS, NAMES, PLACES, THINGS

WORDS = sorted({*NAMES, *ANIMALS, *PLACES, *CONTAINERS, *COLOURS, *THINGS})

#: a fact about the words a and b, the question about a that it answers, and the answer
FORMS = (
    ("The {b} {a}.", "What colour is the {a}?", " {b}"),
    ("A {b} named {a}.", "Who is {a}?", " a {b}"),
    ("The {a} is in the {b}.", "Where is the {a}?", " in the {b}"),
    ("{b} has the {a}.", "Who has the {a}?", " {b}"),
)


def drill_segments(rng: random.Random) -> list[tuple[str, float]]:
    """A document as (text, loss weight) segments."""
    return _repetition(rng) if rng.random() < 0.35 else _facts(rng)


def _repetition(rng: random.Random) -> list[tuple[str, float]]:
    """8 to 24 words, three times; where the second and third time begin cannot be foreseen."""
    first, *others = (f" {word}" for word in rng.sample(WORDS, rng.randint(8, 24)))
    again = [(first, 0.0), ("".join(others), 1.0)]
    return [(first + "".join(others), 0.0), *again, *again]


def _facts(rng: random.Random) -> list[tuple[str, float]]:
    """2 to 8 facts, and all their questions."""
    count = rng.randint(2, 8)
    words = rng.sample(WORDS, 2 * count)
    facts = [
        (form, {"a": a, "b": b})
        for form, a, b in zip(
            rng.choices(FORMS, k=count), words[:count], words[count:], strict=True
        )
    ]
    story = " ".join(form[0].format(**pair) for form, pair in facts)
    segments = [(f"{story}\n", 0.0)]
    for (_, question, answer), pair in rng.sample(facts, count):
        segments.append((f"Question: {question.format(**pair)}\nAnswer:", 0.0))
        segments.append((answer.format(**pair), 1.0))
        segments.append((".\n", 0.0))
    return segments
