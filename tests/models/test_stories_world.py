# SPDX-License-Identifier: Apache-2.0
"""The simulated world: what it refuses, that a seed fixes a story, that answers are true."""

import re

import pytest

from models.weft_stories_recipe.lexicon import NAMES, PLACES, THINGS
from models.weft_stories_recipe.questions import ask_all
from models.weft_stories_recipe.story import choose_questions, make_story, question_prompt
from models.weft_stories_recipe.world import (
    Cast,
    Event,
    ImpossibleEventError,
    Spot,
    SpotKind,
    State,
    Verb,
)

SEEDS = range(5_000_000, 5_000_300)


@pytest.fixture(scope="module")
def stories():
    return [make_story(seed) for seed in SEEDS]


KNOWN_STORY = (
    "There once was a girl named Zoe. Her friend was a fox named Sam. Zoe sat in the kitchen. Sam "
    "was at the market. The bucket was in the kitchen. There was a box in the barn. A brown kite "
    'lay at the market. Zoe had a blue cup with her. It was windy. "I want the kite," said Zoe. '
    "Zoe walked to the market, got the kite and flew the brown kite high in the sky. It was a good "
    "day."
)
KNOWN_ANSWERS = {
    "Where is Zoe?": "at the market.",
    "Where was the kite at first?": "at the market.",
    "Who has the cup?": "Zoe.",
    "What does Sam have?": "nothing.",
    "Why did Zoe want the kite?": "because it was windy.",
}


def small_state() -> State:
    cast = Cast(
        kinds={"Mia": "girl", "Tom": "boy"},
        places=("garden", "river", "hill"),
        containers={"box": "garden"},
        colours={"ball": "red", "cake": "white"},
    )
    spots = {"ball": Spot(SpotKind.CONTAINER, "box"), "cake": Spot(SpotKind.HANDS, "Tom")}
    return State(cast, {"Mia": "garden", "Tom": "river"}, spots)


def test_same_seed_same_story():
    for seed in (3, 1_000_003, 7_654_321):
        assert make_story(seed) == make_story(seed)


def test_different_seeds_different_stories(stories):
    assert len({story.text for story in stories}) == len(stories)


def test_known_story_has_not_changed():
    """The held-out set and the trained weights rest on the generator; a change must be noticed."""
    story = make_story(1)
    assert story.text == KNOWN_STORY
    assert KNOWN_ANSWERS.items() <= {each.text: each.answer for each in story.questions}.items()


@pytest.mark.parametrize(
    "event",
    [
        Event(Verb.GO, "Mia", place="garden"),  # is there already
        Event(Verb.GO, "Mia", place="barn"),  # no place of this story
        Event(Verb.TAKE, "Tom", thing="ball", spot=Spot(SpotKind.CONTAINER, "box")),  # far away
        Event(Verb.TAKE, "Mia", thing="ball", spot=Spot(SpotKind.PLACE, "garden")),  # is in the box
        Event(Verb.GIVE, "Mia", thing="ball", other="Tom"),  # does not have it
        Event(Verb.GIVE, "Tom", thing="cake", other="Mia"),  # she is elsewhere
        Event(Verb.PUT, "Tom", thing="cake", spot=Spot(SpotKind.CONTAINER, "box")),  # far away
        Event(Verb.FIX, "Tom", thing="cake"),  # is not broken
        Event(Verb.LOOK, "Mia", thing="ball", spot=Spot(SpotKind.CONTAINER, "box")),  # is there
        Event(Verb.ASK, "Mia", thing="cake", other="Tom"),  # out of earshot
    ],
)
def test_the_impossible_does_not_happen(event):
    state = small_state()
    with pytest.raises(ImpossibleEventError, match="the world does not allow"):
        state.apply(event)
    assert state == small_state()


def test_a_thing_travels_with_its_holder():
    state = small_state()
    state.apply(Event(Verb.TAKE, "Mia", thing="ball", spot=Spot(SpotKind.CONTAINER, "box")))
    state.apply(Event(Verb.GO, "Mia", place="river"))
    state.apply(Event(Verb.GIVE, "Mia", thing="ball", other="Tom"))
    state.apply(Event(Verb.GO, "Tom", place="hill"))
    state.apply(Event(Verb.DROP, "Tom", thing="ball"))
    assert state.spot_of["ball"] == Spot(SpotKind.PLACE, "hill")
    assert state.held_by("Tom") == ["cake"]


def test_an_unknown_place_is_refused():
    with pytest.raises(ValueError, match="'moon' is not a place of the lexicon"):
        Cast({"Mia": "girl"}, ("moon",), {}, {})


def test_the_log_replays_to_the_end(stories):
    for story in stories:
        state = story.chronicle.start.copy()
        for event in story.chronicle.events:
            state.apply(event)
        assert state == story.chronicle.end


def test_answers_agree_with_the_state(stories):
    """An independent reading: replays the log with its own bookkeeping, without `State`."""
    for story in stories:
        place, spot = replay(story.chronicle)
        for question in story.questions:
            expected = expect(question.text, place, spot)
            if expected is not None:
                assert question.answer == expected, (story.seed, question)


def replay(chronicle):
    place = dict(chronicle.start.place_of)
    spot = {thing: (each.kind, each.name) for thing, each in chronicle.start.spot_of.items()}
    for event in chronicle.events:
        if event.verb is Verb.GO:
            place[event.actor] = event.place
        elif event.verb in (Verb.TAKE, Verb.FIND, Verb.SNATCH):
            spot[event.thing] = (SpotKind.HANDS, event.actor)
        elif event.verb is Verb.GIVE:
            spot[event.thing] = (SpotKind.HANDS, event.other)
        elif event.verb is Verb.PUT:
            spot[event.thing] = (SpotKind.CONTAINER, event.spot.name)
        elif event.verb in (Verb.DROP, Verb.LOSE):
            spot[event.thing] = (SpotKind.PLACE, place[event.actor])
        elif event.verb is Verb.USE and event.need == "hungry":
            spot[event.thing] = (SpotKind.GONE, "")
    return place, spot


def expect(question, place, spot):
    """The answer to the questions about the end of a story, else None."""
    if found := re.fullmatch(r"Where is (\w+)\?", question):
        where = place[found[1]]
        return f"{PLACES[where]} the {where}."
    if found := re.fullmatch(r"Where is the (\w+)\?", question):
        kind, name = spot[found[1]]
        return f"{'in' if kind is SpotKind.CONTAINER else PLACES[name]} the {name}."
    if found := re.fullmatch(r"Who has the (\w+)\?", question):
        kind, name = spot[found[1]]
        return f"{name}." if kind is SpotKind.HANDS else "nobody."
    if found := re.fullmatch(r"What does (\w+) have\?", question):
        held = [thing for thing, each in spot.items() if each == (SpotKind.HANDS, found[1])]
        return f"the {held[0]}." if held else "nothing."
    return None


def test_every_question_has_one_answer(stories):
    for story in stories:
        texts = [each.text for each in story.questions]
        assert len(texts) == len(set(texts)), story.seed


def test_answers_speak_of_what_the_story_told(stories):
    words = {*NAMES, *PLACES, *THINGS}
    for story in stories:
        told = set(re.findall(r"\w+", story.text))
        for question in story.questions:
            assert (set(re.findall(r"\w+", question.answer)) & words) <= told, (
                story.seed,
                question,
            )


def test_stories_are_clean_english(stories):
    lower_case_starts = ("said ", "asked ", "he said", "she said")  # after a quotation
    for story in stories:
        assert not re.search(r"\{|\}|  ", story.text), story.seed
        assert re.fullmatch(r"[A-Z].*\.", story.text), story.seed
        for sentence in re.split(r'(?<=[.!?])"? ', story.text):
            good = sentence[0].isupper() or sentence.startswith(('"', *lower_case_starts))
            assert good, (story.seed, sentence)


def test_chosen_questions_spread_over_topics(stories):
    for story in stories:
        topics = {each.topic for each in story.questions}
        chosen = choose_questions(story, 6)
        assert len({each.topic for each in chosen}) == min(6, len(topics))
        assert set(chosen) <= set(ask_all(story.chronicle))


def test_question_prompt():
    assert question_prompt("S.", "Where is Mia?") == "S.\nQuestion: Where is Mia?\nAnswer:"
