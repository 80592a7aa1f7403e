"""What a measurement of training steps counts and says, by independent answers."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mixop.core.errors import RecipeError
from mixop.engine.settings import Settings
from mixop.evaluate.protocol import PROTOCOLS
from mixop.measure.retraining import TrainingCase, TrainingResult, TrainingTiming, Work, measure_training, training_flops
from mixop.measure.turns import Roofline
from mixop.nets.discrete import build
from mixop.spaces import nasbench201

CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"


@pytest.fixture
def case():
    space = nasbench201(channels=4, cells=1, input_shape=(3, 8, 8), outputs=5)
    protocol = replace(PROTOCOLS["quick"], batch_size=4)
    return TrainingCase(architecture=space.from_native(CELL), space=space, protocol=protocol, settings=Settings())


def test_flops_of_dense_convolutions_are_torchs(case):
    net = build(case.architecture, case.space).train()
    with FlopCounterMode(display=False) as counter:
        net(torch.randn(4, 3, 8, 8)).sum().backward()
    assert training_flops(case) == counter.get_total_flops()


def test_shares_and_ratios():
    roof = Roofline(gemm=1.0, convolution=50.0, copy=1.0, threads=1)
    work = Work(augmentation=0.5, forward=1.0, backward=2.0, optimiser=0.25)
    slow = TrainingTiming(executor="plain", step=(4.0, 9.0, 5.0), work=[work])
    fast = TrainingTiming(executor="nodewise", step=(2.0, 3.0, 2.5), work=[work])
    result = TrainingResult(timings=[slow, fast], flops=100, roofline=roof)
    assert (result.limit, result.ratio(slow), result.ratio(fast)) == (2.0, 1.0, 2.0)
    shares = {"augmentation": 0.1, "forward": 0.2, "backward": 0.4, "optimiser": 0.05, "rest": 0.25}
    assert slow.shares() == pytest.approx(shares)
    assert fast.shares()["rest"] == 0.0  # parts that were slower than the steps
    assert result.to_json()["executors"]["nodewise"]["steps_a_second"] == 0.4


def test_executors_take_turns(case):
    told = []
    result = measure_training(case, repeats=1, observe=told.append)
    assert [t.executor for t in result.timings] == ["plain", "nodewise"]
    assert all(min(t.step) > 0 and len(t.step) == len(t.work) == 1 for t in result.timings)
    assert told[:2] == ["plain, warming up", "nodewise, warming up"]
    with pytest.raises(RecipeError, match="at least 1"):
        measure_training(case, repeats=0)
