"""A search by two processes equals the search by one, number by number, in float64."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from ranked import together

from mixop.bilevel.direct import SingleLevel
from mixop.bilevel.second_order import SecondOrder
from mixop.core.ranks import ALONE, Ranks
from mixop.data import digits
from mixop.data.core import Data
from mixop.data.toy import toy_set
from mixop.engine.fit import check_fit
from mixop.engine.loop import Search
from mixop.engine.settings import Settings
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES
from mixop.runs.directory import RunDirectory
from mixop.spaces import darts, nasbench201
from mixop.spaces.core import Space
from mixop.spaces.toy import Toy

CLOSE = 1e-10
"""Float64 has 16 digits; sums in another order lose the last ones, and some steps of a search add to that."""

SIX = ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_3x3")


def in_float64() -> None:
    """From now on this process makes networks and parameters in float64, and passes inputs in it."""
    torch.set_default_dtype(torch.float64)
    for name in ("batch", "augmented"):
        read = getattr(Data, name)

        def doubled(self: Data, *args: Any, read: Callable = read, **kwargs: Any) -> Any:
            batch = read(self, *args, **kwargs)
            return batch._replace(x=batch.x.double())

        setattr(Data, name, doubled)


def images() -> Data:
    whole = digits(valid=0.5, seed=0)
    return whole.with_indices(whole.train[:33], whole.valid[:33])  # 33 are two batches of 13 and one of 7


def place(name: str) -> tuple[Space, Data]:
    recipe = short(name)
    for space, data in (
        (nasbench201(channels=4, cells=1, stages=1), images()),
        (darts(cells=1, channels=8, operations=SIX), images()),
        (Toy(), None),
    ):
        data = data or toy_set(Toy(), n=66)
        try:
            check_fit(recipe, space.fit(data), data, Settings())
        except ValueError:
            continue
        return space, data
    raise AssertionError(name)


VARIANTS: Mapping[str, Callable[[Recipe], Recipe]] = {
    "exact": lambda recipe: replace(recipe, scheme=SecondOrder(method="exact")),
    "one_pass": lambda recipe: replace(recipe, scheme=SingleLevel(same_batch=True)),
}


def short(name: str) -> Recipe:
    method, _, variant = name.partition("+")
    recipe = RECIPES[method]()
    stages = tuple(replace(stage, cells=min(stage.cells, number)) for number, stage in enumerate(recipe.stages))
    epochs = max(2, 2 * len(stages))
    recipe = replace(recipe, epochs=epochs, batch_size=13, warmup=min(recipe.warmup, 1), stages=stages)
    return VARIANTS[variant](recipe) if variant else recipe


def searched(name: str, ranks: Ranks, folder: Path) -> tuple[dict[str, Any], list[Any]]:
    """The state at the end of a search, and its records without the seconds."""
    space, data = place(name)
    folder.mkdir(exist_ok=True)
    run = RunDirectory(folder, owned=ranks.leads)
    records: list[Any] = []
    with run.locked():
        job = Search(short(name), space.fit(data), data, run, Settings(seed=3), records.append, ranks)
        job.run()
    kept = [{key: value for key, value in record.items() if key != "seconds"} for record in records]
    return job.state.state_dict(), kept


def compare(ranks: Ranks, names: list[str], folder: str) -> dict[str, float]:
    """For each recipe the largest difference between the search of one process and that of all."""
    in_float64()
    differences = {}
    for name in names:
        one = searched(name, ALONE, Path(folder, f"{name}-alone-{ranks.rank}"))
        all_of_them = searched(name, ranks, Path(folder, f"{name}-together"))
        differences[name] = difference(one, all_of_them)
    return differences


def difference(a: Any, b: Any) -> float:
    """The largest difference of two numbers at the same place; infinite where anything else differs."""
    if isinstance(a, Mapping):
        return (
            max((difference(a[key], b[key]) for key in a if key != "seconds"), default=0.0)
            if a.keys() == b.keys()
            else float("inf")
        )
    if isinstance(a, list | tuple):
        return max(map(difference, a, b), default=0.0) if len(a) == len(b) else float("inf")
    if isinstance(a, torch.Tensor):
        return difference(a.flatten().tolist(), b.flatten().tolist())
    if isinstance(a, float):
        return 0.0 if a == b else abs(a - b)
    return 0.0 if a == b else float("inf")


if __name__ == "__main__":
    import sys
    import time

    t = time.time()
    with tempfile.TemporaryDirectory() as folder:
        print(together(2, Path(folder), compare, sys.argv[1:], folder), time.time() - t)
