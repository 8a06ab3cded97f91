# SPDX-License-Identifier: Apache-2.0
"""What characters can set out to do: small plans that turn a wish into events.

A `Director` owns the running state and the log. Its methods look at the state, work out the steps
(walk there, ask, trade, look in the wrong place first) and perform them. Plots are made of these.
"""

import random

from .world import Cast, Chronicle, Event, Spot, SpotKind, State, Verb


def at(place: str) -> Spot:
    """The spot of something that lies at a place."""
    return Spot(SpotKind.PLACE, place)


def inside(container: str) -> Spot:
    """The spot of something that is in a container."""
    return Spot(SpotKind.CONTAINER, container)


def hands(character: str) -> Spot:
    """The spot of something that a character holds."""
    return Spot(SpotKind.HANDS, character)


class Director:
    """Runs one story.

    Members: `rng` the only source of chance, `cast`, `state` (now), `events` (so far), `beliefs`
    (character -> thing -> the spot where the character last knew it to be).
    """

    def __init__(self, cast: Cast, state: State, rng: random.Random):
        self.rng = rng
        self.cast = cast
        self.state = state
        self.events: list[Event] = []
        self.beliefs = {name: dict(state.spot_of) for name in cast.kinds}
        self._start = state.copy()

    def chronicle(self) -> Chronicle:
        """The story so far."""
        return Chronicle(self._start, tuple(self.events), self.state.copy())

    def perform(self, verb: Verb, actor: str, **fields) -> Event:
        """Makes one event happen; everybody who is present sees where things are afterwards."""
        event = Event(verb, actor, **fields)
        self.state.apply(event)
        self.events.append(event)
        if event.thing and verb is not Verb.LOSE:
            here = self.state.place_of[actor]
            for name, beliefs in self.beliefs.items():
                if self.state.place_of[name] == here:
                    beliefs[event.thing] = self.state.spot_of[event.thing]
        return event

    # Small steps

    def go(self, actor: str, place: str) -> None:
        """Walks to a place, unless the actor is there already."""
        if self.state.place_of[actor] != place:
            self.perform(Verb.GO, actor, place=place)

    def go_elsewhere(self, actor: str, *avoid: str) -> str:
        """Walks to some other place that is not in `avoid`; returns where to."""
        here = self.state.place_of[actor]
        choices = [place for place in self.cast.places if place != here and place not in avoid]
        if not choices:
            return here
        place = self.rng.choice(choices)
        self.go(actor, place)
        return place

    def meet(self, actor: str, other: str) -> None:
        """Walks to where the other one is."""
        self.go(actor, self.state.place_of[other])

    def give(self, actor: str, thing: str, other: str) -> Event:
        """Walks to the other one and hands the thing over."""
        self.meet(actor, other)
        return self.perform(Verb.GIVE, actor, thing=thing, other=other)

    def feel(self, actor: str, feeling: str, cause: Event) -> Event:
        """A feeling always has a cause in the story."""
        return self.perform(Verb.FEEL, actor, feeling=feeling, cause=cause)

    def stow(self, actor: str, thing: str) -> None:
        """Puts a held thing into a container of this place, or down where there is none."""
        here = self.state.place_of[actor]
        choices = [box for box, place in self.cast.containers.items() if place == here]
        if choices and self.rng.random() < 0.75:
            self.perform(Verb.PUT, actor, thing=thing, spot=inside(self.rng.choice(choices)))
        else:
            self.perform(Verb.DROP, actor, thing=thing)

    # Plans

    def fetch(self, actor: str, thing: str, *, may_trade: bool = True, find: bool = False) -> None:
        """Gets hold of a thing, wherever it is: takes it, asks for it, or trades for it.

        An actor whose belief is out of date looks in vain first, feels sad, and is told the truth
        by somebody or finds the thing anyway.
        """
        believed = self.beliefs[actor][thing]
        actual = self.state.spot_of[thing]
        if actual == hands(actor):
            return
        if believed != actual and believed.kind in (SpotKind.PLACE, SpotKind.CONTAINER):
            self.go(actor, self.state.place_of_spot(believed))
            look = self.perform(Verb.LOOK, actor, thing=thing, spot=believed)
            if self.rng.random() < 0.6:
                self.feel(actor, "sad", look)
            informed = [
                name
                for name, beliefs in self.beliefs.items()
                if name != actor and beliefs[thing] == actual
            ]
            if informed and actual.kind is not SpotKind.HANDS:
                teller = self.rng.choice(informed)
                self.meet(teller, actor)
                self.perform(Verb.TELL, teller, other=actor, thing=thing, spot=actual)
            find = True
        if actual.kind is SpotKind.HANDS:
            self._obtain(actor, thing, actual.name, may_trade)
            return
        self.go(actor, self.state.place_of_spot(actual))
        verb = Verb.FIND if find else Verb.TAKE
        self.perform(verb, actor, thing=thing, spot=actual)

    def _obtain(self, actor: str, thing: str, owner: str, may_trade: bool) -> None:
        self.meet(actor, owner)
        ask = self.perform(Verb.ASK, actor, thing=thing, other=owner)
        prices = [
            price
            for price, spot in self.state.spot_of.items()
            if price != thing
            and spot.kind in (SpotKind.PLACE, SpotKind.CONTAINER)
            and self.beliefs[actor][price] == spot
        ]
        if may_trade and prices and self.rng.random() < 0.4:
            price = self.rng.choice(sorted(prices))
            self.perform(Verb.OFFER, owner, thing=price, other=actor, cause=ask)
            self.fetch(actor, price, may_trade=False)
            self.give(actor, price, owner)
        self.perform(Verb.GIVE, owner, thing=thing, other=actor, cause=ask)

    def interfere(self, actor: str, thing: str) -> Event | None:
        """Somebody else carries a free thing off to another spot; returns the taking of it.

        Nothing happens (and None is returned) where the thing is not free to take.

        Characters who are not there keep believing in the old spot.
        """
        spot = self.state.spot_of[thing]
        if spot.kind not in (SpotKind.PLACE, SpotKind.CONTAINER):
            return None
        origin = self.state.place_of_spot(spot)
        self.go(actor, origin)
        taking = self.perform(Verb.TAKE, actor, thing=thing, spot=spot)
        self.go_elsewhere(actor)
        if self.rng.random() < 0.7:
            self.stow(actor, thing)
        return taking
