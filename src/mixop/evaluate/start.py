"""Where the weights of a training begin: drawn again, or those that a search's supernet has learnt for the chosen path."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from mixop.core.errors import RecipeError, RunError
from mixop.core.names import from_file
from mixop.core.outside import as_json
from mixop.core.rng import draws_unseen, fenced
from mixop.data.core import Data
from mixop.engine.score import recalibrate
from mixop.engine.state import stage_space
from mixop.evaluate.trained import read_space
from mixop.nets.discrete import kept_edges
from mixop.nets.modules.space import ModuleSpace
from mixop.nets.modules.weights import sliced
from mixop.nets.training import carries
from mixop.recipe.parts import recipe_from_json
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory
from mixop.runs.files import ARCHITECTURE, RECIPE
from mixop.runs.identity import BOUND_TO, SEARCH_FILES
from mixop.runs.records import Start
from mixop.spaces.core import Architecture, Space
from mixop.spaces.describe import describe_space
from mixop.spaces.stacked import Stacked, stacked

_NORM_NAMES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class TrainedSupernet:
    """The weights that a search left.

    Args:
        start: what records say of it.
        base: the space that was searched, with its sizes.
        space: what was left of it in the search's last stage.
        tensors: of the supernet, by the names of the plain executor.
        mean: the mean mixing weights that the search ended with, ``(E, O)`` by group of the ``space``.
        stage: the search's last stage, from 0.
        params: the architecture parameters that the search ended with, by group, those of edges' weights among them.
    """

    start: Start
    base: Space
    space: Space
    tensors: Mapping[str, Tensor]
    mean: Mapping[str, Tensor]
    stage: int = 0
    params: Mapping[str, Tensor] = field(default_factory=dict)

    def check(self, space: Space, sized: Space) -> None:
        """Refuses networks that are not paths of the supernet.

        Args:
            space: that of the architectures.
            sized: with the sizes that the protocol's networks have.

        Raises:
            RecipeError: naming what differs.
        """
        if as_json(describe_space(space)) != as_json(describe_space(self.base)):
            raise RecipeError(
                f"A start from the supernet needs the space that was searched, {self.base.name} with its sizes, but got "
                "another one: give the search's own space, or begin from scratch."
            )
        if isinstance(self.space, Stacked) and self.space.rebuilt:
            raise RecipeError(
                f"The networks of {self.base.name} are built in another form than its supernet, so they have weights that it "
                "has not: begin from scratch."
            )
        if isinstance(sized, Stacked) and sized.layers != stacked(self.space).layers:
            raise RecipeError(
                f"The supernet has {_size(self.space)}, but the protocol's networks have {_size(sized)}: leave such "
                "sizes out of the protocol, or begin from scratch."
            )

    @torch.no_grad()
    def begin(self, net: nn.Module, architecture: Architecture) -> None:
        """Writes the supernet's weights of a path into the network of that path.

        What the network has besides stays as it is: an auxiliary head, and scales and shifts of batch norms that had none in
        the search. Statistics are to be measured again, see `settle_statistics`.

        Args:
            net: the network of the architecture.
            architecture: the path.

        Raises:
            RecipeError: if the supernet has no such path, or its operations have other shapes.
        """
        if isinstance(self.space, ModuleSpace):
            inside = {name.removeprefix("model."): value for name, value in self.tensors.items() if name.startswith("model.")}
            given = sliced(self.space, architecture, inside)
        else:
            given = _of_cells(stacked(self.space), architecture, self.tensors)
        norms = {
            f"{path}.{name}" if path else name
            for path, module in net.named_modules()
            if isinstance(module, _NormBase)
            for name in _NORM_NAMES
        }
        for name, value in net.state_dict().items():
            if name not in given:
                if name in norms or (name.startswith("auxiliary.") and not isinstance(self.space, ModuleSpace)):
                    continue
                raise RecipeError(f"The supernet has no weight for {name} of the network: begin from scratch.")
            if given[name].shape != value.shape:
                raise RecipeError(
                    f"The supernet's operations have other shapes than the network's ({name}: {_shape(given[name])}, then "
                    f"{_shape(value)}), as partial channels do: begin from scratch."
                )
            value.copy_(given[name])


def trained_supernet(run: RunDirectory) -> TrainedSupernet:
    """The supernet of a finished search.

    Raises:
        RunError: if the search is not finished, or its checkpoint is gone, torn or another run's.
    """
    run.require()
    if not run.has(RECIPE):
        raise RunError(f"{run.path} holds no search, whose supernet a training could begin from: name the directory of one.")
    if not run.has(ARCHITECTURE):
        raise RunError(f"The search of {run.path} is not finished: first `mixop resume {run.path}`.")
    with from_file(run / RECIPE):
        recipe = recipe_from_json(run.read_json(RECIPE))
    base = read_space(run)
    saved = checkpoint.load(run.state)
    run.check_binding(saved.get(BOUND_TO) if isinstance(saved, dict) else None, SEARCH_FILES, run.state.name)
    try:
        state = saved["search"]
        tensors, params, stage, kept = state["net"], state["params"], state["stage"], state["kept"]
    except (KeyError, TypeError) as error:
        raise RunError(f"Checkpoint {run.state} holds no supernet: search again into another --out.") from error
    space = stage_space(base, recipe, stage, kept)
    with torch.no_grad():
        host = {name: value.detach().cpu() for name, value in params.items()}
        mean = recipe.relaxation.mean_all(host, space.groups)
    return TrainedSupernet(Start(str(run.path.resolve()), _digest(tensors)), base, space, tensors, mean, stage, host)


def settle_statistics(net: nn.Module, data: Data, batch_size: int) -> None:
    """Measures the batch-norm statistics of a network again, on the first training batches, as a supernet's path is scored.

    Args:
        net: on the data's device; left in training mode.
        data: whose training part is read, without augmentation.
        batch_size: examples in a batch.
    """
    buffers = dict(net.named_buffers())
    run = (lambda batch: net(batch.x, ())) if carries(net) else (lambda batch: net(batch.x))
    with fenced(Generator().manual_seed(0), watch=draws_unseen(net)):
        recalibrate(net, buffers, data, batch_size, run)
    net.train()


def _of_cells(space: Stacked, architecture: Architecture, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a path by the names of the discrete network."""
    found = {name: value for name, value in tensors.items() if ".edges." not in name}
    for number, layer in enumerate(space.layers):
        if layer.kind != "cell":
            continue
        places = {(edge.group.name, edge.row): e for e, edge in enumerate(space.edges_of(layer))}
        for place, (edge, option) in enumerate(kept_edges(space, architecture, layer)):
            options = edge.decision.options
            if option not in options:
                raise RecipeError(
                    f"The search has pruned {option} from edge {edge.row} of {edge.group.name}, so the supernet has "
                    "no weights for it: choose another architecture, or begin from scratch."
                )
            # Wraps of the search lie around the operations.
            e = places[edge.group.name, edge.row]
            own = re.compile(rf"layers\.{number}\.edges\.{e}\.(?:inner\.)*options\.{options.index(option)}\.")
            for name, value in tensors.items():
                match = own.match(name)
                if match:
                    found[f"layers.{number}.operations.{place}.{name[match.end() :]}"] = value
    return found


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _size(space: Space) -> str:
    named = (f"{name} {getattr(space, name)}" for name in ("cells", "channels", "hidden") if hasattr(space, name))
    return " and ".join(named) or "other layers"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
