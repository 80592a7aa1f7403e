import pytest

from mixop.finder.contender import Trial
from mixop.finder.verdict import by_heart, noise, ranked, to_train, trusted, verdict
from mixop.tasks.classification import Classification
from mixop.tasks.multilabel import MultiLabel
from mixop.tasks.regression import Regression

CLASSES, NUMBERS, LABELS = Classification(("a", "b")), Regression(("y",)), MultiLabel(("a", "b"))


def trial(label="x", origin="known", *, valid=0.5, train=0.5, loss=1.0, flops=10, first="accuracy"):
    return Trial(
        label=label,
        origin=origin,
        measures={first: valid, "loss": loss},
        train={first: train, "loss": loss},
        epochs=3,
        seconds=1.0,
        parameters=5,
        flops=flops,
        latency_ms=None,
        round=2,
    )


def test_the_better_measure_then_the_lower_loss_then_the_cheaper_network_is_first():
    trials = [trial(valid=0.5), trial(valid=0.7, loss=2), trial(valid=0.7, loss=1), trial(valid=0.7, loss=1, flops=9)]
    assert ranked(trials, CLASSES) == [3, 2, 1, 0]
    errors = [trial(valid=v, first="rmse") for v in (3.0, 1.0, 2.0)]
    assert ranked(errors, NUMBERS) == [1, 2, 0]


@pytest.mark.parametrize(
    ("others", "examples", "taken"),
    [
        ([(0.88, 5), (0.86, 1)], 100, 1),  # two errors of a difference are 0.09, one of the best is 0.03: 0.86 lies outside
        ([(0.88, 5), (0.88, 4)], 100, 2),
        ([(0.88, 20), (0.88, 30)], 100, 0),  # the best is the cheapest
        ([(0.88, 9.5)], 100, 0),  # a twentieth less is not worth a lower score
        ([(0.88, 5), (0.87, 4.8)], 100, 1),  # nor is it between others
        ([(0.88, 5), (0.5, 1)], 100, 1),  # that one is worse says nothing of the others
        ([(0.5, 5), (0.4, 1)], 100, 0),
        ([(0.88, 5), (0.86, 1)], 10_000, 0),  # so many examples tell them apart
    ],
)
def test_the_cheapest_within_an_error_of_the_best_is_trained(others, examples, taken):
    trials = [trial("best", valid=0.9), *(trial(f"other {k}", valid=v, flops=f) for k, (v, f) in enumerate(others))]
    assert to_train(trials, CLASSES, examples) == taken
    *_, last = verdict(trials, CLASSES, examples)
    level = min(valid for valid, _ in others) > 0.8
    begins = "All networks of that round are level" if level else "Some networks are as good as the best"
    assert last.startswith(f"{begins} on 100 examples, so the cheapest within a standard error of the best is taken: ") is (
        taken > 0
    )
    if taken:
        share = 10 * trials[taken].flops
        assert f"{trials[taken].label}, 88.0 % accuracy with {share} % of the multiply-adds of best." in last


def test_where_nothing_is_counted_the_best_is_trained():
    errors = [trial(valid=v, first="rmse", flops=f) for v, f in ((1.0, 10), (1.01, 1))]
    assert to_train(errors, NUMBERS, 100) == 0
    assert to_train([trial(valid=0.9), trial(valid=None, flops=1)], CLASSES, 100) == 0


@pytest.mark.parametrize(
    ("examples", "order"),
    [
        (100, ["first", "second", "found", "worse", "third"]),  # one error of the best is 0.03
        (10_000, ["found", "second", "first", "worse", "third"]),  # so many examples tell them apart
    ],
)
def test_what_is_as_good_as_the_best_is_trusted_as_it_is_known(examples, order):
    scores = {"found": 0.9, "second": 0.89, "first": 0.88, "worse": 0.8, "third": 0.7}
    trials = [trial(label, valid=valid) for label, valid in scores.items()]
    known = ["first", "second", "third", "worse"]
    assert [trials[at].label for at in trusted(trials, CLASSES, examples, known)] == order
    assert trials[to_train(trials, CLASSES, examples, known)].label == order[0]


def test_under_a_limit_the_known_network_is_taken_where_nothing_is_better():
    trials = [trial("found", "searched", valid=0.9), trial("random", "random", valid=0.89, flops=1), trial("a", valid=0.88)]
    *_, last = verdict(trials, CLASSES, 100, ["a"])
    assert last == (
        "All networks of that round are level on 100 examples, so the one that most often does well is taken: a, 88.0 % "
        "accuracy with 100 % of the multiply-adds of found."
    )


def test_noise_is_the_standard_error_of_a_difference():
    assert noise((0.5, 0.5), 200) == pytest.approx(0.05)  # (2 * 0.25 / 200) ** 0.5


@pytest.mark.parametrize(
    ("train", "valid", "examples", "doubtful"),
    [
        (0.6, 0.5, 100, False),  # two standard errors are 0.14
        (0.6, 0.5, 1000, True),  # here 0.044
        (0.5, 0.6, 1000, False),
        (1.0, 0.8, 100, True),
        (None, 0.5, 1000, True),  # nothing is known
    ],
)
def test_a_network_that_knows_its_examples_better_than_chance_explains_may_learn_by_heart(train, valid, examples, doubtful):
    assert by_heart(trial(train=train, valid=valid, first="f1"), LABELS, examples) is doubtful


def test_of_classes_longer_trainings_do_no_harm():
    assert not by_heart(trial(train=1.0, valid=0.5), CLASSES, 1000)


def test_where_nothing_is_counted_any_difference_is_a_doubt():
    assert by_heart(trial(train=1.0, valid=1.1, first="rmse"), NUMBERS, 100)  # an error: lower is better
    assert not by_heart(trial(train=1.1, valid=1.0, first="rmse"), NUMBERS, 100)


def test_it_claims_no_more_than_the_examples_carry():
    trials = [trial("found", "searched", valid=0.62), trial("ResNet 16", valid=0.6), trial("random", "random", valid=0.4)]
    few, many = verdict(trials, CLASSES, 100), verdict(trials, CLASSES, 100_000)
    assert "and the best known network (ResNet 16) are too close to tell apart on 100 examples" in few[1]
    assert "is better than the best known network (ResNet 16): 62.0 % accuracy against 60.0 % accuracy" in many[1]
    assert "is better than a random architecture" in few[2]
    assert len(verdict(trials[1:], CLASSES, 100_000)) == 1
