"""The stand-alone networks of NAS-Bench-201: published sizes, and a forward pass computed by the benchmark authors' code."""

import pytest
import torch

from mixop.core.errors import SpaceError
from mixop.nets.discrete import build
from mixop.nets.ops import BatchNorm
from mixop.spaces import nasbench201

NONE = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
CONVOLUTIONS = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
S = "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|nor_conv_3x3~2|"


@pytest.mark.parametrize(
    ("architecture", "classes", "published"),
    [
        (NONE, 10, 73_306),
        (NONE, 100, 79_156),
        (NONE, 120, 80_456),
        (CONVOLUTIONS, 10, 1_531_546),
        (CONVOLUTIONS, 100, 1_537_396),
        (CONVOLUTIONS, 120, 1_538_696),
        (0, 10, 129_306),
        (0, 100, 135_156),
        (0, 120, 136_456),
        (11, 10, 802_426),
        (284, 10, 101_306),
    ],
)
def test_parameter_counts_are_the_published_ones(architecture, classes, published):
    space = nasbench201(channels=16, cells=5, input_shape=(3, 32, 32), outputs=classes)
    net = build(space.from_index(architecture) if isinstance(architecture, int) else architecture, space)
    assert sum(p.numel() for p in net.parameters()) == published


def test_the_forward_pass_is_the_one_of_the_benchmark_authors_code(golden_fill, golden_images):
    space = nasbench201(channels=4, cells=1, input_shape=(3, 16, 16), outputs=10)
    net = build(S, space).double().train()
    golden_fill(net)
    logits = net(golden_images(16))
    assert sum(p.numel() for p in net.parameters()) == 11_446
    published = torch.tensor([[0.16523132, 0.25315009, 0.10832383], [0.26904185, 0.12891270, -0.12973819]], dtype=torch.float64)
    torch.testing.assert_close(logits[[0, 3], :3], published, atol=5e-9, rtol=0)  # printed to 8 digits


def test_nothing_of_the_image_passes_through_cells_of_none():
    space = nasbench201(channels=4, cells=1, input_shape=(3, 8, 8), outputs=5)
    net = build(NONE, space).eval()
    one, other = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).split(1)
    torch.testing.assert_close(net(one), net(other))  # nothing of the image comes through, all that is left is the head


def test_the_generator_decides_the_weights_and_the_global_one_is_left_alone():
    space = nasbench201(channels=4, cells=1, input_shape=(3, 8, 8), outputs=5)
    before = torch.get_rng_state()
    one, same, other = (build(S, space, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.layers[0][0].weight, other.layers[0][0].weight)


def test_batch_norm_of_operations_may_have_no_scale_but_the_fixed_layers_keep_theirs():
    space = nasbench201(channels=4, cells=1, input_shape=(3, 8, 8), outputs=5)
    affine, plain = (build(S, space, norm=BatchNorm(affine=affine)) for affine in (True, False))
    counts = [sum(p.numel() for p in net.parameters()) for net in (affine, plain)]
    # S has three convolutions; each of the three stages (4, 8, 16 channels) has one cell with a scale and a shift for each.
    assert counts[0] - counts[1] == 3 * 2 * (4 + 8 + 16)


def test_an_architecture_of_another_space_is_refused():
    space = nasbench201(channels=4, cells=1, input_shape=(3, 8, 8), outputs=5)
    with pytest.raises(SpaceError, match="nasbench201"):
        build("nor_conv_3x3", space)
