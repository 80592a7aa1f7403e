"""The architecture that a search would find if it ended now is drawn as the found one is."""

import json
from dataclasses import replace

import pytest
from made_runs import lines_of, nasbench201_string, write_lines

from mixop.runs.read import read_run
from mixop.spaces import NasBench201
from mixop.spaces.describe import describe_architecture
from mixop.watch.derived import as_derived

NATIVE = nasbench201_string(["nor_conv_3x3", "none", "skip_connect", "nor_conv_1x1", "avg_pool_3x3", "nor_conv_3x3"])


def test_the_last_epoch_is_drawn_as_the_space_describes_it(run_at):
    run = run_at(epochs=3, upto="search")
    lines = lines_of(run)
    lines[-1]["architecture"] = NATIVE
    write_lines(run, lines)
    derived, space = as_derived(read_run(run)), NasBench201()
    assert derived.native == NATIVE
    assert derived.cells == describe_architecture(space, space.from_native(NATIVE))["cells"]


def test_what_was_found_stays(run_at):
    run = read_run(run_at(epochs=3, upto="architecture"))
    assert as_derived(run) is run


def test_nothing_is_drawn_before_the_first_epoch(run_at):
    run = read_run(run_at(upto="start"))
    assert as_derived(run) is run


@pytest.mark.parametrize("kind", ["os:System", "package.module:Own", "Nothing", 3])
def test_a_space_of_other_code_is_not_loaded(run_at, kind: object):
    run = run_at(epochs=2, upto="search")
    content = json.loads((run / "space.json").read_text())
    content["space"]["type"] = kind
    (run / "space.json").write_text(json.dumps(content))
    contents = read_run(run)
    assert as_derived(contents) is contents


def test_choices_of_a_model_are_those_of_the_text(run_at):
    run = read_run(run_at(epochs=2, upto="search"))
    search = replace(run.search, architectures=("stem=conv3, skips=a+b, none=none",) * 2)
    decisions = dict.fromkeys(("stem", "skips", "none", "unreached"), run.decisions["cell"][:1])
    own = replace(
        run,
        space={"space": {"type": "ModuleSpace", "factory": "own.module:net"}},
        search=search,
        decisions=decisions,
        inputs={"skips": ("a", "b"), "none": ("a", "b")},
    )
    assert as_derived(own).choices == {"stem": "conv3", "skips": ("a", "b"), "none": ()}
