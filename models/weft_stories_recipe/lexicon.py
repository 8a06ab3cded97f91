# SPDX-License-Identifier: Apache-2.0
"""The words of the simulated world: who lives there, where, with what, and what for.

Only tables and the small types that they are made of; `world` gives them a state, `narrate` turns
what happens into English.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Pronouns:
    """The three forms of a pronoun that the narration uses."""

    subject: str
    object: str
    possessive: str


SHE = Pronouns("she", "her", "her")
HE = Pronouns("he", "him", "his")


@dataclasses.dataclass(frozen=True)
class Need:
    """A reason to want a thing, and what having the thing does about it.

    `clause` follows a subject or stands alone when `impersonal` ("it was raining"); `use` is a past
    verb phrase with `{x}` for the thing ("the ball" or "it"); `consumes` says whether the use makes
    the thing vanish.
    """

    clause: str
    things: tuple[str, ...]
    use: str
    impersonal: bool = False
    consumes: bool = False


NAMES = {
    **dict.fromkeys(("Mia", "Lily", "Anna", "Zoe", "Ella", "Rose", "Kate", "Nora"), SHE),
    **dict.fromkeys(("Tom", "Ben", "Max", "Sam", "Leo", "Finn", "Jack", "Tim"), HE),
}

#: kinds that a character can be; girls and boys go with the pronoun of the name
ANIMALS = ("dog", "cat", "bear", "fox", "rabbit", "mouse", "duck", "frog")

#: place -> the preposition that goes with it
PLACES = {
    "garden": "in",
    "kitchen": "in",
    "park": "in",
    "forest": "in",
    "barn": "in",
    "school": "at",
    "river": "at",
    "market": "at",
    "beach": "at",
    "pond": "at",
    "farm": "on",
    "hill": "on",
}

CONTAINERS = ("box", "basket", "bag", "chest", "bucket", "drawer")

#: what one can say of a character
TRAITS = ("little", "young", "brave", "kind")

COLOURS = ("red", "blue", "green", "yellow", "white", "brown")

NEEDS = {
    "hungry": Need("was hungry", ("apple", "cake", "pie"), "ate {x}", consumes=True),
    "cold": Need("was cold", ("coat", "scarf", "hat"), "put {x} on"),
    "tired": Need("was tired", ("pillow", "blanket"), "slept with {x}"),
    "bored": Need("was bored", ("ball", "doll", "drum"), "played with {x}"),
    "rain": Need("it was raining", ("umbrella",), "stayed dry under {x}", impersonal=True),
    "dark": Need("it was dark", ("lamp",), "lit {x}", impersonal=True),
    "wind": Need("it was windy", ("kite",), "flew {x} high in the sky", impersonal=True),
}

#: things that make a gift or a toy, so that one can lose, borrow, break or miss them
TOYS = ("ball", "doll", "drum", "kite", "hat", "lamp", "book", "cup", "bell", "boat")

THINGS = tuple(sorted({thing for need in NEEDS.values() for thing in need.things} | set(TOYS)))
