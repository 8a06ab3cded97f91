# SPDX-License-Identifier: Apache-2.0
"""Questions about a chronicle, each with the one right answer.

A question is asked only where the world gives exactly one answer; whatever could be read in two
ways (somebody who was sad twice for different reasons) is left out. Answers are functions of the
chronicle alone, never of the wording of the story.
"""

import dataclasses

from .lexicon import NEEDS
from .narrate import article, place_phrase, reason_clause, spot_phrase
from .world import Chronicle, Event, SpotKind, Verb


@dataclasses.dataclass(frozen=True)
class Question:
    """One question. `topic` names the skill it needs; `answer` ends with a full stop."""

    topic: str
    text: str
    answer: str


def _events(chronicle: Chronicle, *verbs: Verb) -> list[Event]:
    return [event for event in chronicle.events if event.verb in verbs]


def _unique(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """The keys that have a single value."""
    values: dict[str, set[str]] = {}
    for key, value in pairs:
        values.setdefault(key, set()).add(value)
    return {key: found.pop() for key, found in values.items() if len(found) == 1}


def _where(chronicle: Chronicle) -> list[Question]:
    end = chronicle.end
    questions = []
    for name, place in end.place_of.items():
        questions.append(Question("where person", f"Where is {name}?", f"{place_phrase(place)}."))
    for thing, spot in end.spot_of.items():
        if spot.kind in (SpotKind.PLACE, SpotKind.CONTAINER):
            questions.append(
                Question("where thing", f"Where is the {thing}?", f"{spot_phrase(spot)}.")
            )
    for thing, spot in chronicle.start.spot_of.items():
        if spot.kind is not SpotKind.HANDS and spot != end.spot_of[thing]:
            text = f"Where was the {thing} at first?"
            questions.append(Question("where at first", text, f"{spot_phrase(spot)}."))
    return questions


def _possession(chronicle: Chronicle) -> list[Question]:
    end = chronicle.end
    questions = []
    for thing, spot in end.spot_of.items():
        if spot.kind is SpotKind.GONE:
            continue
        holder = spot.name if spot.kind is SpotKind.HANDS else "nobody"
        questions.append(Question("who has", f"Who has the {thing}?", f"{holder}."))
    for name in end.cast.kinds:
        held = end.held_by(name)
        if len(held) <= 1:
            answer = f"the {held[0]}." if held else "nothing."
            questions.append(Question("what has", f"What does {name} have?", answer))
    return questions


def _attributes(chronicle: Chronicle) -> list[Question]:
    cast = chronicle.end.cast
    questions = [
        Question("colour", f"What colour is the {thing}?", f"{colour}.")
        for thing, colour in cast.colours.items()
    ]
    questions += [
        Question("kind", f"Who is {name}?", f"{article(kind)}.")
        for name, kind in cast.kinds.items()
    ]
    return questions


def _reasons(chronicle: Chronicle) -> list[Question]:
    cast = chronicle.end.cast
    feelings = [
        (f"Why was {event.actor} {event.feeling}?", reason_clause(event.cause, event.actor, cast))
        for event in _events(chronicle, Verb.FEEL)
    ]
    wants = [
        (
            f"Why did {event.actor} want the {event.thing}?",
            reason_clause(event.cause, event.actor, cast),
        )
        for event in _events(chronicle, Verb.WANT)
        if event.cause
    ]
    wants += [
        (f"Why did {event.other} want the {event.thing}?", reason_clause(event, event.other, cast))
        for event in _events(chronicle, Verb.BIRTHDAY)
    ]
    return [
        Question(topic, text, f"because {clause}.")
        for topic, pairs in (("why feel", feelings), ("why want", wants))
        for text, clause in _unique(pairs).items()
    ]


def _deeds(chronicle: Chronicle) -> list[Question]:
    pairs = {
        "who gave": [
            (f"Who gave the {event.thing} to {event.other}?", event.actor)
            for event in _events(chronicle, Verb.GIVE)
        ],
        "who did": [
            (f"Who {verb} the {event.thing}?", event.actor)
            for kind, verb in ((Verb.BREAK, "broke"), (Verb.FIX, "fixed"), (Verb.LOSE, "lost"))
            for event in _events(chronicle, kind)
        ]
        + [
            (f"Who ate the {event.thing}?", event.actor)
            for event in _events(chronicle, Verb.USE)
            if NEEDS[event.need].consumes
        ],
        "where found": [
            (f"Where did {event.actor} find the {event.thing}?", spot_phrase(event.spot))
            for event in _events(chronicle, Verb.FIND)
        ],
        "where looked": [
            (f"Where did {event.actor} look first?", spot_phrase(event.spot))
            for event in _events(chronicle, Verb.LOOK)
        ],
        "what wanted": [
            (f"What did {event.actor} want?", f"the {event.thing}")
            for event in _events(chronicle, Verb.WANT)
        ],
    }
    return [
        Question(topic, text, f"{answer}.")
        for topic, found in pairs.items()
        for text, answer in _unique(found).items()
    ]


def _last_feelings(chronicle: Chronicle) -> list[Question]:
    last = {event.actor: event.feeling for event in _events(chronicle, Verb.FEEL)}
    return [
        Question("feels at the end", f"How does {name} feel now?", f"{feeling}.")
        for name, feeling in last.items()
    ]


def ask_all(chronicle: Chronicle) -> list[Question]:
    """Every question that the chronicle answers, in a fixed order."""
    makers = (_where, _possession, _attributes, _reasons, _deeds, _last_feelings)
    return [question for maker in makers for question in maker(chronicle)]
