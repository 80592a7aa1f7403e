"""Terms that a network adds to the loss of its training: who gathers them, and who does not."""

import threading

import pytest
import torch
from torch import nn

import mixop
from mixop.core.errors import SpaceError
from mixop.nets.added import added_losses, total_loss


class Balanced(nn.Module):
    """Adds the square of its one weight."""

    draws = False

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))

    def forward(self, x):
        mixop.add_loss(0.5 * self.weight.square())
        return self.weight * x


def test_terms_are_gathered_inside_and_forgotten_outside():
    net = Balanced()
    net(torch.ones(2))
    with added_losses() as terms:
        y = net(torch.ones(2))
        with added_losses() as inner:
            net(torch.ones(2))
        net(torch.ones(2))
    assert (len(terms), len(inner)) == (2, 1)
    loss = total_loss(y.sum(), terms)
    assert loss.item() == 2 * 3 + 2 * 4.5
    (grad,) = torch.autograd.grad(loss, net.weight)
    assert grad.item() == 2 + 2 * 3


def test_another_thread_has_terms_of_its_own():
    net, seen = Balanced(), []
    with added_losses() as terms:
        thread = threading.Thread(target=lambda: seen.append(net(torch.ones(1))))
        thread.start()
        thread.join()
    assert (terms, len(seen)) == ([], 1)


@pytest.mark.parametrize(("term", "got"), [(torch.ones(2), r"a tensor of shape \(2,\)"), (3.0, "float")])
def test_what_is_no_scalar_is_refused(term, got):
    with pytest.raises(SpaceError, match=f"takes a scalar tensor, got {got}: take its mean"):
        mixop.add_loss(term)
