"""The rules of DARTS-ES and DARTS-ADA against a recorded trace, and one worked by hand."""

import math

import pytest

from mixop.core.errors import RecipeError
from mixop.monitors.base import Continue, Restart, Stop
from mixop.monitors.eigenvalue import Adaptive, EarlyStopping, es_rule, growth, moving_means
from mixop.relax import Softmax


def golden(epoch: int) -> float:
    """The trace of methods 10.2."""
    return 0.1 * 1.08 ** max(0, epoch - 14) + 0.01 * (epoch // 2 % 3)


def test_golden_trace_of_early_stopping():
    trace: list[float] = []
    for epoch in range(0, 50, 2):
        trace.append(golden(epoch))
        back_to = es_rule(trace)
        if back_to is not None:
            break
    assert (epoch, back_to) == (22, 10)
    means = moving_means(trace, 5)
    assert means[-1] == pytest.approx(0.151294, abs=5e-7)
    assert means[-5] == pytest.approx(0.108, abs=1e-12)
    assert growth(trace) == pytest.approx(0.151294 / 0.108, rel=1e-5)


def test_a_trace_worked_by_hand():
    """Window 3: means 1, 1, 4/3, 7/3 from the second value on; the last two compare as 7/4."""
    trace = [1.0, 1.0, 1.0, 2.0, 4.0]
    assert moving_means(trace, 3) == pytest.approx([1, 1, 4 / 3, 7 / 3])
    rule = {"window": 3, "every": 1, "start": 0, "delta": 1, "factor": 1.5}
    fired = [es_rule(trace[:k], **rule) for k in range(1, 6)]
    # The newest mean is centred on epoch 3, the older one on epoch 2, which is returned to.
    assert fired == [None, None, None, None, 2]
    assert es_rule(trace, **{**rule, "start": 2}) == 2
    assert es_rule(trace, **{**rule, "start": 3}) is None
    exact = {**rule, "window": 1, "factor": 2.0}
    assert es_rule(trace, **exact) is None, "more than the factor, not the factor itself"
    assert es_rule(trace, **{**rule, "every": 4}) == 8
    assert growth(trace, window=3, delta=2) == pytest.approx(7 / 3)
    assert growth(trace, window=3, delta=4) is None


def test_it_cannot_fire_before_epoch_22():
    trace = [10.0**k for k in range(12)]
    assert all(es_rule(trace[:k]) is None for k in range(12))
    assert es_rule(trace) == 10


@pytest.mark.parametrize(
    "trace",
    [
        [-1.0] * 8 + [-5.0] * 4,  # the ratio of two negative means is 1.3 and more
        [-1.0] * 8 + [9.0] * 4,
        [0.0] * 8 + [1.0] * 4,
        [1.0] * 11 + [math.nan],
        [1.0] * 5 + [math.nan] * 2 + [9.0] * 5,
        [1.0] * 11 + [math.inf],
    ],
)
def test_ratios_that_mean_nothing_stop_nothing(trace):
    assert es_rule(trace) is None


def test_early_stopping_returns_the_architecture_from_before(view):
    monitor, search = EarlyStopping(weight_decay=0.0), view(curvature=golden)
    for search.epoch in range(50):
        action = monitor(search)
        column = monitor.columns(search)["eigenvalue"]
        if search.epoch % 2:
            assert column is None
        else:
            assert column == pytest.approx(golden(search.epoch), rel=1e-9)
        if action != Continue():
            break
    assert action == Stop("native 10")
    assert search.epoch == 22
    assert search.measured == 12
    assert search.memory["EarlyStopping.eigenvalues"].tolist() == pytest.approx([golden(e) for e in range(0, 23, 2)])


def test_a_weight_decay_is_added_to_what_is_measured(view):
    monitor, search = EarlyStopping(), view(curvature=lambda epoch: 0.5)
    monitor(search)
    assert monitor.columns(search) == {"eigenvalue": pytest.approx(0.501)}


def test_the_hessian_is_averaged_over_batches(view):
    monitor, search = EarlyStopping(batches=3, weight_decay=0.0), view(curvature=lambda epoch: 0.5)
    monitor(search)
    assert monitor.columns(search) == {"eigenvalue": pytest.approx((0.5 + 1.5 + 2.5) / 3)}


def test_a_flat_search_runs_to_its_end_and_is_not_measured_there(view):
    monitor, search = EarlyStopping(), view(epochs=31)
    for search.epoch in range(31):
        assert monitor(search) == Continue()
    assert search.measured == 15  # epochs 0, 2 ... 28; epoch 30 is the last
    assert monitor.columns(search) == {"eigenvalue": None}


def test_what_is_not_finite_is_no_column(view):
    monitor, search = EarlyStopping(), view(curvature=lambda epoch: math.nan)
    assert monitor(search) == Continue()
    assert monitor.columns(search) == {"eigenvalue": None}


def test_adaptive_goes_back_twice_and_then_lets_go(view):
    """The engine's part is played here: a restart brings back epoch, memory and all."""
    monitor, search = Adaptive(weight_decay=0.0), view(curvature=golden)
    monitor.check(Softmax(), search.space, search.weight_decay)
    saved: dict[int, dict] = {}
    restarts, epoch = [], 0
    while epoch < search.epochs:
        search.epoch = epoch
        action = monitor(search)
        saved[epoch] = dict(search.memory)
        if isinstance(action, Restart):
            restarts.append((epoch, action.epoch, action.weight_decay))
            assert epoch - action.epoch <= monitor.lookback
            search.memory, search.weight_decay = dict(saved[action.epoch]), action.weight_decay
            epoch = action.epoch
        epoch += 1
    assert [(at, to) for at, to, _ in restarts] == [(22, 10), (22, 10)]
    assert [decay for *_, decay in restarts] == [pytest.approx(0.003), 0.03], "exactly the maximum at last"
    assert search.measured == 12 + 6, "epochs 0 to 22, then 12 to 22, then none"
    assert monitor.columns(search) == {"eigenvalue": None}


def test_adaptive_looks_back_as_far_as_the_rule():
    assert EarlyStopping().lookback == 0
    assert Adaptive().lookback == 12
    assert Adaptive(window=3, every=5, delta=2).lookback == 15


def test_misfits_are_refused(view):
    class Policy(Softmax):
        differentiable_mean = False

    space = view().space
    EarlyStopping().check(Softmax(), space, 0.0)
    with pytest.raises(RecipeError, match="the mean of Policy is not differentiable"):
        EarlyStopping().check(Policy(), space, 3e-4)
    with pytest.raises(RecipeError, match="which is 0"):
        Adaptive().check(Softmax(), space, 0.0)


@pytest.mark.parametrize(
    ("part", "settings", "words"),
    [
        (EarlyStopping, {"window": 0}, "window of EarlyStopping must be a whole number of at least 1, got 0"),
        (EarlyStopping, {"every": 1.5}, "every of EarlyStopping"),
        (EarlyStopping, {"delta": True}, "delta of EarlyStopping"),
        (Adaptive, {"start": -1}, "start of Adaptive"),
        (Adaptive, {"factor": 0.0}, "factor of Adaptive"),
        (Adaptive, {"weight_decay": -1.0}, "weight decay of Adaptive"),
        (Adaptive, {"multiply": 1.0}, "multiply of Adaptive must be greater than 1"),
        (Adaptive, {"most": 0.0}, "most of Adaptive"),
    ],
)
def test_settings_out_of_range_are_refused(part, settings, words):
    with pytest.raises(RecipeError, match=words):
        part(**settings)
