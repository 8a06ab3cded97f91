# SPDX-License-Identifier: Apache-2.0
from hypothesis import given
from hypothesis import strategies as st

from weft.stop import StopWatch

LETTERS = st.text("ab", max_size=12)
STOPS = st.lists(st.text("ab", min_size=1, max_size=4), max_size=3)


def watched(pieces: list[str], stops: list[str]) -> tuple[list[str], StopWatch]:
    watch = StopWatch(stops)
    shown = [watch.add(piece) for piece in pieces]
    shown.append(watch.flush())
    return shown, watch


@given(st.lists(LETTERS, max_size=8), STOPS)
def test_text_ends_before_the_stop_text_that_is_seen_first(pieces: list[str], stops: list[str]):
    """However the text is cut, what is shown is a prefix of it without a stop text; nothing more
    is held back than what may still become one."""
    shown, watch = watched(pieces, stops)
    whole = "".join(pieces)
    assert "".join(shown) == watch.text
    assert whole.startswith(watch.text)
    found = [whole.find(s) for s in stops if s in whole]
    assert watch.stopped == bool(found)
    if not found:
        assert watch.text == whole
        return
    # The first piece with which a stop text is complete decides; of several the earliest place.
    text = ""
    for piece in pieces:
        text += piece
        places = [text.find(s) for s in stops if s in text]
        if places:
            assert watch.text == text[: min(places)]
            break


@given(st.lists(LETTERS, max_size=8), STOPS)
def test_text_is_shown_as_soon_as_it_can_be(pieces: list[str], stops: list[str]):
    watch, text, shown = StopWatch(stops), "", ""
    for piece in pieces:
        text += piece
        shown += watch.add(piece)
        if watch.stopped:
            break
        held = text[len(shown) :]
        assert not held or any(s.startswith(held) for s in stops)


def test_examples():
    assert watched(["Hello, wor", "ld. The", " end"], ["world."])[0] == ["Hello, ", "", "", ""]
    assert watched(["a.", "\n", "b"], ["\n\n"])[0] == ["a.", "", "\nb", ""]
    assert watched(["a.", "\n"], ["\n\n"])[0] == ["a.", "", "\n"]
    assert watched(["one two"], [])[0] == ["one two", ""]
    assert watched(["stop here", "more"], ["here", "stop"])[0] == ["", "", ""]
