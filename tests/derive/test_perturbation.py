"""Perturbation-based selection: removals whose harm is known choose the right options, in the stated protocol."""

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.core.types import DROPPED
from mixop.derive.perturbation import PerturbationSelection
from mixop.engine.problem import fix_rows
from mixop.spaces import S2
from mixop.spaces.toy import Toy

SPACE = Toy()
EDGES, OPTIONS = SPACE.groups[0].shape
NEEDED = torch.rand(EDGES, OPTIONS, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
WEIGHTS = torch.rand(EDGES, OPTIONS, generator=torch.Generator().manual_seed(4), dtype=torch.float64).softmax(-1)


def scored(mix):
    """The accuracy is how much of what is needed there is."""
    good = float((NEEDED * mix["cell"]).sum())
    return good / 100, -good


def chosen(architecture):
    return [SPACE.groups[0].decisions[c.decision].options.index(c.option) for c in architecture.of("cell")]


@pytest.mark.parametrize("criterion", ["measure", "loss"])
def test_the_option_whose_removal_hurts_most_is_chosen_in_every_decision(trained, criterion):
    want = (NEEDED * WEIGHTS).argmax(-1).tolist()
    assert want != WEIGHTS.argmax(-1).tolist()
    view = trained(scored, WEIGHTS)
    assert chosen(PerturbationSelection(criterion=criterion, batches=2).final(view)) == want
    assert view.fixed == {"cell": dict(enumerate(want))}


def test_removing_sets_one_weight_to_zero_and_leaves_the_others(trained):
    seen = []

    def watch(mix):
        seen.append(mix["cell"].clone())
        return scored(mix)

    view = trained(watch, WEIGHTS)
    PerturbationSelection(interval=0).final(view)
    order = view.memory["PerturbationSelection.order.cell"].tolist()
    for o in range(OPTIONS):
        want = WEIGHTS.clone()
        want[order[0], o] = 0.0
        assert torch.equal(seen[o], want)
    later = seen[OPTIONS]  # the first decision is one-hot by then
    assert later[order[0]].tolist() == [float(o == view.fixed["cell"][order[0]]) for o in range(OPTIONS)]


@pytest.mark.parametrize("interval", [1, 2, 5])
def test_decisions_come_at_the_epochs_of_the_authors_loop(trained, interval):
    """NAS-Bench-201: every epoch tunes, and decides before it where ``epoch % interval == 0 or epoch == tune_epochs - 1``."""
    tune_epochs = interval * (EDGES - 1)
    authors = [epoch for epoch in range(tune_epochs) if epoch % interval == 0 or epoch == tune_epochs - 1]
    view = trained(scored, WEIGHTS)
    PerturbationSelection(interval=interval).final(view)
    kinds = [call[0] for call in view.calls if call[0] != "score"]
    ours = [kinds[:at].count("tune") for at, kind in enumerate(kinds) if kind == "fix"]
    assert ours[: len(authors)] == authors
    assert set(ours) == set(authors)  # with an interval of 1 the code has no epoch for the last decision, and makes none
    if interval == 5 and EDGES == 6:
        assert ours == [0, 5, 10, 15, 20, 24]


def test_the_darts_space_decides_in_17_rounds_at_every_fifth_epoch(trained):
    """``tune_epochs = 5 * (14 + 3 - 1) + 1``, so the last round, of nodes, is at epoch 80."""
    space = S2()
    view = trained(redundant, torch.zeros(0), space=space)
    view.mean = lambda: {
        g.name: fix_rows(torch.full((14, 2), 0.5, dtype=torch.float64), view.fixed.get(g.name, {})) for g in space.groups
    }
    PerturbationSelection().final(view)
    kinds = [call[0] for call in view.calls if call[0] != "score"]
    assert sorted({kinds[:at].count("tune") for at, kind in enumerate(kinds) if kind == "fix"}) == list(range(0, 81, 5))


def test_every_decision_but_the_last_is_followed_by_tuning(trained):
    view = trained(scored, WEIGHTS)
    PerturbationSelection(interval=3, rate=0.01, early=False).final(view)
    kinds = [call for call in view.calls if call[0] != "score"]
    assert [call[0] for call in kinds] == ["fix", "tune", "tune", "tune"] * (EDGES - 1) + ["fix"]
    assert {call[1:] for call in kinds if call[0] == "tune"} == {(1, 0.01)}
    order = torch.randperm(EDGES, generator=torch.Generator().manual_seed(0)).tolist()
    assert [call[1] for call in kinds if call[0] == "fix"] == order


def test_a_selection_that_was_left_goes_on_where_it_was(trained):
    whole, torn = trained(scored, WEIGHTS), trained(scored, WEIGHTS, stop_after=OPTIONS + 4)
    want = PerturbationSelection().final(whole)
    with pytest.raises(KeyboardInterrupt):
        PerturbationSelection().final(torn)
    assert len(torn.fixed["cell"]) == 1
    torn.stop_after = None
    assert PerturbationSelection().final(torn) == want
    assert torn.fixed == whole.fixed


def test_the_loss_breaks_ties_of_the_accuracy(trained):
    view = trained(lambda mix: (0.5, scored(mix)[1]), WEIGHTS)
    assert chosen(PerturbationSelection().final(view)) == (NEEDED * WEIGHTS).argmax(-1).tolist()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"interval": -1}, "interval"),
        ({"rate": 0.0}, "rate"),
        ({"criterion": "taste"}, "criterion"),
        ({"batches": 0}, "batches"),
        ({"norm": "none"}, "batch norm"),
    ],
)
def test_settings_that_mean_nothing_are_refused(change, words):
    with pytest.raises(RecipeError, match=words):
        PerturbationSelection(**change)


def redundant(mix):
    """The last node of the normal cell: edges 9 and 10 do the same, and one of them is needed most."""
    there = mix["normal"].sum(-1)
    good = 10 * torch.maximum(there[9], there[10]) + there[11] + there[12] / 2 + there[13] / 5
    return float(good) / 100, -float(good)


@pytest.mark.parametrize(("cumulative", "kept"), [(False, {11, 12}), (True, {9, 11})])
def test_edges_are_dropped_one_at_a_time_from_the_full_node_or_from_what_is_left(trained, cumulative, kept):
    """Each of two edges that do the same can be missed; together only where what was dropped comes back."""
    space = S2()
    view = trained(redundant, torch.zeros(0), space=space)
    rows = torch.full((14, 2), 0.5, dtype=torch.float64)
    view.mean = lambda: {g.name: fix_rows(rows, view.fixed.get(g.name, {})) for g in space.groups}
    found = PerturbationSelection(interval=0, cumulative=cumulative).final(view)
    space.check(found)
    last = {choice.decision for choice in found.of("normal") if choice.decision >= 9}
    assert last == kept
    assert sum(option == DROPPED for option in view.fixed["normal"].values()) == 6
    assert all(len(fixed) == 14 for fixed in view.fixed.values())
