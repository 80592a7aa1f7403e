"""Scores with shared weights: the three policies of batch norm, against what they say, and none leaves a trace."""

import pytest
import torch

from mixop.data import digits
from mixop.engine.score import CALIBRATION, EVALUATION_BATCH, one_path, score
from mixop.nets.ops import BatchNorm
from mixop.spaces import nasbench201
from mixop.supernet.plain import plain

SPACE = nasbench201(channels=2, cells=1, stages=1)


@pytest.fixture(scope="module")
def data():
    return digits(valid=0.5, seed=0)


@pytest.fixture
def fitted(data):
    space = SPACE.fit(data)
    net = plain(space, norm=BatchNorm(), generator=torch.Generator().manual_seed(0))
    mix = {"cell": torch.full((6, 5), 0.2)}
    for k in range(3):  # running statistics of the mixture
        net(data.batch(data.train[k * 64 : k * 64 + 64]).x, mix)
    return space, net, mix


def loss_of(net, data, indices, mix):
    x, y, _ = data.batch(indices)
    with torch.no_grad():
        return torch.nn.functional.cross_entropy(net(x, mix), y).item()


@pytest.mark.parametrize("norm", ["batch", "running", "recalibrated"])
def test_a_score_leaves_weights_and_statistics_alone(norm, fitted, data):
    _, net, mix = fitted
    kept = {name: value.clone() for name, value in net.state_dict().items()}
    momenta = [m.momentum for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    one, two = (score(net, data, mix, batch_size=EVALUATION_BATCH, norm=norm, batches=1) for _ in range(2))
    assert one == two
    assert all(torch.equal(value, kept[name]) for name, value in net.state_dict().items())
    assert momenta == [m.momentum for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_each_policy_normalises_with_what_it_says(fitted, data):
    _, net, mix = fitted
    first = data.valid[:EVALUATION_BATCH]
    net.eval()
    assert score(net, data, mix, batch_size=EVALUATION_BATCH, batches=1)["loss"] == pytest.approx(
        loss_of(net, data, first, mix)
    )
    found = {
        norm: score(net, data, mix, batch_size=EVALUATION_BATCH, batches=1, norm=norm)["loss"]
        for norm in ("batch", "recalibrated")
    }
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    net.train()
    for module in norms:
        module.reset_running_stats()
        module.momentum = None
    for at in data.train.split(EVALUATION_BATCH)[:CALIBRATION]:
        loss_of(net, data, at, mix)
    net.eval()
    assert found["recalibrated"] == pytest.approx(loss_of(net, data, first, mix), rel=1e-5)
    net.train()
    assert found["batch"] == pytest.approx(loss_of(net, data, first, mix))
    assert found["batch"] != found["recalibrated"]


def test_running_one_path_is_the_supernet_with_one_hot_weights(fitted, data):
    space, net, mix = fitted
    architecture = space.from_native("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|")
    weights, active = one_path(space, architecture, mix)
    assert weights["cell"].argmax(-1).tolist() == [option for (option,) in active["cell"]]
    assert weights["cell"].sum(-1).tolist() == [1.0] * 6
    for norm in ("batch", "running", "recalibrated"):
        whole = score(net, data, weights, batch_size=EVALUATION_BATCH, norm=norm)
        path = score(net, data, weights, active, batch_size=EVALUATION_BATCH, norm=norm)
        assert path["loss"] == pytest.approx(whole["loss"], rel=1e-5)
