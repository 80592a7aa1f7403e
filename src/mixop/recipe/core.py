"""A recipe: one frozen value that names every choice of a method."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from mixop.bilevel.base import Scheme
from mixop.bilevel.direct import FirstOrder
from mixop.bilevel.perturb import Perturbation
from mixop.bilevel.weight_step import SingleDraw, WeightStep
from mixop.core.errors import RecipeError, SpaceError
from mixop.core.optim import SGD, Adam, Optimiser
from mixop.core.schedules import Constant, Schedule, check_range, schedule
from mixop.data.windows import Windows
from mixop.derive.argmax import Argmax
from mixop.derive.base import Derivation, check_norm
from mixop.monitors.base import Monitor
from mixop.nets.ops import BatchNorm
from mixop.recipe.stage import Stage, check_stages
from mixop.regularise.base import Regulariser
from mixop.relax.base import Relaxation
from mixop.relax.softmax import Softmax
from mixop.spaces.core import Space
from mixop.wraps.base import Wrap, check_wraps


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every choice of a search method; a variant is a `dataclasses.replace`.

    Args:
        name: what reports call it.
        relaxation: from architecture parameters to mixing weights.
        scheme: how the architecture's gradient is computed, and on which data.
        regularisers: terms added to the architecture's loss.
        weight_step: the loss of a weight step: of one draw, or of several.
        weight_relaxation: from the same parameters to the mixing weights of weight steps; None for ``relaxation``.
        perturbation: of the mixing weights in weight steps; None for none.
        weight_optimiser: of the supernet's weights.
        architecture_optimiser: of the architecture parameters.
        derivation: from mean mixing weights to the architecture.
        epochs: passes over the training split, >= 1.
        batch_size: examples in a batch, of either split, >= 2.
        clip: largest global norm of the weight gradient; 0 switches clipping off.
        architecture_clip: largest global norm of the architecture gradient; 0 switches clipping off.
        warmup: epochs at the start, and at the start of every further stage, in which only the weights are trained, >= 0. The
            time of relaxations, regularisers, perturbations, wraps and of the architecture's rate stands still in it.
        architecture_every: weight steps for each architecture step, >= 1; an epoch of fewer steps has one.
        architecture_augment: whether the batches of architecture steps are augmented as those of weight steps are.
        order: which of the two steps comes first. An architecture step then begins, or ends, its run of weight steps.
        idle_weights: what a step does to the weights of options that did not run in it: they ``decay`` and keep their momentum,
            as with a gradient of zero, or ``rest``, as if they were not there.
        norm: batch norm in the supernet.
        keep: whether the architecture of the last epoch is returned, or that of the epoch with the best validation accuracy.
        validates: what is measured after every epoch: the supernet under its ``mean`` mixing weights, the ``derived``
            architecture alone, with the supernet's weights, or what the relaxation has ``drawn``, once for every epoch.
        monitors: what watches the search, and may stop it or send it back.
        wraps: how the supernet's edges compute, the first one nearest to the operations.
        stages: stretches of the search with their own options, depth and wraps; empty for a single one.
        cutout: side of the square that is erased from training images during the search, as a share of the image's side, in
            [0, 1); 0 as the data has it. Half a side is 16 pixels of CIFAR's 32.
        cutout_probability: share of the images that it is erased from.
        windows: how a text is cut for weight steps; None for the data's own way, and for data that are no text.

    Raises:
        RecipeError: if a number is out of range or two parts do not fit.
    """

    asked: ClassVar[str] = "a recipe such as mixop.recipes.darts()"

    name: str
    relaxation: Relaxation = Softmax()
    scheme: Scheme = FirstOrder()
    regularisers: tuple[Regulariser, ...] = ()
    weight_step: WeightStep = SingleDraw()
    weight_relaxation: Relaxation | None = None
    perturbation: Perturbation | None = None
    weight_optimiser: Optimiser = SGD()
    architecture_optimiser: Optimiser = Adam()
    derivation: Derivation = Argmax()
    epochs: int = 50
    batch_size: int = 64
    clip: float = 5.0
    architecture_clip: float = 0.0
    warmup: int = 0
    architecture_every: int = 1
    architecture_augment: bool = True
    order: Literal["architecture_first", "weights_first"] = "architecture_first"
    idle_weights: Literal["decay", "rest"] = "decay"
    norm: BatchNorm = BatchNorm(affine=False, track=False)
    keep: Literal["last", "best"] = "last"
    validates: Literal["mean", "derived", "drawn"] = "mean"
    monitors: tuple[Monitor, ...] = ()
    wraps: tuple[Wrap, ...] = ()
    stages: tuple[Stage, ...] = ()
    cutout: float = 0.0
    cutout_probability: Schedule = Constant(1.0)
    windows: Windows | None = None

    def __post_init__(self) -> None:
        _whole("epochs", self.epochs, 1)
        _whole("batch size", self.batch_size, 2)
        _whole("warmup", self.warmup, 0)
        _whole("architecture every", self.architecture_every, 1)
        check_range("clip", self.clip, at_least=0)
        check_range("architecture clip", self.architecture_clip, at_least=0)
        check_range("cutout", self.cutout, at_least=0)
        if not self.cutout < 1:
            raise RecipeError(f"cutout must be less than 1, the whole image, got {self.cutout:g}.")
        check_range("cutout probability", self.cutout_probability, at_least=0, at_most=1)
        object.__setattr__(self, "cutout_probability", schedule(self.cutout_probability))
        if self.warmup >= self.epochs:
            raise RecipeError(
                f"A warm-up of {self.warmup} epochs leaves none of {self.epochs} for the architecture: "
                f"use epochs of at least {self.warmup + 1}, or a shorter warm-up."
            )
        choices_of = {
            "order": ("architecture_first", "weights_first"),
            "keep": ("last", "best"),
            "validates": ("mean", "derived", "drawn"),
            "idle_weights": ("decay", "rest"),
        }
        for name, choices in choices_of.items():
            if getattr(self, name) not in choices:
                *others, last = map(repr, choices)
                raise RecipeError(f"{name} must be {', '.join(others)} or {last}, got {getattr(self, name)!r}.")
        if self.keep == "best" and self.scheme.shares_data:
            raise RecipeError(
                f"keep='best' compares epochs on examples held out, but {type(self.scheme).__name__} trains on all of them: "
                "use keep='last', or the FirstOrder scheme."
            )
        if self.weight_optimiser.keeps_simplex:
            raise RecipeError(
                f"{type(self.weight_optimiser).__name__} keeps rows on the simplex and cannot train a network's weights: "
                "use SGD or Adam."
            )
        relaxation, optimiser = type(self.relaxation).__name__, type(self.architecture_optimiser).__name__
        on_simplex = self.relaxation.params_on_simplex
        if on_simplex and not self.architecture_optimiser.keeps_simplex:
            raise RecipeError(
                f"{relaxation} keeps its parameters on the simplex, but {optimiser} steps off it: "
                "use ExponentiatedGradient, or the Softmax relaxation."
            )
        if not on_simplex and self.architecture_optimiser.keeps_simplex:
            raise RecipeError(
                f"{optimiser} moves points of the simplex, but the parameters of {relaxation} are not: "
                "use Adam or SGD, or the SimplexPoint relaxation."
            )
        self.scheme.check(self.relaxation, self.weight_optimiser)
        self.weight_step.check(self.perturbation)
        if self.scheme.joint:
            own = {
                "a weight step": None if isinstance(self.weight_step, SingleDraw) else self.weight_step,
                "a weight relaxation": self.weight_relaxation,
                "a perturbation": self.perturbation,
            }
            for what, part in own.items():
                if part is not None:
                    raise RecipeError(
                        f"{type(self.scheme).__name__} takes both steps from one pass, so {what} would not be used, got "
                        f"{type(part).__name__}: use same_batch=False, or leave it out."
                    )
            if not self.architecture_augment:
                raise RecipeError(
                    f"{type(self.scheme).__name__} takes both steps from one batch, which is augmented for the weights: "
                    "use same_batch=False, or architecture_augment=True."
                )
        if self.perturbation is not None:
            self.perturbation.check(self.weight_relaxation or self.relaxation)
        for regulariser in self.regularisers:
            regulariser.check(self.relaxation)
        self._check_derivation()
        names = [type(monitor).__name__ for monitor in self.monitors]
        if len(set(names)) < len(names):  # their memory goes by their name
            raise RecipeError(f"The monitors of a recipe must be of different classes, got {', '.join(names)}.")

    def _check_derivation(self) -> None:
        name = type(self.derivation).__name__
        if self.derivation.scores and self.scheme.shares_data:
            raise RecipeError(
                f"{name} compares architectures on examples held out, but {type(self.scheme).__name__} trains on all of them: "
                "use the Argmax derivation, or the FirstOrder scheme."
            )
        if self.keep == "best" and type(self.derivation).final is not Derivation.final:
            raise RecipeError(f"{name} derives from the last epoch, so keep='best' does not fit: use keep='last'.")
        self._check_wraps_and_stages()
        there = {type(part).__name__ for part in (*self.regularisers, *self.monitors)}
        for part in (self.derivation, *self.monitors):
            missing = [needed for needed in part.needs if needed not in there]
            if missing:
                raise RecipeError(
                    f"{type(part).__name__} reads what {missing[0]} remembers: add it to the recipe's monitors or regularisers."
                )

    def _check_wraps_and_stages(self) -> None:
        check_wraps(self.wraps)
        check_stages(self.stages, self.epochs, self.warmup)
        weighing = [any(wrap.weighs_edges for wrap in of_stage) for of_stage in self.all_wraps]
        relaxation = self.relaxation
        if any(weighing) and not (relaxation.mix_on_simplex and relaxation.independent_decisions):
            raise RecipeError(
                "EdgeNormalisation needs independent mixing weights on the simplex, which those of "
                f"{type(relaxation).__name__} are not: use another relaxation, or no edge normalisation."
            )
        pruning = any(stage.options is not None for stage in self.stages)
        if pruning and not relaxation.parameter_per_option:
            raise RecipeError(
                f"A stage prunes options by their parameters, but {type(relaxation).__name__} has none for each option: "
                "leave out the options of the stages, or use another relaxation."
            )
        for stage, before, after in zip(self.stages[1:], weighing, weighing[1:], strict=False):
            if stage.start == "carry" and before != after:
                raise RecipeError(
                    "A stage that carries on must weigh its edges as the stage before it does: "
                    "give EdgeNormalisation to both, or to neither."
                )
        for monitor in self.monitors if len(self.stages) > 1 else ():
            if monitor.lookback:
                raise RecipeError(
                    f"{type(monitor).__name__} goes back to earlier epochs, which may belong to another stage: "
                    "leave out the monitor or the stages."
                )
        if len(self.stages) > 1 and self.keep == "best":
            raise RecipeError("keep='best' compares epochs of one network, but the stages have several: use keep='last'.")

    @property
    def all_wraps(self) -> tuple[tuple[Wrap, ...], ...]:
        """The wraps of every stage; of the only one if there are no stages."""
        if not self.stages:
            return (self.wraps,)
        return tuple(self.wraps if stage.wraps is None else stage.wraps for stage in self.stages)

    def steps_architecture(self, step: int, batches: int) -> bool:
        """Whether an architecture step comes with a weight step: with the first of so many, or the last if weights step first.

        Args:
            step: number of the weight step in its epoch, from 0.
            batches: weight steps in an epoch.
        """
        every = min(self.architecture_every, batches)
        return (step if self.order == "architecture_first" else step + 1) % every == 0

    def architecture_steps(self, batches: int) -> int:
        """How many weight steps of an epoch of so many an architecture step comes with."""
        every = min(self.architecture_every, batches)
        return -(-batches // every) if self.order == "architecture_first" else batches // every

    def check(self, space: Space) -> None:
        """Refuses a space that a part does not fit.

        Raises:
            RecipeError: naming the part and the space.
        """
        if self.windows is not None and space.tokens is False:
            raise RecipeError(
                f"{self.name} cuts a text into windows, but {space.name} reads no text: use a space and data of texts, such as "
                "--space darts_rnn and --data ptb, or leave out windows."
            )
        if not space.shares:
            searcher = "random search" if space.whole else "a black-box searcher such as evolution"
            raise RecipeError(
                f"{space.name} has no supernet that holds its architectures, which {self.name} trains: search it with "
                f"{searcher}, or another space."
            )
        for relaxation in (self.relaxation, self.weight_relaxation):
            several = next((group for group in space.groups if group.take > 1), None)
            if several is not None and relaxation is not None and not relaxation.takes_several:
                raise RecipeError(
                    f"{type(relaxation).__name__} draws one option of a decision, but {several.name} of {space.name} takes "
                    f"{several.take}: use a recipe such as darts, drnas, gdas or enas."
                )
        for of_stage in self.all_wraps:
            check_wraps(of_stage, space)
        for stage in self.stages:
            fewest = min(group.shape[1] for group in space.groups)
            if stage.options is not None and stage.options > fewest:
                raise RecipeError(
                    f"A stage of {self.name} keeps {stage.options} options of every decision, but {space.name} has only "
                    f"{fewest}: set fewer options in stages, or take a larger space."
                )
            if stage.channels and not hasattr(space, "channels"):
                raise RecipeError(
                    f"A stage of {self.name} adds channels, which {space.name} does not have: leave them out of its stages."
                )
            try:
                if stage.options is not None:
                    space.prune({group.name: [range(stage.options)] * group.shape[0] for group in space.groups})
                if stage.cells:
                    space.deeper(stage.cells)
            except SpaceError as error:
                raise RecipeError(f"{self.name} has stages, but {error}") from error
        for relaxation in (self.relaxation, self.weight_relaxation):
            if relaxation is not None:
                relaxation.check_groups(space.groups)
        self.derivation.check(space, self.norm)
        for regulariser in self.regularisers:
            regulariser.check_space(space)
        for monitor in self.monitors:
            monitor.check(self.relaxation, space, getattr(self.weight_optimiser, "weight_decay", 0.0))
            for norm in monitor.norms:
                check_norm(type(monitor).__name__, norm, self.norm)


def _whole(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise RecipeError(f"{name} must be a whole number of at least {least}, got {value!r}.")
