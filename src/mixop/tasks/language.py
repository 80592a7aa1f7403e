"""The next token at every position of a text."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from torch import Tensor
from torch.nn.functional import cross_entropy

from mixop.core.errors import RecipeError
from mixop.core.measure import Measure
from mixop.tasks.base import Task
from mixop.tasks.labels import answers, check_labels, entropies, names, numbered, open_count
from mixop.tasks.sums import Sums, Term

LARGEST = 700.0
"""Mean loss in nats from which on the perplexity stays the same, about 1e304: beyond 709 a float is infinite."""


@dataclass(frozen=True)
class LanguageModel(Task):
    """The next token at every position: outputs ``(B, V, T)`` are logits, targets ``(B, T)`` token numbers 0..V-1 in int64.

    The loss is the cross-entropy in nats, its mean over all tokens. Measured: the perplexity, which ranks, the exponential of
    the mean loss (that of a loss of 700 nats where the loss is larger, so that it stays finite); and the loss.

    Args:
        vocabulary: the V >= 2 tokens as texts, or how many there are; empty to count those of the training targets.

    Raises:
        RecipeError: for fewer than two tokens, or a token that occurs twice.

    Example:
        >>> import torch
        >>> totals = LanguageModel(8).totals()
        >>> totals.add(torch.zeros(2, 8, 5), torch.arange(10).view(2, 5) % 8)  # every token as probable as any other
        >>> round(totals.value()["perplexity"], 6)
        8.0
    """

    name: ClassVar[str] = "language"
    gives: ClassVar[str] = "probabilities"

    dense: bool = field(default=True, init=False, repr=False, compare=False)
    vocabulary: tuple[str, ...] | int = ()

    def __post_init__(self) -> None:
        if not isinstance(self.vocabulary, int):
            object.__setattr__(self, "vocabulary", names(self.vocabulary, "tokens", least=2))
        elif isinstance(self.vocabulary, bool) or self.vocabulary < 2:
            raise RecipeError(f"A vocabulary holds at least 2 tokens, got {self.vocabulary}.")

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Perplexity and loss."""
        return Measure("perplexity", "lower"), Measure("loss", "lower", "nats a token")

    @property
    def outputs(self) -> int:
        """The number of tokens in the vocabulary."""
        return open_count(self._size, self.name, "vocabulary")

    @property
    def _size(self) -> int:
        return self.vocabulary if isinstance(self.vocabulary, int) else len(self.vocabulary)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats a token."""
        return cross_entropy(*_rows(outputs, targets))

    def totals(self, *, details: bool = False) -> "LanguageTotals":
        """Empty sums."""
        return LanguageTotals(self)

    def predict(self, outputs: Tensor) -> Tensor:
        """The most probable token at every position, ``(B, T)`` int64."""
        return answers(outputs)

    def readable(self, outputs: Tensor) -> Tensor:
        """Probabilities of the tokens at every position, ``(B, K, T)``."""
        return outputs.softmax(1)

    def stored(self, targets: Tensor, where: str = "the data") -> Tensor:
        """Token numbers of any integer type as int64."""
        return targets if targets.is_floating_point() or targets.is_complex() else targets.long()

    def check(self, targets: Tensor, where: str) -> None:
        """Refuses what is not a token number at every position; one long stream of them, ``(N,)``, will do."""
        rows = targets.unsqueeze(0) if targets.dim() == 1 else targets
        check_labels(rows, self._size, where, "token", positions=True)

    def complete(self, targets: Tensor) -> Self:
        """The task with the number of tokens, if it has none."""
        if self._size:
            return self
        self.check(targets, "training")
        return replace(self, vocabulary=len(numbered(targets)))


class LanguageTotals(Sums[LanguageModel]):
    """Losses and tokens."""

    def terms(self, outputs: Tensor, targets: Tensor) -> dict[str, Term]:
        """Of a batch."""
        return {"count": targets.numel(), "weight": targets.numel()}

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Of every token."""
        return entropies(*_rows(outputs, targets))

    def measured(self, sums: Mapping[str, Any]) -> dict[str, float]:
        """Perplexity."""
        loss = sums["loss"] / sums["weight"]
        return {"perplexity": loss if math.isnan(loss) else math.exp(min(loss, LARGEST))}


def _rows(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs ``(B, V, T)`` as ``(B T, V)`` where their tokens lie one behind the other, as those of a decoder do.

    Along the last axis a softmax needs neither a copy nor strides.
    """
    if outputs.dim() != 3 or not outputs.transpose(1, 2).is_contiguous():
        return outputs, targets
    return outputs.transpose(1, 2).flatten(0, 1), targets.flatten()
