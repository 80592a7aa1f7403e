"""A pass over a batch that several processes divide among them."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_map_only

from mixop.core.ranks import Ranks
from mixop.core.share import Share, sharing
from mixop.supernet.synchronised import SynchronisedNorms


def divided(ranks: Ranks, x: Tensor, run: Callable[..., Any], *carried: Any) -> tuple[Any, Share]:
    """Outputs of a whole batch, of which each process passes its share through a network.

    Batch norms take the statistics of the whole batch, and what is drawn for an example is what it has in the whole batch.

    Args:
        ranks: the processes, which all do the same now.
        x: inputs of the whole batch, which is one that the processes `Ranks.divide`.
        run: passes examples through the network, and what they carry; replicated tensors that it reads have `entered`.
        carried: what the examples carry, for ``run``: tensors whose first axis is the examples, also in tuples.

    Returns:
        The outputs, in every process, and its share.
    """
    share = ranks.share(len(x))
    with sharing(share), SynchronisedNorms(ranks, share):
        outputs = run(x[share.rows], *tree_map_only(Tensor, lambda each: each[share.rows], carried))
    return ranks.whole(outputs, share), share
