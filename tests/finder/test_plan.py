"""How time is divided, by hand."""

import pytest

from mixop.finder.plan import ALONE_EPOCHS, Searches, able, about, alone, minutes_for, told, told_stride, turns

RATES = {"a": 2.0, "b": 1.0, "c": 4.0}


ALIKE = dict.fromkeys("abcdefghi", 1.0)


@pytest.mark.parametrize(
    ("seconds", "taken"),
    [
        (80.1, ["a", "b", "c"]),  # 40 each for two of them, 10 epochs of c
        (79.9, ["a", "b"]),
        (40.1, ["a", "b"]),
        (39.9, []),  # only b has them
    ],
)
def test_two_of_those_that_take_part_can_have_ten_epochs_in_the_last_round(seconds, taken):
    assert able(RATES, seconds) == taken


def test_as_many_take_part_as_can_have_three_epochs_each():
    assert able(ALIKE, 27.1) == list("abcdefghi")
    assert able(ALIKE, 26.9) == list("abcdefgh")


def test_side_by_side_they_have_the_seconds_of_as_many_turns():
    assert [turns(count, 2) for count in (0, 1, 2, 3, 4)] == [0, 1, 1, 2, 2]
    assert able(ALIKE, 15.1, jobs=2) == list("abcdefghi"), "five turns of 3 seconds"
    assert able(ALIKE, 14.9, jobs=2) == list("abcdefgh"), "four turns"
    assert minutes_for(ALIKE, 9, jobs=2) == pytest.approx(15.0 / 0.15 / 60)
    assert minutes_for(RATES, 3, jobs=3) == pytest.approx(40.0 / 0.15 / 60), "one turn, but ten epochs in the last round"


def test_those_that_come_first_go_before_others():
    assert able({"a": 1.0, "b": 9.0, "c": 1.0, "d": 1.0}, 21.0) == ["a", "c", "d"]


@pytest.mark.parametrize(
    ("searches", "joining"),
    [
        (Searches("gaea", 8, 2), 3),  # what they find, and a random one
        (Searches("gaea", 0, 0), 0),
    ],
)
def test_what_joins_the_last_round(searches, joining):
    assert searches.guests == joining


def test_alone_is_the_first_that_has_enough_epochs_or_the_fastest():
    assert alone(RATES, ALONE_EPOCHS * 2.0) == "a"
    assert alone(RATES, ALONE_EPOCHS * 2.0 - 1) == "b"
    assert alone(RATES, 1.0) == "b"


@pytest.mark.parametrize("networks", [2, 3])
def test_so_many_minutes_are_just_enough(networks):
    seconds = 60 * minutes_for(RATES, networks) * 0.15
    assert len(able(RATES, seconds + 1e-6)) == networks
    assert len(able(RATES, seconds - 1e-6)) < networks


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(0.2, "about 1 minute"), (1.01, "about 2 minutes"), (19.5, "about 20 minutes"), (41.0, "about 50 minutes")],
)
def test_budgets_are_rounded_up(minutes, said):
    assert about(minutes) == said


def test_the_plan_says_what_more_minutes_change():
    assert told(600.0, RATES, ["a", "b", "c"]) == [
        "Plan for 10 min 0 s: 1 min 30 s to compare 3 of 3 known networks, 1 min 30 s for the best of them again, up to 2 min "
        "0 s to search if that may gain more than training, and at least 5 min 0 s to train the winner."
    ]
    assert told(100.0, RATES, ["a", "b"])[1] == "c stays out: about 9 minutes would let all in."
    assert told(60.0, RATES, ["b"]) == [
        "Plan for 1 min 0 s: b is trained for all of it, without a comparison or a search; about 5 minutes would compare "
        "networks."
    ]
    assert "nothing else keeps the limits" in told(60.0, {"b": 1.0}, ["b"])[0]


def test_why_first_convolutions_are_strided():
    assert told_stride((65,), 4, 3) == (
        "First convolutions have a stride of 4, which leaves 17 of 65 positions: with 2, a plain network would have 3 epochs "
        "at the end, and 24 are wanted."
    )
