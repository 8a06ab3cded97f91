# SPDX-License-Identifier: Apache-2.0
"""The simulated world: its state, the events that change it, and why they happened.

An `Event` is checked against the state before it is applied, so a story cannot contain something
impossible (taking what is not there, giving what one does not have). The log of events together
with the final state is all that `questions` needs.
"""

import dataclasses
import enum

from .lexicon import NAMES, NEEDS, PLACES, Pronouns


class ImpossibleEventError(ValueError):
    """An event that the state of the world does not allow."""


class SpotKind(enum.Enum):
    """What a thing can be in."""

    PLACE = "place"
    CONTAINER = "container"
    HANDS = "hands"
    GONE = "gone"


@dataclasses.dataclass(frozen=True)
class Spot:
    """Where a thing is: at a place, in a container, in somebody's hands, or no longer there."""

    kind: SpotKind
    name: str = ""


class Verb(enum.Enum):
    """What can happen. The fields of `Event` that a verb uses are listed behind it."""

    GO = enum.auto()  # actor, place
    TAKE = enum.auto()  # actor, thing, spot (where from)
    FIND = enum.auto()  # actor, thing, spot: a TAKE of something that was looked for
    PUT = enum.auto()  # actor, thing, spot (a container of this place)
    DROP = enum.auto()  # actor, thing: put down on purpose where the actor stands
    LOSE = enum.auto()  # actor, thing: dropped without noticing
    GIVE = enum.auto()  # actor, thing, other
    SNATCH = enum.auto()  # actor, thing, other (who had it)
    USE = enum.auto()  # actor, thing, need
    BREAK = enum.auto()  # actor, thing
    FIX = enum.auto()  # actor, thing
    ASK = enum.auto()  # actor, thing, other (who has it)
    OFFER = enum.auto()  # actor (owner), thing (the price), other
    TELL = enum.auto()  # actor, other, thing, spot
    LOOK = enum.auto()  # actor, thing, spot: looks there in vain
    NEED = enum.auto()  # actor, need
    WANT = enum.auto()  # actor, thing
    BIRTHDAY = enum.auto()  # actor (whose), other (who thinks of a gift), thing
    HELP = enum.auto()  # actor, other, thing: offers to look for it
    FEEL = enum.auto()  # actor, feeling, cause
    SORRY = enum.auto()  # actor, other
    THANK = enum.auto()  # actor, other


@dataclasses.dataclass(frozen=True)
class Event:
    """One thing that happens. Unused fields are empty; `cause` is the event that brought it on."""

    verb: Verb
    actor: str
    thing: str = ""
    other: str = ""
    place: str = ""
    spot: Spot | None = None
    need: str = ""
    feeling: str = ""
    cause: "Event | None" = None


@dataclasses.dataclass(frozen=True)
class Cast:
    """Everything that does not change while a story runs."""

    kinds: dict[str, str]  # character -> "girl", "dog", ...
    places: tuple[str, ...]
    containers: dict[str, str]  # container -> place
    colours: dict[str, str]  # thing -> colour

    def __post_init__(self):
        for place in (*self.places, *self.containers.values()):
            if place not in PLACES:
                raise ValueError(f"{place!r} is not a place of the lexicon")

    def pronouns(self, character: str) -> Pronouns:
        """The pronouns of a character of this cast."""
        return NAMES[character]


@dataclasses.dataclass
class State:
    """Where everybody and everything is. `apply` is the only way to change it."""

    cast: Cast
    place_of: dict[str, str]
    spot_of: dict[str, Spot]
    broken: set[str] = dataclasses.field(default_factory=set)

    def copy(self) -> "State":
        """An independent copy (the cast is shared, it never changes)."""
        return State(self.cast, dict(self.place_of), dict(self.spot_of), set(self.broken))

    def place_of_spot(self, spot: Spot) -> str:
        """The place in which a spot is; raises ImpossibleEventError for a thing that is gone."""
        if spot.kind is SpotKind.PLACE:
            return spot.name
        if spot.kind is SpotKind.CONTAINER:
            return self.cast.containers[spot.name]
        if spot.kind is SpotKind.HANDS:
            return self.place_of[spot.name]
        raise ImpossibleEventError("a thing that is gone has no place")

    def held_by(self, character: str) -> list[str]:
        """The things in a character's hands, in a fixed order."""
        hands = Spot(SpotKind.HANDS, character)
        return sorted(thing for thing, spot in self.spot_of.items() if spot == hands)

    def apply(self, event: Event) -> None:
        """Changes the state as `event` says; raises ImpossibleEventError where it cannot happen."""
        here = self.place_of[event.actor]
        hands = Spot(SpotKind.HANDS, event.actor)
        match event.verb:
            case Verb.GO:
                self._require(event.place in self.cast.places and event.place != here, event)
                self.place_of[event.actor] = event.place
            case Verb.TAKE | Verb.FIND:
                self._require(self.spot_of[event.thing] == event.spot, event)
                self._require(event.spot.kind in (SpotKind.PLACE, SpotKind.CONTAINER), event)
                self._require(self.place_of_spot(event.spot) == here, event)
                self.spot_of[event.thing] = hands
            case Verb.PUT:
                self._require(self.spot_of[event.thing] == hands, event)
                self._require(event.spot.kind is SpotKind.CONTAINER, event)
                self._require(self.place_of_spot(event.spot) == here, event)
                self.spot_of[event.thing] = event.spot
            case Verb.DROP | Verb.LOSE:
                self._require(self.spot_of[event.thing] == hands, event)
                self.spot_of[event.thing] = Spot(SpotKind.PLACE, here)
            case Verb.GIVE:
                self._require(self.spot_of[event.thing] == hands, event)
                self._require(self.place_of[event.other] == here, event)
                self.spot_of[event.thing] = Spot(SpotKind.HANDS, event.other)
            case Verb.SNATCH:
                victim = Spot(SpotKind.HANDS, event.other)
                self._require(self.spot_of[event.thing] == victim, event)
                self._require(self.place_of[event.other] == here, event)
                self.spot_of[event.thing] = hands
            case Verb.USE:
                self._require(self.spot_of[event.thing] == hands, event)
                if NEEDS[event.need].consumes:
                    self.spot_of[event.thing] = Spot(SpotKind.GONE)
            case Verb.BREAK:
                self._require(self.spot_of[event.thing] == hands, event)
                self.broken.add(event.thing)
            case Verb.FIX:
                self._require(self.spot_of[event.thing] == hands, event)
                self._require(event.thing in self.broken, event)
                self.broken.discard(event.thing)
            case Verb.LOOK:
                self._require(self.place_of_spot(event.spot) == here, event)
                self._require(self.spot_of[event.thing] != event.spot, event)
            case Verb.ASK | Verb.OFFER | Verb.TELL | Verb.HELP | Verb.SORRY | Verb.THANK:
                self._require(self.place_of[event.other] == here, event)

    @staticmethod
    def _require(condition: bool, event: Event) -> None:
        if not condition:
            raise ImpossibleEventError(f"the world does not allow {event}")


@dataclasses.dataclass(frozen=True)
class Chronicle:
    """A finished simulation: the state before the first event, the events, the state after."""

    start: State
    events: tuple[Event, ...]
    end: State

    def until(self, count: int) -> "Chronicle":
        """The chronicle of the first `count` events alone."""
        events = self.events[:count]
        end = self.start.copy()
        for event in events:
            end.apply(event)
        return Chronicle(self.start, events, end)
