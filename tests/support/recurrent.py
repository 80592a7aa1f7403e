"""Small recurrent spaces, and the published numbers of the authors' code where they lie beside the project."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mixop.spaces import DartsRnn, Sizes

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "rnn.json"
needs_golden = pytest.mark.skipif(not GOLDEN.exists(), reason="needs rnn.json beside the project, in ../shared/golden")

DRY = {f"{name}_dropout": 0.0 for name in ("word", "embedding", "input", "state", "output")}


def golden() -> dict[str, Any]:
    return json.loads(GOLDEN.read_text())


def space(vocabulary: int = 7, window: int = 5, **changes: Any) -> DartsRnn:
    """A space without dropout and slowness, unless they are given, for a vocabulary."""
    sizes = Sizes((vocabulary, window), vocabulary, dense=True, tokens=True)
    return DartsRnn(**{"hidden": 4, "slowness": 0.0, **DRY, **changes}).fit(sizes)


def words(batch: int = 3, length: int = 5, vocabulary: int = 7) -> Tensor:
    return torch.randint(vocabulary, (batch, length), generator=torch.Generator().manual_seed(1))


def fill(net: nn.Module) -> None:
    """The weights that the golden numbers were computed with."""
    parameters = dict(net.named_parameters())

    def grid(*shape: int) -> list[Tensor]:
        return list(torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in shape), indexing="ij"))

    with torch.no_grad():
        embedding, first, nodes, bias = (
            parameters[f"layers.{name}"] for name in ("0.weight", "1.weight_input", "1.weight_nodes", "2.bias")
        )
        v, k = grid(*embedding.shape)
        embedding.copy_(0.3 * torch.cos(0.5 + 1.7 * v + 0.9 * k))
        i, j = grid(*first.shape)
        first.copy_(0.2 * torch.cos(0.3 + 0.7 * i + 1.1 * j))
        m, i, j = grid(*nodes.shape)
        nodes.copy_(0.2 * torch.cos(0.9 + 0.4 * m + 0.8 * i + 0.6 * j))
        bias.copy_(0.05 * torch.sin(grid(len(bias))[0]))


def golden_batch(shown: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Tokens and targets ``(B, T)`` of the golden numbers."""
    t, b = torch.arange(shown["T"])[None], torch.arange(shown["B"])[:, None]
    return (7 * t + 3 * b + t * b) % shown["V"], (5 * t + 2 * b + 1) % shown["V"]
