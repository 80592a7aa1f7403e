"""How an architecture is trained from scratch, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal

from mixop.core.errors import RecipeError, unknown
from mixop.core.optim import SGD, Adam, RMSProp
from mixop.core.schedules import Constant, Cosine, CosineRestarts, Exponential, LinearWithTail, Schedule, check_range
from mixop.core.values import from_plain, to_plain
from mixop.data.core import Data, Part
from mixop.data.preparation import Preparation
from mixop.data.windows import Windows
from mixop.evaluate.averaging import Averaging, MovingAverage
from mixop.nets.ops import BatchNorm
from mixop.recipe.parts import PARTS as RECIPE_PARTS
from mixop.spaces.core import Space
from mixop.spaces.stacked import Stacked


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A training on all training examples (both splits of the search), from scratch or not, scored once on the test set.

    Args:
        name: its name in reports.
        epochs: passes over the training examples, >= 1.
        batch_size: examples in a batch, >= 2.
        optimiser: of the network's weights; its learning rate is set once an epoch, at ``epoch / epochs``.
        label_smoothing: share of the target that is spread evenly over all classes, in [0, 1).
        clip: largest global norm of the gradient; 0 switches clipping off.
        norm: batch norm of the network; it keeps running statistics.
        crop: padding in pixels before the random crop, >= 0; None for the data's.
        flip: whether images are mirrored at random; None for the data's.
        cutout: side in pixels of the erased square, >= 0; None for the data's.
        resized_crop: whether training images are cropped at random sizes and scaled back; None for the data's.
        jitter: largest change of brightness, contrast, saturation and hue; None for the data's.
        auxiliary: weight of the auxiliary head's loss, >= 0; 0 leaves the head out.
        drop_path: probability of drop path, in [0, 1): rises linearly from 0 and comes close to this in the last epoch.
        drop_deeper: whether drop path has that probability in the last cell only, and ``k / K`` of it in the k-th of K cells.
        dropout: share of the features before the classifier that is zero in training, in [0, 1); None for the space's.
        accumulate: number of pieces that a batch is computed in, one after the other, >= 1; only batch norm sees the
            difference.
        precision: ``float32``, or ``bfloat16`` for the forward passes of the training.
        cells: depth of the network; None for the space's.
        channels: channels of the first cells; None for the space's.
        freeze: names of weights that stay as they begin, or the beginnings of names (``stem``), or with ``*`` and ``?``; batch
            norms that are frozen whole keep their statistics.
        network: numbers of the space that the networks of the training have otherwise, by the names of its fields: sizes,
            rates of dropout.
        windows: how a text is cut for steps; None for the data's own way, and for data that are no text.
        averaging: how the weights that are scored are a mean over steps: `MovingAverage` of all of them, or `Averaging` since
            validation stopped to improve; None where they are those of the last step.
        keep: whether the network of the ``last`` epoch is scored, or the ``best`` one on the validation part. With ``best``, a
            training whose loss or gradient is no longer finite goes on from the best network so far.
        score_columns: columns that a text is scored in at last; None for the usual number.

    Raises:
        RecipeError: if a number is out of range.

    Example:
        >>> from dataclasses import replace
        >>> protocol = replace(PROTOCOLS["quick"], epochs=5, label_smoothing=0.1)
        >>> protocol_from_json(protocol_to_json(protocol)) == protocol
        True
    """

    asked: ClassVar[str] = "a protocol such as mixop.evaluate.PROTOCOLS['quick']"

    name: str
    epochs: int
    batch_size: int
    optimiser: SGD | Adam | RMSProp
    label_smoothing: float = 0.0
    clip: float = 0.0
    norm: BatchNorm = BatchNorm()
    crop: int | None = None
    flip: bool | None = None
    cutout: int | None = None
    resized_crop: bool | None = None
    jitter: tuple[float, float, float, float] | None = None
    auxiliary: float = 0.0
    drop_path: float = 0.0
    drop_deeper: bool = False
    dropout: float | None = None
    accumulate: int = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    cells: int | None = None
    channels: int | None = None
    freeze: tuple[str, ...] = ()
    network: Mapping[str, int | float] = field(default_factory=dict)
    windows: Windows | None = None
    averaging: Averaging | MovingAverage | None = None
    keep: Literal["last", "best"] = "last"
    score_columns: int | None = None

    def __post_init__(self) -> None:
        for name, value, least in (
            ("epochs", self.epochs, 1),
            ("batch size", self.batch_size, 2),
            ("crop", self.crop or 0, 0),
            ("cutout", self.cutout or 0, 0),
            ("accumulate", self.accumulate, 1),
            ("cells", 1 if self.cells is None else self.cells, 1),
            ("channels", 1 if self.channels is None else self.channels, 1),
            ("score columns", 1 if self.score_columns is None else self.score_columns, 1),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise RecipeError(f"{name} of a retraining must be a whole number of at least {least}, got {value!r}.")
        if not isinstance(self.optimiser, SGD | Adam | RMSProp):
            raise RecipeError(f"A retraining uses SGD, Adam or RMSProp, got {type(self.optimiser).__name__}.")
        check_range("label smoothing", self.label_smoothing, at_least=0)
        if not self.label_smoothing < 1:
            raise RecipeError(f"label smoothing must be less than 1, got {self.label_smoothing:g}: 1 leaves nothing to learn.")
        check_range("clip", self.clip, at_least=0)
        check_range("auxiliary", self.auxiliary, at_least=0)
        check_range("drop path", self.drop_path, at_least=0)
        if not self.drop_path < 1:
            raise RecipeError(f"drop path must be less than 1, got {self.drop_path:g}: 1 drops every path.")
        if not isinstance(self.drop_deeper, bool):
            raise RecipeError(f"drop deeper of a retraining must be true or false, got {self.drop_deeper!r}.")
        check_range("dropout", self.dropout or 0.0, at_least=0)
        if not (self.dropout or 0.0) < 1:
            raise RecipeError(f"dropout must be less than 1, got {self.dropout:g}: 1 leaves nothing to classify.")
        if isinstance(self.freeze, str) or not all(isinstance(name, str) and name for name in self.freeze):
            raise RecipeError(f"freeze of a retraining must be a list of names of weights, got {self.freeze!r}.")
        if self.precision not in ("float32", "bfloat16"):
            raise RecipeError(unknown("precision", str(self.precision), ("float32", "bfloat16")))
        if self.keep not in ("last", "best"):
            raise RecipeError(f"keep of a retraining must be 'last' or 'best', got {self.keep!r}.")
        if self.accumulate > self.batch_size // 2:
            raise RecipeError(
                f"A batch of {self.batch_size} cannot be computed in {self.accumulate} pieces of at least 2 examples: "
                f"accumulate at most {self.batch_size // 2}."
            )
        if not self.norm.track:
            raise RecipeError(
                "The batch norm of a retraining must keep running statistics, or the output for an image would depend on "
                "the others in its batch: set norm.track to true."
            )

    def __hash__(self) -> int:
        return hash(repr(self))

    @property
    def validates(self) -> bool:
        """Whether it looks at the validation part after every epoch, which is then not trained on."""
        return (self.averaging is not None and self.averaging.watches) or self.keep == "best"

    @property
    def train_on(self) -> tuple[Part, ...]:
        """The parts that it trains on, unless something else is asked for."""
        return ("train",) if self.validates else ("train", "valid")

    def augment(self, data: Data) -> Preparation:
        """What is done to training batches: the data's own preparation, with what the protocol changes.

        Raises:
            DataError: if it does not fit the inputs.
            RecipeError: if the protocol changes images, and the data has none.
        """
        names = ("crop", "flip", "cutout", "resized_crop", "jitter")
        changes = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        augment = data.augment.changed(**changes)
        augment.check(data.shape)
        return augment

    def sized(self, space: Space) -> Space:
        """The space with the sizes that the protocol's networks have.

        Raises:
            RecipeError: if the space's networks have no such size.
            SpaceError: if no network can have that size.
        """
        sizes = ("cells", "channels", "dropout")
        changes = {name: getattr(self, name) for name in sizes if getattr(self, name) is not None}
        for name in changes:
            if not hasattr(space, name):
                raise RecipeError(
                    f"{self.name} sets the {name} of the network, which {space.name} does not have: leave it out."
                )
        known = {f.name for f in fields(space) if f.init}  # type: ignore[arg-type]  # spaces are dataclasses
        for name, value in self.network.items():
            if name not in known or isinstance(getattr(space, name), bool) or not isinstance(getattr(space, name), int | float):
                raise RecipeError(
                    f"{self.name} sets {name!r} of the network to {value:g}, which is no number of the space {space.name}: "
                    "leave it out, or use a protocol for this space."
                )
            changes[name] = value
        if self.auxiliary and (not isinstance(space, Stacked) or space.auxiliary is None):
            raise RecipeError(f"{self.name} trains an auxiliary head, which {space.name} does not have: set auxiliary to 0.")
        if not isinstance(space, Stacked):
            own = {"drop path": self.drop_path > 0 or self.drop_deeper, "norm": self.norm != BatchNorm()}
            for name in (name for name, given in own.items() if given):
                raise RecipeError(
                    f"{self.name} sets the {name} of cells, which {space.name} does not have: set it in the model instead."
                )
        elif self.drop_path and not space.drops_paths:
            raise RecipeError(
                f"{self.name} drops paths, but those of the recurrent cell of {space.name} are computed together: set "
                "drop_path to 0; the space has rates of dropout of its own."
            )
        return replace(space, **changes) if changes else space  # type: ignore[type-var]  # spaces are dataclasses


PARTS: Mapping[str, type] = {
    **RECIPE_PARTS,
    "Protocol": Protocol,
    "Averaging": Averaging,
    "MovingAverage": MovingAverage,
}
"""Every part by its name in a protocol file."""


def protocol_to_json(protocol: Protocol) -> dict[str, Any]:
    """A protocol as JSON data, without loss."""
    return to_plain(protocol)


def protocol_from_json(data: Any) -> Protocol:
    """The protocol that `protocol_to_json` wrote.

    Raises:
        RecipeError: with the path to what is unknown, missing or of the wrong type.
    """
    return from_plain(data, Protocol, PARTS, "protocol")


_NASBENCH201 = Protocol(
    name="nasbench201",
    epochs=200,
    batch_size=256,
    optimiser=SGD(lr=Cosine(0.1, 0.0), momentum=0.9, weight_decay=5e-4, nesterov=True),
    crop=4,
    flip=True,
    cutout=0,
)


_NASBENCH101 = Protocol(
    name="nasbench101",
    epochs=108,
    batch_size=256,
    optimiser=RMSProp(lr=Cosine(0.2, 0.0), decay=0.9, momentum=0.9, eps=1.0, weight_decay=1e-4),
    norm=BatchNorm(momentum=0.003),
    crop=4,
    flip=True,
    cutout=0,
    cells=9,
    channels=128,
)


def _sgd(lr: Schedule, *, weight_decay: float) -> SGD:
    return SGD(lr=lr, momentum=0.9, weight_decay=weight_decay)


_DARTS_CIFAR10 = Protocol(
    name="darts-cifar10",
    epochs=600,
    batch_size=96,
    optimiser=_sgd(Cosine(0.025, 0.0), weight_decay=3e-4),
    clip=5.0,
    crop=4,
    flip=True,
    cutout=16,
    auxiliary=0.4,
    drop_path=0.2,
    cells=20,
    channels=36,
)


def _enas(start: float, stop: float, *, coefficient: float) -> SGD:
    """ENAS's optimiser; the coefficient is of the sum of squared weights in the loss, whose gradient has twice of it."""
    lr = CosineRestarts(start, stop, first=10, factor=2)
    return SGD(lr=lr, momentum=0.9, weight_decay=2 * coefficient, nesterov=True)


_DARTS_IMAGENET = Protocol(
    name="darts-imagenet",
    epochs=250,
    batch_size=128,
    optimiser=_sgd(Exponential(0.1, 0.97), weight_decay=3e-5),
    label_smoothing=0.1,
    clip=5.0,
    crop=0,
    flip=True,
    cutout=0,
    resized_crop=True,
    jitter=(0.4, 0.4, 0.4, 0.2),
    auxiliary=0.4,
    cells=14,
    channels=48,
)

_DARTS_PTB = Protocol(
    name="darts-ptb",
    epochs=8000,
    batch_size=64,
    optimiser=SGD(lr=Constant(20.0), momentum=0.0, weight_decay=8e-7),
    clip=0.25,
    network={
        "hidden": 850,
        "word_dropout": 0.1,
        "embedding_dropout": 0.2,
        "input_dropout": 0.75,
        "state_dropout": 0.25,
        "output_dropout": 0.75,
        "slowness": 1e-3,
    },
    windows=Windows(halved=0.05, spread=5.0, scale_rate=True),
    averaging=Averaging(patience=5),
    keep="best",
    score_columns=1,
)

PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="quick",
            epochs=25,
            batch_size=64,
            optimiser=SGD(lr=Cosine(0.1, 0.0), momentum=0.9, weight_decay=5e-4, nesterov=True),
            clip=5.0,
        ),
        _NASBENCH201,
        Protocol(
            name="finetune",
            epochs=10,
            batch_size=64,
            optimiser=SGD(lr=Cosine(0.01, 0.0), momentum=0.9, weight_decay=5e-4, nesterov=True),
            clip=5.0,
        ),
        replace(_NASBENCH201, name="nasbench201-12", epochs=12),
        _NASBENCH101,
        _DARTS_CIFAR10,
        Protocol(
            name="enas-macro",
            epochs=310,
            batch_size=100,
            optimiser=_enas(0.05, 0.001, coefficient=2e-4),
            crop=4,
            flip=True,
            cutout=0,
            dropout=0.5,
            channels=96,
        ),
        Protocol(
            name="enas-micro",
            epochs=630,
            batch_size=144,
            optimiser=_enas(0.05, 1e-4, coefficient=2e-4),
            crop=4,
            flip=True,
            cutout=0,
            auxiliary=0.4,
            drop_path=0.4,
            drop_deeper=True,
            dropout=0.2,
            cells=15,
            channels=36,
        ),
        _DARTS_IMAGENET,
        replace(
            _DARTS_IMAGENET, name="pdarts-imagenet", batch_size=1024, optimiser=_sgd(LinearWithTail(0.5), weight_decay=3e-5)
        ),
        _DARTS_PTB,
        replace(
            _DARTS_PTB,
            name="darts-wikitext2",
            optimiser=SGD(lr=Constant(20.0), momentum=0.0, weight_decay=5e-7),
            network={**_DARTS_PTB.network, "hidden": 700, "state_dropout": 0.15},
        ),
    )
}
"""Protocols by name.

- ``quick``: ours, for small images and small networks; the augmentation is the data's.
- ``finetune``: ours, ``quick`` with a tenth of its rate and fewer epochs, for networks that begin from trained weights.
- ``nasbench201``: 200 epochs, as every entry of the benchmark was trained on CIFAR. Source: Dong & Yang 2020
  (arXiv:2001.00326), table 1, and the authors' configuration files. For ImageNet16-120 set ``crop=2``.
- ``nasbench201-12``: the same with a cosine of 12 epochs, the benchmark's cheap fidelity.
- ``nasbench101``: 9 cells, 128 channels, 108 epochs of RMSProp. Its rate is 0.1 in the configuration, times the two shards that
  the code trains on by default. The code's cosine falls with every step, from 0 in the very first one, and its weights begin
  from another distribution. It trains on 40,000 images; ours on all but the test images, unless told otherwise. Source: Ying et
  al. 2019 (arXiv:1902.09635), section 2.3 and code.
- ``darts-cifar10``: 20 cells of 36 channels, 600 epochs with cutout, auxiliary head and drop path. Source: Liu et al. 2019
  (arXiv:1806.09055), section 3.2 and code, where drop path is 0.2; PC-DARTS, P-DARTS, DrNAS, GAEA and PR-DARTS have 0.3. Other
  batches: 128 in P-DARTS and PR-DARTS, 64 in DrNAS.
- ``enas-macro``: 96 channels, 310 epochs of cosines that restart, half of the features dropped. Source: Pham et al. 2018
  (arXiv:1802.03268) and code.
- ``enas-micro``: 15 normal cells of 36 channels, 630 epochs, drop path that grows with the depth, auxiliary head. Source: as
  before; their deepest cell of 17 drops 0.4 of the paths at the end, as here.
- ``darts-imagenet``: 14 cells of 48 channels, 250 epochs, images of 224 pixels. Source: Liu et al. 2019, section 3.3 and code.
- ``pdarts-imagenet``: the same with batches of 1024 and a linear rate, as P-DARTS, PC-DARTS and DrNAS (batch 768) have it.
  Source: Chen et al. 2019 (arXiv:1904.12760), section 4.4, and code.
- ``darts-ptb``: recurrent cells of 850 numbers on the Penn Treebank, SGD of rate 20 and averaged weights once validation stops
  to improve, the best network on the validation text scored in one column. 8,000 epochs is the limit of the code. Source: Liu
  et al. 2019, section 3.3, appendix A.3 and code; averaging as Merity et al. 2018 (arXiv:1708.02182).
- ``darts-wikitext2``: the same for WikiText-2, with 700 numbers, dropout of the state 0.15 and weight decay 5e-7.
"""
