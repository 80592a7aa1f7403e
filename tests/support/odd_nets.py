"""Models of all kinds with choices in them: what users have, each small."""

from typing import Any

import torch
from own_nets import conv
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.utils import parametrizations

from mixop.nets.modules.choice import Choice, InputChoice


def pair(width: int = 4) -> Choice:
    return Choice(
        {"wide": nn.Sequential(nn.Linear(width, 8), nn.ReLU(), nn.Linear(8, width)), "plain": nn.Linear(width, width)}
    )


class Buffers(nn.Module):
    """Buffers that are no statistics: a table of positions, a mask of whole numbers, one that is not saved."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("positions", torch.arange(4.0))
        self.register_buffer("order", torch.tensor([3, 1, 0, 2]))
        self.register_buffer("scale", torch.tensor(0.5), persistent=False)
        self.norm = nn.BatchNorm1d(4)
        self.pick = pair()

    def forward(self, x: Tensor) -> Tensor:
        return self.pick(self.norm(x + self.positions)[:, self.order] * self.scale)


class Tied(nn.Module):
    """One weight in two places, one of them inside of an option."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Linear(4, 4)
        same = nn.Linear(4, 4)
        same.weight = self.into.weight
        self.pick = Choice({"tied": same, "free": nn.Linear(4, 4)})

    def forward(self, x: Tensor) -> Tensor:
        return self.pick(linear(self.into(x).relu(), self.into.weight))


class Twice(nn.Module):
    """One module at two places, a choice that is called twice, and one shared by name."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.again = pair()
        self.left = Choice([nn.Linear(4, 4), nn.Identity()], share="side")
        self.right = Choice([nn.Linear(4, 4), nn.Identity()], share="side")

    def forward(self, x: Tensor) -> Tensor:
        return self.left(self.first(x)) + self.right(self.again(self.first(x)))


class Containers(nn.Module):
    """Choices in lists, dictionaries and sequences, and in a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.ModuleList(pair() for _ in range(2))
        self.named = nn.ModuleDict({"a": pair(), "b": nn.Linear(4, 4)})
        self.chain = nn.Sequential(pair(), nn.Tanh())
        self.loop = pair()

    def forward(self, x: Tensor) -> Tensor:
        for row in self.rows:
            x = x + row(x)
        for module in self.named.values():
            x = module(x)
        for _ in range(3):
            x = self.loop(x)
        return self.chain(x)


class Several(nn.Module):
    """Two inputs, by place or by name; a mapping of outputs, one of them a tuple; options that give tuples."""

    class Two(nn.Module):
        def __init__(self, bias: bool) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4, bias=bias), nn.Linear(4, 2)

        def forward(self, x: Tensor, *, gain: float) -> tuple[Tensor, dict[str, Tensor]]:
            return self.a(x) * gain, {"b": self.b(x)}

    def __init__(self) -> None:
        super().__init__()
        self.pick = Choice({"with": self.Two(True), "without": self.Two(False)})
        self.join = InputChoice(["left", "right"])

    def forward(self, left: Tensor, right: Tensor) -> dict[str, Any]:
        one, rest = self.pick(left, gain=2.0)
        return {"main": self.join(one, right), "rest": (rest["b"], left)}


class Dropping(nn.Module):
    """Draws of its own: dropout and noise."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.drop, self.pick, self.head = nn.Dropout(0.5), pair(), nn.Linear(4, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.pick(x.flatten(1)[:, :4]))
        return self.head(x + 0.1 * torch.randn_like(x) if self.training else x)


class Parametrized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pick = Choice({"normed": parametrizations.weight_norm(nn.Linear(4, 4)), "free": nn.Linear(4, 4)})
        self.outer = parametrizations.spectral_norm(nn.Linear(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(self.pick(x))


class Frozen(nn.Module):
    """A backbone that does not learn, batch norm and all."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.body.requires_grad_(False)
        self.pick = Choice({"k1": conv(4, 1), "k3": conv(4, 3)})
        self.head = nn.Linear(4, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pick(self.body(x)).mean((2, 3)))


class Words(nn.Module):
    """A language model that carries its state from window to window: ``net(x, state)`` gives outputs and state."""

    carries = True

    def __init__(self, outputs: int = 6, width: int = 4) -> None:
        super().__init__()
        self.embed = nn.Embedding(outputs, width)
        self.cell = nn.GRUCell(width, width)
        self.pick = pair(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor, state: tuple[Tensor, ...] = ()) -> tuple[Tensor, tuple[Tensor, ...]]:
        hidden = state[0] if state else x.new_zeros((x.shape[0], self.cell.hidden_size), dtype=self.head.weight.dtype)
        steps = []
        for column in self.embed(x).unbind(1):
            hidden = self.cell(column, hidden)
            steps.append(self.head(self.pick(hidden)))
        return torch.stack(steps, 2), (hidden,)


class Both(nn.Module):
    """Two heads, for a task of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.pick = pair()
        self.classes, self.value = nn.Linear(4, 3), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.pick(x.flatten(1)[:, :4])
        return {"classes": self.classes(x), "value": self.value(x)}


class Lazy(nn.Module):
    """Layers that get their weights from the first inputs."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.pick = Choice({"with": nn.LazyLinear(outputs), "without": nn.LazyLinear(outputs, bias=False)})

    def forward(self, x: Tensor) -> Tensor:
        return self.pick(x.flatten(1))


def itself() -> nn.Module:
    """A model that is a choice."""
    return Choice({"a": nn.Linear(4, 2), "b": nn.Sequential(nn.Linear(4, 2), Choice([nn.Identity(), nn.Tanh()]))})


def lent(seed: int = 0) -> nn.Module:
    """A model with weights from elsewhere: the same for every generator."""
    model = nn.Sequential(nn.Linear(4, 4), pair())
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter) * (number + seed))
    return model


def cross_and_square(outputs: dict[str, Tensor], targets: Tensor) -> Tensor:
    """The loss of `Both`, one number for each example."""
    cross = torch.nn.functional.cross_entropy(outputs["classes"], targets.long(), reduction="none")
    return cross + (outputs["value"][:, 0] - targets).square()
