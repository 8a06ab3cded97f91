# SPDX-License-Identifier: Apache-2.0
"""Tells a chronicle in simple, varied English.

Conventions that keep every story unambiguous: a pronoun at the start of a sentence means the
subject of the sentence before; "it" means the thing that was mentioned last; where everybody and
everything is at the start is always told.
"""

import random

from .lexicon import NEEDS, PLACES, TRAITS
from .phrases import (
    BELONGINGS,
    CONTAINERS,
    DAYS,
    ENDINGS,
    FEELINGS,
    FEELINGS_WITH_REASON,
    FRIENDS,
    LINKS,
    OPENINGS,
    SENTENCES,
    TAKE_FROM_CONTAINER,
    TAKE_FROM_PLACE,
    THINGS,
    THIRDS,
    VERB_PHRASES,
    WHEREABOUTS,
)
from .world import Cast, Chronicle, Event, Spot, SpotKind, Verb


def article(noun: str) -> str:
    """The noun with its indefinite article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def place_phrase(place: str) -> str:
    """The place with its preposition: "at the river"."""
    return f"{PLACES[place]} the {place}"


def spot_phrase(spot: Spot) -> str:
    """Where something is that nobody holds: "in the box", "at the river"."""
    if spot.kind is SpotKind.CONTAINER:
        return f"in the {spot.name}"
    return place_phrase(spot.name)


def reason_clause(cause: Event, feeler: str, cast: Cast) -> str:
    """The clause after "because", told from the side of `feeler`: "she lost the ball".

    There is exactly one wording for a cause, in the story and in an answer.
    """
    own = cast.pronouns(feeler)
    agent = own.subject if cause.actor == feeler else cause.actor
    match cause.verb:
        case Verb.LOSE:
            return f"{agent} lost the {cause.thing}"
        case Verb.BREAK:
            return f"{agent} broke the {cause.thing}"
        case Verb.FIX:
            return f"{agent} fixed the {cause.thing}"
        case Verb.SNATCH | Verb.TAKE:
            return f"{agent} took the {cause.thing}"
        case Verb.FIND:
            return f"{agent} found the {cause.thing}"
        case Verb.GIVE:
            return f"{agent} gave {own.object} the {cause.thing}"
        case Verb.LOOK:
            return f"the {cause.thing} was not there"
        case Verb.USE:
            return f"{agent} {NEEDS[cause.need].use.format(x=f'the {cause.thing}')}"
        case Verb.NEED:
            need = NEEDS[cause.need]
            return need.clause if need.impersonal else f"{agent} {need.clause}"
        case Verb.BIRTHDAY:
            return f"it was {cause.actor}'s birthday"
    raise ValueError(f"{cause.verb} is no reason for anything")


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


class Narrator:
    """Tells one chronicle. `rng` decides the wording and nothing else."""

    def __init__(self, chronicle: Chronicle, rng: random.Random):
        self.chronicle = chronicle
        self.cast = chronicle.start.cast
        self.rng = rng
        self.last_subject = ""
        self.last_thing = ""

    def tell(self, *, ending: bool = True) -> str:
        """The whole story as one paragraph, with a closing sentence now and then if `ending`."""
        sentences = [*self._introduction(), *self._happenings()]
        if ending and self.rng.random() < 0.5:
            sentences.append(self.rng.choice(ENDINGS))
        return " ".join(sentences)

    # The state at the start

    def _kind(self, name: str) -> str:
        kind = self.cast.kinds[name]
        if self.rng.random() < 0.3:
            kind = f"{self.rng.choice(TRAITS)} {kind}"
        return article(kind)

    def _introduction(self) -> list[str]:
        rng, start = self.rng, self.chronicle.start
        people = list(self.cast.kinds)
        opening = rng.choice(OPENINGS)
        hero = people[0]
        own = self.cast.pronouns(hero)
        home = place_phrase(start.place_of[hero])
        sentences = [opening.format(kind=self._kind(hero), name=hero, place=home)]
        known = {hero} if "{place}" in opening else set()
        for index, name in enumerate(people[1:]):
            kinds = (self.cast.kinds[hero], self.cast.kinds[name])
            pool = [
                phrase
                for phrase in (THIRDS if index else FRIENDS)
                if "too" not in phrase or index or kinds[0] == kinds[1]
            ]
            text = rng.choice(pool).format(
                kind=self._kind(name),
                name=name,
                He=_capital(own.subject),
                His=_capital(own.possessive),
            )
            sentences.append(_capital(text))
        facts = [
            rng.choice(WHEREABOUTS).format(name=name, place=place_phrase(start.place_of[name]))
            for name in people
            if name not in known
        ]
        for box, place in self.cast.containers.items():
            facts.append(rng.choice(CONTAINERS).format(c=box, place=place_phrase(place)))
        things = list(start.spot_of.items())
        rng.shuffle(things)
        facts.extend(self._whereabouts(thing, spot) for thing, spot in things)
        return sentences + facts

    def _whereabouts(self, thing: str, spot: Spot) -> str:
        described = article(f"{self.cast.colours[thing]} {thing}")
        if spot.kind is SpotKind.HANDS:
            him = self.cast.pronouns(spot.name).object
            return self.rng.choice(BELONGINGS).format(name=spot.name, x=described, him=him)
        return _capital(self.rng.choice(THINGS).format(x=described, spot=spot_phrase(spot)))

    # The events

    def _happenings(self) -> list[str]:
        sentences: list[str] = []
        pending: list[Event] = []  # verb phrases of one actor that become one sentence
        for event in self.chronicle.events:
            joinable = event.verb in VERB_PHRASES or event.verb in (Verb.TAKE, Verb.USE)
            fits = pending and pending[0].actor == event.actor and len(pending) < 3
            if joinable and fits and self.rng.random() < 0.6:
                pending.append(event)
                continue
            self._flush(pending, sentences)
            if joinable:
                pending.append(event)
            else:
                self._add(self._sentence(event), sentences, self._grammatical_subject(event))
        self._flush(pending, sentences)
        return sentences

    def _flush(self, pending: list[Event], sentences: list[str]) -> None:
        if pending:
            subject = self._subject(pending[0].actor)
            phrases = [self._verb_phrase(event) for event in pending]
            if len(phrases) == 3:
                phrases = [f"{phrases[0]}, {phrases[1]}", phrases[2]]
            self._add(f"{subject} {' and '.join(phrases)}.", sentences, pending[0].actor)
            pending.clear()

    def _add(self, text: str, sentences: list[str], actor: str) -> None:
        first = not self.last_subject
        prefix = ""
        if first:
            prefix = self.rng.choice(DAYS)
        elif self.rng.random() < 0.15:
            prefix = self.rng.choice(LINKS)
        if prefix and text[0] != '"':
            if not text.startswith(tuple(self.cast.kinds)):
                text = text[0].lower() + text[1:]
            text = prefix + text
        sentences.append(text)
        self.last_subject = actor

    @staticmethod
    def _grammatical_subject(event: Event) -> str:
        """Whom a pronoun in the next sentence would mean; a dash where it would mean nobody."""
        if event.verb is Verb.BIRTHDAY:
            return event.other
        if event.verb is Verb.NEED and NEEDS[event.need].impersonal:
            return "-"
        return event.actor

    def _subject(self, actor: str) -> str:
        if actor == self.last_subject and self.rng.random() < 0.6:
            return _capital(self.cast.pronouns(actor).subject)
        return actor

    def _thing(self, thing: str) -> str:
        if thing == self.last_thing and self.rng.random() < 0.4:
            return "it"
        self.last_thing = thing
        if self.rng.random() < 0.1:
            return f"the {self.cast.colours[thing]} {thing}"
        return f"the {thing}"

    def _verb_phrase(self, event: Event) -> str:
        if event.verb is Verb.USE:
            return self._fill(NEEDS[event.need].use, event)
        if event.verb is Verb.TAKE:
            boxed = event.spot.kind is SpotKind.CONTAINER
            pool = TAKE_FROM_CONTAINER if boxed else TAKE_FROM_PLACE
        else:
            pool = VERB_PHRASES[event.verb]
        return self._fill(self.rng.choice(pool), event)

    def _sentence(self, event: Event) -> str:
        if event.verb is Verb.FEEL:
            told = self.rng.random() < 0.4
            pool = FEELINGS_WITH_REASON if told else FEELINGS
        elif event.verb is Verb.NEED and NEEDS[event.need].impersonal:
            return f"{_capital(NEEDS[event.need].clause)}."
        else:
            pool = SENTENCES[event.verb]
        return self._fill(self.rng.choice(pool), event)

    def _fill(self, phrase: str, event: Event) -> str:
        slots = {"S_name": event.actor, "o": event.other, "p": event.place}
        if "{S}" in phrase:
            slots["S"] = self._subject(event.actor)
        if "{said}" in phrase:
            subject = self._subject(event.actor)
            slots["said"] = (
                f"said {subject}" if subject == event.actor else f"{subject.lower()} said"
            )
        if "{x}" in phrase:
            slots["x"] = self._thing(event.thing)
        if event.spot is not None:
            slots["spot"] = spot_phrase(event.spot)
            slots["c"] = event.spot.name
        if event.need:
            slots["need"] = NEEDS[event.need].clause
        if event.feeling:
            slots["feeling"] = event.feeling
            slots["reason"] = reason_clause(event.cause, event.actor, self.cast)
        return phrase.format(**slots)
