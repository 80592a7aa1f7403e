import warnings

import pytest

from mixop.core.errors import DataWarning
from mixop.data.notes import NAMED, LeftOut, facts, left_out, said, told, warn


def test_what_was_left_out_is_counted_and_the_first_are_named():
    found = LeftOut()
    for number in range(1200):
        found.add("files that are no images", f"{number}.txt")
    found.add("links that point nowhere", "a.png")
    assert found.count("files that are no images") == 1200
    assert found.record["left_out"]["files that are no images"] == {"count": 1200, "first": [f"{k}.txt" for k in range(NAMED)]}
    text = "files that are no images (1,200: 0.txt, 1.txt, ...), links that point nowhere (1: a.png)"
    assert str(found) == said(found.record) == text


def test_nothing_left_out_is_nothing_said():
    assert LeftOut().record == left_out("columns", []) == {}
    assert told("set", {"images_in_subfolders": 0, "split": {"method": "random"}}) == ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn("set", {"images_in_subfolders": 3})  # read, only not where one may expect it


def test_one_line_says_all_and_a_warning_only_what_is_lost():
    record = {
        **left_out("hidden files and folders", [".DS_Store"]),
        "images_in_subfolders": 20,
        "split": {"lists_not_used": ["test"], "examples_in_no_list": 5},
        "no_variation": ["the targets of all training examples are the same"],
    }
    lost = "hidden files and folders (1: .DS_Store), lists of the index file of other names (test), "
    sentences = (
        f"set was read without {lost}examples in no list of the index file (5).",
        "Nothing can be learnt from set: the targets of all training examples are the same.",
    )
    with pytest.warns(DataWarning) as caught:
        warn("set", record)
    assert tuple(str(warning.message) for warning in caught) == sentences
    assert facts(record) == "20 images from subfolders of their class"
    assert told("set", record) == " ".join([*sentences, "set was read with 20 images from subfolders of their class."])
