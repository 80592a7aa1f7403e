"""Embedding, tied decoder and dropout of recurrent language models, against what their names say."""

import math

import pytest
import torch
from recurrent import space, words
from torch.nn.functional import cross_entropy

from mixop.core.rng import fenced
from mixop.nets.added import added_losses
from mixop.nets.costs import measured
from mixop.nets.discrete import build
from mixop.nets.recurrent import dropout_mask, locked_dropout
from mixop.nets.training import training_outputs
from mixop.spaces import DartsRnn
from mixop.spaces.published import DARTS_RNN_V2, ENAS_RNN


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def network(**changes):
    return build(DARTS_RNN_V2, space(**changes), generator=seeded()).double()


def test_published_sizes():
    with torch.device("meta"):
        for hidden, parameters in ((850, 22_960_000), (300, 4_810_000)):
            whole = DartsRnn(hidden=hidden, input_shape=(10_000, 35), outputs=10_000, dense=True, tokens=True)
            assert sum(p.numel() for p in build(DARTS_RNN_V2, whole).parameters()) == parameters


def test_initial_weights_are_uniform_and_the_bias_is_zero():
    net = build(DARTS_RNN_V2, space(50, hidden=40), generator=seeded())
    for name, parameter in net.named_parameters():
        if name == "layers.2.bias":
            assert not parameter.any()
        else:
            assert parameter.abs().max() <= 0.04
            # Standard deviation 0.04 / sqrt(3), of at least 2,000 numbers: 4 standard errors are 6 %.
            assert parameter.std().item() == pytest.approx(0.04 / math.sqrt(3), rel=0.06)


def test_the_decoder_reads_the_weight_of_the_embedding():
    net = network()
    net.eval()
    y, state = net.layers[1]([net.layers[0](words())], 0.0)
    expected = torch.einsum("bct,vc->bvt", y, net.layers[0].weight) + net.layers[2].bias[:, None]
    torch.testing.assert_close(net(words()), expected)
    torch.testing.assert_close(state, y[:, :, -1])
    assert [name for name, _ in net.named_parameters()].count("layers.0.weight") == 1
    assert "layers.2.weight" not in net.state_dict(), "one tensor is saved once"


def test_masks_are_zero_or_scaled_and_drawn_from_the_fence():
    with fenced(seeded(3)):
        mask = dropout_mask((200, 300), 0.25, torch.zeros((), dtype=torch.float64))
    with fenced(seeded(3)):
        assert torch.equal(mask, dropout_mask((200, 300), 0.25, mask))
    assert set(mask.unique().tolist()) == {0.0, 1 / 0.75}
    # A share of 60,000 draws: 5 standard errors.
    assert (mask == 0).double().mean().item() == pytest.approx(0.25, abs=5 * math.sqrt(0.25 * 0.75 / 60_000))


def test_locked_dropout_drops_the_same_numbers_at_every_token():
    x = torch.ones(4, 50, 6)
    with fenced(seeded()):
        y = locked_dropout(x, 0.5, training=True)
    torch.testing.assert_close(y, y[:, :, :1].expand_as(y))
    assert not torch.equal(y[0], y[1])
    assert torch.equal(locked_dropout(x, 0.5, training=False), x)


def test_a_dropped_word_is_zero_at_all_its_places():
    net = build(DARTS_RNN_V2, space(word_dropout=0.5), generator=seeded())
    x = words(8, 20)
    with fenced(seeded(1)):
        y = net.layers[0](x).transpose(1, 2)
    plain = net.layers[0].weight[x]
    scales = {int(word): (y[x == word] / plain[x == word]).unique().round(decimals=4).tolist() for word in x.unique()}
    assert {len(values) for values in scales.values()} == {1}
    assert {value for (value,) in scales.values()} == {0.0, 2.0}


def test_the_loss_of_training_has_slowness_and_activation_and_that_of_scoring_has_not():
    net = network(slowness=0.5, activation=0.25, output_dropout=0.4)
    x = words()

    def terms(mode):
        with fenced(seeded()), added_losses() as found:
            training_outputs(net.train(mode), x, ())
        return found

    assert terms(False) == []
    slowness, activation = terms(True)
    y, _ = net.layers[1]([net.layers[0](x)], 0.0)
    torch.testing.assert_close(slowness, 0.5 * (y[:, :, 1:] - y[:, :, :-1]).square().mean())
    with fenced(seeded()):
        torch.testing.assert_close(activation, 0.25 * locked_dropout(y, 0.4, training=True).square().mean())
    with added_losses() as found:
        training_outputs(net, x[:, :1], ())
    assert len(found) == 1, "one token has no change of state"


def test_a_network_reads_a_text_in_windows():
    net = network().eval()
    whole, (last,) = net(words(), ())
    first, state = net(words()[:, :2], ())
    second, (end,) = net(words()[:, 2:], state)
    torch.testing.assert_close(torch.cat([first, second], -1), whole)
    torch.testing.assert_close(end, last)
    torch.testing.assert_close(net(words()), whole)


def test_gradients_reach_all_weights_in_every_published_cell():
    from mixop.spaces import EnasRnnCell, Sizes

    enas = EnasRnnCell(hidden=4).fit(Sizes((7, 5), 7, dense=True, tokens=True))
    for net in (network(), build(ENAS_RNN, enas, generator=seeded()).double()):
        outputs, (state,) = net.train()(words(), (torch.ones(3, 4, dtype=torch.float64),))
        (cross_entropy(outputs, words(length=5)) + state.sum()).backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_every_network_of_the_space_costs_the_same():
    whole = space(9, 5, hidden=3)
    costs = measured(whole, "parameters")
    assert costs.fixed == 9 * 3 + 6 * 6 + 8 * 3 * 6 + 9
    assert not costs.decides
    # Of one window of 5 tokens: the input's and the state's part of the first product, eight nodes, the decoder.
    assert measured(whole, "flops").fixed == 5 * (3 * 6 + 3 * 6 + 8 * 3 * 6 + 3 * 9)
