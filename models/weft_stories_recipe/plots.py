# SPDX-License-Identifier: Apache-2.0
"""The plots: what goes wrong or is wished for, and how the characters deal with it.

Every plot takes a `Director`, a hero and a friend and performs events. `simulate` makes a world,
picks a plot and returns the chronicle; it is a pure function of its seed.
"""

import random
from collections.abc import Callable

from .director import Director, at, hands, inside
from .lexicon import ANIMALS, COLOURS, CONTAINERS, NAMES, NEEDS, PLACES, SHE, THINGS, TOYS
from .world import Cast, Chronicle, ImpossibleEventError, State, Verb

Plot = Callable[[Director, str, str, str], None]


def satisfy_need(director: Director, hero: str, friend: str, need: str) -> None:
    """The hero needs something, gets hold of it in spite of everything, and uses it."""
    rng = director.rng
    thing = rng.choice([x for x in NEEDS[need].things if x in director.state.spot_of])
    want_cause = director.perform(Verb.NEED, hero, need=need)
    director.perform(Verb.WANT, hero, thing=thing, cause=want_cause)
    if rng.random() < 0.4:
        director.interfere(friend, thing)
    director.fetch(hero, thing)
    use = director.perform(Verb.USE, hero, thing=thing, need=need)
    if rng.random() < 0.6:
        director.feel(hero, "happy", use)


def bring_gift(director: Director, hero: str, friend: str, thing: str) -> None:
    """The friend has a birthday, and the hero finds a gift."""
    rng = director.rng
    director.perform(Verb.BIRTHDAY, friend, other=hero, thing=thing)
    others = [name for name in director.cast.kinds if name not in (hero, friend)]
    if others and rng.random() < 0.5:
        director.interfere(rng.choice(others), thing)
    director.fetch(hero, thing)
    gift = director.give(hero, thing, friend)
    director.feel(friend, "happy", gift)
    if rng.random() < 0.5:
        director.perform(Verb.THANK, friend, other=hero)


def lose_and_find(director: Director, hero: str, friend: str, thing: str) -> None:
    """The hero loses a thing on a walk; the hero or the friend finds it again."""
    rng = director.rng
    director.fetch(hero, thing, may_trade=False)
    where = director.go_elsewhere(hero)
    loss = director.perform(Verb.LOSE, hero, thing=thing)
    director.go_elsewhere(hero, where)
    director.feel(hero, "sad", loss)
    if rng.random() < 0.6:
        director.meet(friend, hero)
        director.perform(Verb.HELP, friend, other=hero, thing=thing)
        director.go(friend, where)
        found = director.perform(Verb.FIND, friend, thing=thing, spot=at(where))
        director.give(friend, thing, hero)
        director.feel(hero, "happy", found)
        if rng.random() < 0.4:
            director.perform(Verb.THANK, hero, other=friend)
    else:
        if rng.random() < 0.5:
            wrong = director.go_elsewhere(hero, where)
            if wrong != where:
                director.perform(Verb.LOOK, hero, thing=thing, spot=at(wrong))
        director.go(hero, where)
        found = director.perform(Verb.FIND, hero, thing=thing, spot=at(where))
        director.feel(hero, "happy", found)


def quarrel(director: Director, hero: str, friend: str, thing: str) -> None:
    """The friend takes the hero's thing without asking, and is sorry, now or later."""
    rng = director.rng
    director.fetch(hero, thing, may_trade=False)
    director.meet(friend, hero)
    theft = director.perform(Verb.SNATCH, friend, thing=thing, other=hero)
    director.feel(hero, rng.choice(("angry", "sad")), theft)
    if rng.random() < 0.5:
        director.go_elsewhere(friend)
        if rng.random() < 0.6:
            director.stow(friend, thing)
            director.fetch(hero, thing, find=True)
            return
        if rng.random() < 0.5:
            return
    director.meet(friend, hero)
    director.perform(Verb.SORRY, friend, other=hero)
    gift = director.give(friend, thing, hero)
    if rng.random() < 0.6:
        director.feel(hero, "happy", gift)


def break_and_fix(director: Director, hero: str, friend: str, thing: str) -> None:
    """The friend breaks what the hero lent; somebody fixes it."""
    rng = director.rng
    director.fetch(hero, thing, may_trade=False)
    director.meet(friend, hero)
    director.perform(Verb.ASK, friend, thing=thing, other=hero)
    director.perform(Verb.GIVE, hero, thing=thing, other=friend)
    damage = director.perform(Verb.BREAK, friend, thing=thing)
    director.feel(hero, rng.choice(("angry", "sad")), damage)
    if rng.random() < 0.6:
        director.perform(Verb.SORRY, friend, other=hero)
    others = [name for name in director.cast.kinds if name not in (hero, friend)]
    fixer = rng.choice([hero, friend, *others, *others])
    if fixer != friend:
        director.give(friend, thing, fixer)
    fixed = director.perform(Verb.FIX, fixer, thing=thing)
    if fixer != hero:
        director.give(fixer, thing, hero)
    director.feel(hero, "happy", fixed)


def tidy_up(director: Director, hero: str, friend: str, thing: str) -> None:
    """The hero puts things away; the friend comes and takes one of them somewhere else."""
    rng = director.rng
    director.fetch(hero, thing, may_trade=False)
    director.go(hero, rng.choice(sorted(set(director.cast.containers.values()))))
    director.stow(hero, thing)
    director.go_elsewhere(hero)
    taking = director.interfere(friend, thing)
    if taking and rng.random() < 0.6:
        director.perform(Verb.WANT, hero, thing=thing, cause=taking)
        director.fetch(hero, thing)


PLOTS: tuple[Plot, ...] = (bring_gift, lose_and_find, quarrel, break_and_fix, tidy_up)


def _make_director(rng: random.Random, thing: str, extra_things: int) -> Director:
    people = rng.sample(sorted(NAMES), rng.choice((2, 2, 3)))
    kinds = {}
    for name in people:
        person = "girl" if NAMES[name] is SHE else "boy"
        animals = [kind for kind in ANIMALS if kind not in kinds.values()]
        kinds[name] = person if rng.random() < 0.5 else rng.choice(animals)
    places = tuple(rng.sample(sorted(PLACES), rng.choice((3, 3, 4))))
    boxes = rng.sample(CONTAINERS, rng.choice((1, 2)))
    containers = {box: rng.choice(places) for box in boxes}
    others = [other for other in THINGS if other != thing]
    things = [thing, *rng.sample(others, extra_things)]
    colours = dict(zip(things, rng.sample(COLOURS, len(things)), strict=True))
    cast = Cast(kinds, places, containers, colours)
    place_of = {name: rng.choice(places) for name in people}
    spots = {}
    for each in things:
        roll = rng.random()
        if roll < 0.3:
            spots[each] = hands(rng.choice(people))
        elif roll < 0.65:
            spots[each] = inside(rng.choice(boxes))
        else:
            spots[each] = at(rng.choice(places))
    return Director(cast, State(cast, place_of, spots), rng)


def _run(rng: random.Random) -> Chronicle:
    need = rng.choice(sorted(NEEDS)) if rng.random() < 0.4 else None
    thing = rng.choice(NEEDS[need].things if need else TOYS)
    director = _make_director(rng, thing, extra_things=rng.choice((1, 1, 2)))
    hero, friend, *_ = director.cast.kinds
    if need:
        satisfy_need(director, hero, friend, need)
    else:
        rng.choice(PLOTS)(director, hero, friend, thing)
    if rng.random() < 0.5:
        walker = rng.choice(list(director.cast.kinds))
        director.go_elsewhere(walker)
        held = director.state.held_by(walker)
        if held and rng.random() < 0.6:
            director.stow(walker, rng.choice(held))
    return director.chronicle()


def simulate(seed: int, *, max_events: int = 18) -> Chronicle:
    """The chronicle of a seed: same seed, same chronicle. Drafts that turn out impossible (a gift
    that the friend already holds) or too long are thrown away and drawn again from the same stream.
    """
    rng = random.Random(seed)
    while True:
        try:
            chronicle = _run(rng)
        except ImpossibleEventError:
            continue
        if 4 <= len(chronicle.events) <= max_events:
            return chronicle
