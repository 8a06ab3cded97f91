# SPDX-License-Identifier: Apache-2.0
"""The phrases of the narration: for every verb the ways to say it.

Slots of events: `{S}` the subject at the start of a sentence, `{S_name}` always its name, `{said}`
"said Mia" or "she said", `{o}` the other character, `{x}` the thing ("the ball", "the red ball" or
"it"), `{p}` a place, `{spot}` "in the box" or "at the river", `{c}` a container, `{need}` the
clause of a need, `{feeling}` and `{reason}`. Slots of the introduction speak for themselves.

A verb phrase (`VERB_PHRASES`) can be joined to others of the same actor; a sentence cannot.
"""

from .world import Verb

VERB_PHRASES = {
    Verb.GO: ("went to the {p}", "walked to the {p}", "ran to the {p}"),
    Verb.DROP: ("put {x} down", "left {x} there", "put {x} on the ground"),
    Verb.LOSE: ("lost {x} there", "lost {x} by accident"),
    Verb.PUT: ("put {x} in the {c}", "left {x} in the {c}", "hid {x} in the {c}"),
    Verb.FIND: ("found {x} {spot}", "at last found {x} {spot}"),
    Verb.GIVE: ("gave {x} to {o}", "gave {x} to {o}", "handed {x} to {o}"),
    Verb.SNATCH: (
        "took {x} from {o} without asking",
        "grabbed {x} from {o}",
        "took {x} away from {o}",
    ),
    Verb.BREAK: ("broke {x}", "broke {x} by accident"),
    Verb.FIX: ("fixed {x}", "fixed {x} with some glue", "worked hard and fixed {x}"),
}

TAKE_FROM_PLACE = ("took {x}", "picked {x} up", "got {x}")
TAKE_FROM_CONTAINER = ("took {x} out of the {c}", "took {x} from the {c}", "got {x} from the {c}")

SENTENCES = {
    Verb.ASK: (
        "{S} asked {o} for {x}.",
        '"Can I have {x}, please?" {said}.',
        '"{o}, may I have {x}?" {said}.',
    ),
    Verb.OFFER: (
        '"Yes, if you bring me {x}," {said}.',
        '"First bring me {x}," {said}.',
        "{S} said yes, but wanted {x} first.",
    ),
    Verb.TELL: (
        '"Look, {x} is {spot}," {said}.',
        "{S} told {o} that {x} was {spot}.",
        '"I saw {x} {spot}," {said}.',
    ),
    Verb.LOOK: (
        "{S} looked {spot}, but {x} was not there.",
        "{S} looked for {x} {spot}, but it was not there.",
        "{S} looked {spot} and could not find {x}.",
    ),
    Verb.NEED: ("{S} {need}.",),
    Verb.WANT: ("{S} wanted {x}.", "{S} wanted to have {x}.", '"I want {x}," {said}.'),
    Verb.BIRTHDAY: (
        "It was {S_name}'s birthday. {o} wanted to give {x} to {S_name}.",
        "{S} had a birthday. {o} wanted to give {x} to {S_name}.",
    ),
    Verb.HELP: (
        '"I will help you, {o}," {said}.',
        "{S} wanted to help {o}.",
        '"Do not cry, {o}. I will look for {x}," {said}.',
    ),
    Verb.SORRY: (
        '"I am sorry," {said}.',
        '"I am sorry, {o}," {said}.',
        "{S} said sorry to {o}.",
    ),
    Verb.THANK: ('"Thank you, {o}!" {said}.', "{S} thanked {o}.", "{S} gave {o} a big hug."),
}

FEELINGS = ("{S} was {feeling}.", "{S} felt {feeling}.", "{S} was very {feeling}.")
FEELINGS_WITH_REASON = (
    "{S} was {feeling} because {reason}.",
    "{S} felt {feeling} because {reason}.",
)

OPENINGS = (
    "Once upon a time there was {kind} named {name}.",
    "Once upon a time, {kind} named {name} lived {place}.",
    "There once was {kind} named {name}.",
    "{name} was {kind}.",
)
FRIENDS = (
    "{His} friend was {kind} named {name}.",
    "{He} had a friend, {kind} named {name}.",
    "{name} was {kind} too.",
    "{He} liked to play with {name}, who was {kind}.",
)
THIRDS = (
    "There was also {kind} named {name}.",
    "{kind} named {name} lived there too.",
    "{name} was {kind}.",
)
WHEREABOUTS = ("{name} was {place}.", "{name} was {place} that day.", "{name} sat {place}.")
CONTAINERS = ("There was a {c} {place}.", "The {c} was {place}.", "A {c} stood {place}.")
THINGS = ("There was {x} {spot}.", "{x} was {spot}.", "{x} lay {spot}.")
BELONGINGS = ("{name} had {x}.", "{name} had {x} with {him}.")

DAYS = ("One day, ", "One morning, ", "That day, ", "Today, ", "")
LINKS = ("Then ", "After that, ", "Soon, ", "Later, ", "Next, ")
ENDINGS = (
    "It was a good day.",
    "They were good friends.",
    "And that was the end of the day.",
    "Then it was time to sleep.",
    "The end.",
)
