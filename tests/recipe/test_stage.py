"""Stages: where they begin and end, what time it is in them, and which do not follow from one another."""

from dataclasses import replace

import pytest

from mixop.core.errors import RecipeError
from mixop.recipe.stage import Stage, check_stages, moving_epochs, shortest_stage, stage_ends, stage_progress
from mixop.recipes import drnas_progressive, drnas_progressive_201, pdarts
from mixop.spaces import darts
from mixop.spaces.toy import Toy
from mixop.wraps import PartialChannels

HALVES = (Stage(), Stage(options=3))


def test_epochs_are_shared_out():
    assert stage_ends((), 7) == [7]
    assert stage_ends(HALVES, 50) == [25, 50]
    assert stage_ends((Stage(share=1), Stage(share=3)), 20) == [5, 20]
    assert shortest_stage((Stage(share=1), Stage(share=3)), 20) == 5
    assert stage_ends(pdarts().stages, 75) == [25, 50, 75]


def test_time_goes_on_where_weights_are_carried():
    assert [stage_progress(HALVES, 4, epoch) for epoch in range(4)] == [0, 0.25, 0.5, 0.75]
    assert stage_progress(HALVES, 4, 3).closed == 1


def test_time_begins_anew_with_a_fresh_start():
    stages = (Stage(start="fresh"), Stage(start="fresh"), Stage())
    assert [stage_progress(stages, 6, epoch) for epoch in range(6)] == [0, 0.5, 0, 0.25, 0.5, 0.75]
    assert stage_progress(stages, 6, 1).closed == 1


def test_the_time_of_the_architecture_stands_still_in_warm_up():
    times = [stage_progress((), 5, epoch, 2) for epoch in range(5)]
    assert times == [0, 0, 0, 1 / 3, 2 / 3]
    assert [time.closed for time in times] == [0, 0, 0, 0.5, 1]
    assert [time.waiting for time in times] == [True, True, False, False, False]
    assert [time.whole for time in times] == [0, 0.2, 0.4, 0.6, 0.8]
    assert [time.whole.closed for time in times] == [0, 0.25, 0.5, 0.75, 1]


def test_every_stage_has_its_warm_up():
    carried = [stage_progress(HALVES, 8, epoch, 1) for epoch in range(8)]
    assert carried == [0, 0, 1 / 6, 2 / 6, 3 / 6, 3 / 6, 4 / 6, 5 / 6]
    assert [e for e, time in enumerate(carried) if not time.waiting] == moving_epochs(HALVES, 8, 1) == [1, 2, 3, 5, 6, 7]
    fresh = (Stage(start="fresh"), Stage(start="fresh", options=3))
    again = [stage_progress(fresh, 8, epoch, 1) for epoch in range(8)]
    assert again == [0, 0, 1 / 3, 2 / 3] * 2
    assert [time.whole for time in again] == [0, 0.25, 0.5, 0.75] * 2


def test_published_stages():
    assert [(s.options, s.cells) for s in pdarts().stages] == [(None, 0), (5, 6), (3, 12)]
    assert [s.wraps for s in drnas_progressive().stages] == [(PartialChannels(k=6),), (PartialChannels(k=4),)]
    assert [s.options for s in drnas_progressive_201().stages] == [None, 3]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"options": 0}, "options of a stage must be a whole number of at least 1, got 0"),
        ({"options": 1.5}, "whole number"),
        ({"cells": -1}, "cells of a stage must be a whole number of at least 0"),
        ({"channels": True}, "channels of a stage"),
        ({"share": 0}, "share of a stage"),
        ({"start": "warm"}, "'carry' or 'fresh', got 'warm'"),
        ({"wraps": (PartialChannels(k=2), PartialChannels(k=4))}, "wraps an edge once, got it 2 times"),
    ],
)
def test_settings_that_mean_nothing_are_refused(changes, words):
    with pytest.raises(RecipeError, match=words):
        Stage(**changes)


@pytest.mark.parametrize(
    ("stages", "epochs", "warmup", "words"),
    [
        ((Stage(options=3), Stage(options=4)), 10, 0, "Stage 2 keeps 4 options, but the one before has only 3"),
        ((Stage(), Stage(cells=2)), 10, 0, "Stage 2 carries its weights on, so it must have as many cells"),
        ((Stage(), Stage(channels=2)), 10, 0, "as many cells and channels"),
        (HALVES, 10, 5, "Stage 1 has 5 of 10 epochs, which a warm-up of 5 epochs uses up"),
        (HALVES, 1, 0, "of 1 epochs"),
    ],
)
def test_stages_that_do_not_follow_are_refused(stages, epochs, warmup, words):
    with pytest.raises(RecipeError, match=words):
        check_stages(stages, epochs, warmup)


def test_a_space_that_they_do_not_fit_is_refused():
    with pytest.raises(RecipeError, match="keeps 5 options of every decision, but toy has only 4"):
        pdarts().check(Toy())
    with pytest.raises(RecipeError, match="whose channels are a multiple of 6"):
        drnas_progressive().check(darts(channels=16))
    recipe = replace(drnas_progressive(), stages=(Stage(wraps=(PartialChannels(k=2),)), Stage(wraps=(PartialChannels(k=5),))))
    with pytest.raises(RecipeError, match="multiple of 5"):
        recipe.check(darts(channels=16))
