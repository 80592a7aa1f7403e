"""Vision transformers: patch, depth, heads and MLP ratio.

Source: Dosovitskiy et al. 2021 (arXiv:2010.11929), with the mean over the patches instead of a class token, as in Beyer et al.
2022 (arXiv:2205.01580).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mixop.core.errors import SpaceError
from mixop.models.base import Shape, check_kind, check_numbers, in_a_row, ready
from mixop.nets.modules.choice import Choice
from mixop.spaces.sizes import Sizes


class Patches(nn.Module):
    """Square patches of an image as tokens that know their position; what encodes the tokens is given to the pass.

    So a choice between patches gives results of one shape, however many tokens there are, and all share the blocks.
    """

    def __init__(self, shape: Shape, size: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(shape[0], width, size, size)
        self.position = nn.Parameter(torch.empty((shape[1] // size) * (shape[2] // size), width))
        nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, x: Tensor, encode: Callable[[Tensor], Tensor]) -> Tensor:
        return encode(self.embed(x).flatten(2).transpose(1, 2) + self.position)


class Attention(nn.Module):
    """Self-attention of some heads, written out: torch's fused one has no second derivative, which unrolled searches need."""

    def __init__(self, width: int, heads: int, size: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, size**-0.5
        self.read, self.write = nn.Linear(width, 3 * heads * size), nn.Linear(heads * size, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.read(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, heads, T, size)
        weights = (query @ key.transpose(-2, -1) * self.scale).softmax(-1)
        return self.write((weights @ value).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A block of a transformer: how many heads its attention has, and how wide its MLP is."""

    def __init__(self, width: int, heads: Sequence[int], ratios: Sequence[float]) -> None:
        super().__init__()
        size = width // max(heads)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.heads = Choice({str(count): Attention(width, count, size) for count in heads})
        self.mlp = Choice({str(hidden): mlp(width, hidden) for hidden in (max(1, round(width * ratio)) for ratio in ratios)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.heads(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def mlp(width: int, hidden: int) -> nn.Sequential:
    """What a block does to every token by itself."""
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class ViT(nn.Module):
    """Patches, blocks, and a linear map of the mean token."""

    def __init__(self, patches: nn.Module, blocks: nn.Module, width: int, outputs: int) -> None:
        super().__init__()
        self.patch, self.blocks = patches, blocks
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.patch(x, self.encode)

    def encode(self, tokens: Tensor) -> Tensor:
        """Outputs ``(B, K)`` of tokens ``(B, T, width)``."""
        return self.head(self.norm(self.blocks(tokens)).mean(1))


def net(
    input_shape: Shape,
    outputs: int,
    dense: bool = False,
    tokens: bool = False,
    *,
    width: int = 64,
    depth: int = 4,
    patches: tuple[int, ...] = (4, 2),
    heads: tuple[int, ...] = (4, 2, 1),
    ratios: tuple[float, ...] = (4, 2, 1),
) -> nn.Module:
    """A vision transformer for images whose sides the patches divide.

    Args:
        input_shape: ``(C, H, W)``.
        outputs: numbers for an image.
        dense: whether the data have an output at every pixel, which is refused.
        tokens: whether the data are tokens, which is refused.
        width: numbers of a token, >= 1; the largest number of heads must divide it.
        depth: how many blocks there are at most, >= 1; all but the first may be left out.
        patches: sides of a patch in pixels.
        heads: of the attention, each of ``width / max(heads)`` numbers; so fewer cost less.
        ratios: width of the MLP, as a multiple of ``width``, > 0.

    Raises:
        SpaceError: for other data than images, patches that do not divide them, or arguments out of range.

    Source: Dosovitskiy et al. 2021 (arXiv:2010.11929); the most heads and ratio 4 in all blocks are the plain transformer.
    """
    check_kind("vit", Sizes(input_shape, outputs, dense, tokens))
    check_numbers("vit", width=width, depth=depth, patches=patches, heads=heads, ratios=ratios)
    height, breadth = input_shape[1:]
    if any(height % size or breadth % size for size in patches):
        fits = [size for size in range(1, min(height, breadth) + 1) if height % size == breadth % size == 0]
        raise SpaceError(
            f"Patches of vit must divide images of {height}x{breadth} pixels, got {', '.join(map(str, patches))}: choose from "
            f"{', '.join(map(str, fits))}."
        )
    if width % max(heads):
        raise SpaceError(f"The largest number of heads of vit must divide its width, got {max(heads)} and {width}.")
    embed = Choice({f"{size}x{size}": Patches(input_shape, size, width) for size in patches})
    return ViT(embed, in_a_row([Block(width, heads, ratios) for _ in range(depth)]), width, outputs)


vit = ready("vit", net)
