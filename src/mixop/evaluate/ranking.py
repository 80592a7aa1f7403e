"""How the shared weights of a search rank architectures, beside what these reach when each is trained alone.

Where the two orders disagree, the field speaks of rank disorder. A search may find a good architecture all the same: it needs
the best ones to be near the top, not an order of all.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Generator

from mixop.analysis.ranking import kendall_tau, spearman_rho
from mixop.core.door import door
from mixop.core.errors import DataError, RecipeError, RunError, SpaceError
from mixop.core.measure import Measure, Number
from mixop.core.names import from_file
from mixop.data.core import Data
from mixop.derive.base import Norm, check_norm
from mixop.engine.score import one_path, score
from mixop.engine.settings import Settings
from mixop.engine.state import stage_net
from mixop.evaluate.start import trained_supernet
from mixop.evaluate.trained import check_data
from mixop.recipe.parts import recipe_from_json
from mixop.runs.directory import RunDirectory
from mixop.runs.files import RECIPE, SETTINGS
from mixop.spaces.core import Architecture
from mixop.spaces.draws import distinct
from mixop.tables.table import Table


@dataclass(frozen=True)
class Ranked:
    """An architecture with both of its scores, each in the unit of its measure, shares in [0, 1].

    Args:
        architecture: in its native notation.
        shared: with the shared weights, on the validation part; None where that is no number.
        trained: of its own training, the mean over the runs of the table.
    """

    architecture: str
    shared: Number
    trained: float


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """How shared weights rank architectures, beside a table of trained ones.

    Args:
        recipe: the method of the search.
        data: the set that it searched on.
        supernet_sha256: checksum of its weights.
        measure: of the scores with shared weights.
        norm: what batch norm used.
        examples: validation examples that each architecture was scored on.
        held_out: whether the weights were not trained on these.
        table: name of the table.
        table_sha256: its checksum.
        dataset: the data set of the table.
        split: of the table's values, "valid" or "test".
        epochs: length of the table's training.
        table_measure: of its values.
        seed: of the draw of architectures.
        of: how many the supernet has.
        missing: how many were drawn but not measured in the table.
        tau: Kendall's tau-b of both orders, 1 where they agree; None where all scores of one kind are equal.
        rho: Spearman's rho.
        best_shared: place in ``architectures``, from 0, of the best by shared weights; of equals the first.
        best_trained: of the best by the table.
        architectures: all that were ranked, as drawn.
    """

    recipe: str
    data: str
    supernet_sha256: str
    measure: Measure
    norm: str
    examples: int
    held_out: bool
    table: str
    table_sha256: str
    dataset: str
    split: str
    epochs: int
    table_measure: Measure
    seed: int
    of: int
    missing: int
    tau: float | None
    rho: float | None
    best_shared: int
    best_trained: int
    architectures: tuple[Ranked, ...]

    def place(self, index: int) -> int:
        """The place of an architecture among all by the table, from 1; equals share the better one."""
        own = self.table_measure.rank(self.architectures[index].trained)
        return 1 + sum(self.table_measure.rank(other.trained) > own for other in self.architectures)


@door(RunError)
def rank(
    run: str | RunDirectory,
    data: Data,
    table: Table,
    *,
    dataset: str,
    split: Literal["valid", "test"] = "valid",
    epochs: int | None = None,
    architectures: int | None = None,
    seed: int = 0,
    batches: int | None = None,
    norm: Norm = "batch",
    device: str = "cpu",
    observe: Callable[[int, int], None] | None = None,
) -> Ranking:
    """Scores architectures with the shared weights of a finished search, and compares their order with that of a table.

    An architecture is scored as one path of the supernet on the validation part, in order and without augmentation, in batches
    of the recipe's size.

    Args:
        run: the directory of the search.
        data: what it searched on.
        table: trained architectures of the space that was searched.
        dataset: the data set of the table.
        split: "valid", or "test": nothing is chosen by it.
        epochs: length of the table's training; needed where there are several.
        architectures: how many to draw, uniformly, distinct, of those that the supernet has; None for 100, or all if there are
            fewer.
        seed: of that draw, >= 0.
        batches: score on the first of these batches only; None for the whole validation part.
        norm: what batch norm uses, see `mixop.derive.base.Norm`; others than ``batch`` need a supernet that keeps statistics.
        device: where torch computes.
        observe: called with how many are scored, and how many there are.

    Raises:
        RunError: if the search is not finished, its checkpoint is gone or torn, or these are not its data.
        RecipeError: for a number or a policy that it cannot follow, or a table of another space.
        DataError: if the table has no such values, or fewer than two of the architectures.

    Source: Khodak & Li 2020, "In defense of weight-sharing for neural architecture search: an optimization perspective" (ML@CMU
    blog), on rank disorder.
    """
    run = run if isinstance(run, RunDirectory) else RunDirectory(run)
    supernet = trained_supernet(run)
    check_data(run, data)
    with from_file(run / RECIPE):
        recipe = recipe_from_json(run.read_json(RECIPE))
    check_norm("The ranking", norm, recipe.norm)
    if batches is not None and batches < 1:
        raise RecipeError(f"A ranking needs at least one batch, got {batches}.")
    if not table.space.includes(supernet.base):
        raise RecipeError(
            f"The table {table.name} is of {table.space.name} ({table.space.size():,} architectures), but {supernet.base.name} "
            f"with {supernet.base.size():,} was searched: give a table of that space."
        )
    where: dict[str, Any] = {"dataset": dataset, "split": split, "epochs": epochs, "reveal_test": split == "test"}
    values, measure = table.column(**where), table.measure()
    drawn = distinct(supernet.space, architectures, seed)
    rows = {path: _row(table, supernet.base.from_native(supernet.space.to_native(path))) for path in drawn}
    known = [(path, row) for path, row in rows.items() if row is not None and not math.isnan(values[row])]
    if len(known) < 2:
        raise DataError(f"Of {len(drawn)} architectures the table {table.name} has {len(known)}, but an order needs two.")

    settings = Settings(device=device, executor="plain" if run.read_json(SETTINGS).get("executor") == "plain" else "nodewise")
    net = stage_net(supernet.space, recipe, supernet.stage, Generator(), settings)
    net.load_state_dict(supernet.tensors)
    data, like, found = data.to(device), {group.name: torch.zeros(group.shape, device=device) for group in net.groups}, []
    for number, (path, row) in enumerate(known, 1):
        mix, active = one_path(supernet.space, path, like)
        scored = score(net, data, mix, active, batch_size=recipe.batch_size, batches=batches, norm=norm)
        shared = scored[data.task.first.name]
        finite = shared is not None and math.isfinite(shared)
        found.append(Ranked(table.native(row), shared if finite else None, float(values[row]) / measure.scale))
        if observe is not None:
            observe(number, len(known))
    shared, trained = ([data.task.first.rank(one.shared) for one in found], [measure.rank(one.trained) for one in found])
    count = len(data.valid)
    return Ranking(
        recipe=recipe.name,
        data=data.name,
        supernet_sha256=supernet.start.weights_sha256,
        measure=data.task.first,
        norm=norm,
        examples=count if batches is None else min(count, batches * recipe.batch_size),
        held_out=not recipe.scheme.shares_data,
        table=table.name,
        table_sha256=table.header.sha256,
        dataset=dataset,
        split=split,
        epochs=table.lengths(dataset, split)[-1] if epochs is None else epochs,
        table_measure=measure,
        seed=seed,
        of=supernet.space.size(),
        missing=len(drawn) - len(known),
        tau=kendall_tau(shared, trained),
        rho=spearman_rho(shared, trained),
        best_shared=shared.index(max(shared)),
        best_trained=trained.index(max(trained)),
        architectures=tuple(found),
    )


def _row(table: Table, architecture: Architecture) -> int | None:
    try:
        return table.index(architecture)
    except SpaceError:  # not every table is whole
        return None
