"""What a run writes down, one dataclass for each kind of record, written and read by `mixop.core.values`. Imports no torch."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from mixop.core.errors import MixopError, RecipeError, RunError
from mixop.core.measure import Measure
from mixop.core.values import from_plain, hints_of, to_plain

T = TypeVar("T")

Values = Mapping[str, float | None]
"""Measures by name; None where nothing was measured."""

FOUND = "found"
"""The label of the network that a retraining is about; others stand beside it."""

_NESTED = ("train", "valid", "mix", "columns")

Column = float | str | None
"""What a monitor adds: a finite number, a text, or None where nothing was measured."""


@dataclass(frozen=True, kw_only=True)
class SearchRecord:
    """One epoch of a search, a line of the metrics.

    Args:
        epoch: counted from 1.
        epochs: planned, tuning included.
        seconds: since the search began.
        train: measures over the epoch's training batches.
        valid: measures of the supernet on the validation part, under mean mixing weights; empty where there is none.
        learning_rate: of the weights.
        architecture_rate: of the architecture parameters; 0 while they rest.
        entropy: of the mixing weights, mean over decisions, in nats.
        skip_share: mixing weight of skip connections, mean over decisions that have one; None where none has.
        mix: mean mixing weights ``(E, O)`` by group, over all options of the space.
        architecture: derived from them, in its native notation.
        columns: what monitors measured, by name; ``warning`` is a text for people.
        action: what a monitor did to the search; empty for nothing.
        stage: which stage, counted from 1, or ``tune``; None for a search without stages.
    """

    epoch: int
    epochs: int
    seconds: float
    train: Values
    valid: Values
    learning_rate: float
    architecture_rate: float
    entropy: float | None
    skip_share: float | None
    mix: Mapping[str, tuple[tuple[float, ...], ...]]
    architecture: str
    columns: Mapping[str, Column] = field(default_factory=dict)
    action: str = ""
    stage: int | Literal["tune"] | None = None
    phase: Literal["search"] = "search"

    def __post_init__(self) -> None:
        if "type" in self.columns:  # what a file names a class by
            raise RecipeError("A monitor cannot add a column 'type' to the records: give it another name.")

    @property
    def row(self) -> dict[str, Any]:
        """The record as one row of a table: measures are ``train_loss``, ``valid_accuracy`` ..., columns have their own names.

        Mixing weights are left out, as they are tables themselves.
        """
        measured = {f"{part}_{name}": value for part in ("train", "valid") for name, value in getattr(self, part).items()}
        rest = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in _NESTED}
        return {**rest, **measured, **self.columns}

    def __getitem__(self, name: str) -> Any:
        """One entry of the row: ``record["valid_accuracy"]``.

        Raises:
            KeyError: if there is none of that name.
        """
        return self.row[name]


@dataclass(frozen=True, kw_only=True)
class RetrainingRecord:
    """One epoch of a training from scratch, a line of the metrics.

    Args:
        label: which network: ``found``, ``random 1`` ...
        epoch: counted from 1.
        epochs: of the protocol.
        seconds: since this network's training began.
        train: measures over the epoch's training batches.
        learning_rate: of the weights.
        valid: measures on the validation part, of a protocol that looks at it; empty otherwise.
    """

    label: str
    epoch: int
    epochs: int
    seconds: float
    train: Values
    learning_rate: float
    valid: Values = field(default_factory=dict)
    phase: Literal["retrain"] = "retrain"


@dataclass(frozen=True)
class Start:
    """The supernet that trainings began from, each with the weights of its own path.

    Args:
        run: the directory of the search.
        weights_sha256: checksum of the supernet's weights.
    """

    run: str
    weights_sha256: str


@dataclass(frozen=True, kw_only=True)
class RetrainingPlan:
    """What a retraining is to do.

    Args:
        protocol: how networks are trained, as JSON data.
        networks: label and architecture, in its native notation, of each.
        seed: of initial weights, data order and augmentation.
        train_on: the parts of the data that are trained on.
        score_on: the part that is scored.
        augment: what is done to training batches, as JSON data.
        data: fingerprint of the data.
        start: the supernet whose weights the networks begin with; None where they are drawn.
    """

    protocol: Mapping[str, Any]
    networks: tuple[tuple[str, str], ...]
    seed: int
    train_on: tuple[str, ...]
    score_on: str
    augment: Mapping[str, Any]
    data: str
    start: Start | None = None


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Which examples something was trained or scored on.

    Args:
        parts: of the data: ``train`` (the split for the weights), ``valid`` (the one for the architecture), ``test``.
        examples: how many, together.
    """

    parts: tuple[str, ...]
    examples: int

    @property
    def words(self) -> str:
        """For people: ``1,438 training examples``, ``359 test examples``, ``719 validation examples``."""
        return self.of("example")

    def of(self, noun: str) -> str:
        """The words with another noun for an example: ``359 test images``.

        Args:
            noun: for one.
        """
        noun = noun if self.examples == 1 else f"{noun}s"
        if self.parts == ("train",):
            return f"{self.examples:,} {noun} of the weight split"
        names: dict[tuple[str, ...], str] = {("valid",): "validation", ("test",): "test", ("train", "valid"): "training"}
        return f"{self.examples:,} {names.get(self.parts, ' and '.join(self.parts))} {noun}"

    @property
    def word(self) -> str:
        """One word for the part: ``test``, ``validation``, ``training``."""
        words: dict[tuple[str, ...], str] = {("test",): "test", ("valid",): "validation"}
        return words.get(self.parts, "training")


def noun(shape: Sequence[int], *, tokens: bool) -> str:
    """What people call an example: an image where an input has channels, height and width, else an example.

    Args:
        shape: of one input.
        tokens: whether it is a window of tokens.
    """
    return "image" if len(shape) == 3 and not tokens else "example"


@dataclass(frozen=True, kw_only=True)
class NetworkScore:
    """What one network scored.

    Args:
        label: which network: ``found``, ``random 1`` ...
        architecture: in its native notation.
        measures: on the examples that the score names.
        parameters: trained numbers, an auxiliary head's left out.
        flops: multiply-adds of one example.
        seconds: of its training.
        epochs: of its training.
        seed: of initial weights, data order and augmentation.
    """

    label: str
    architecture: str
    measures: Values
    parameters: int
    flops: int
    seconds: float
    epochs: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class PlannedNetwork:
    """A known network that is to be trained beside what a search found.

    Args:
        family: of the network: ``plain ResNet``.
        size: channels or features, >= 1.
        epochs: that fit into the time, >= 1.
    """

    family: str
    size: int
    epochs: int

    @property
    def label(self) -> str:
        """``plain ResNet 16``."""
        return f"{self.family} {self.size}"


@dataclass(frozen=True, kw_only=True)
class KnownNetworks:
    """Known networks beside what a search found: the content of their file.

    Args:
        seconds: that each of them has: as many as the search and the training of what it found took.
        planned: those that are trained.
        networks: what those scored that are trained, in the same order, on the examples that the found network was scored on.
        weights_sha256: checksum of the found network's weights.
    """

    seconds: float
    planned: tuple[PlannedNetwork, ...]
    networks: tuple[NetworkScore, ...]
    weights_sha256: str


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a retraining found out: the content of the score's file.

    Args:
        networks: the found one, and random ones beside it.
        trained_on: what all of them were trained on.
        scored_on: what the measures are about.
        task: the task as JSON data.
        measures: of the task; the first one ranks.
        protocol: how they were trained, as JSON data.
        input: ``shape`` of one input, ``mean`` and ``std`` of its normalisation.
        weights_sha256: checksum of the found network's weights.
        bound_to: fingerprints of the files that the retraining depends on, by name.
        classes: names of the classes; empty where there are none.
        confusion: of the found network: for each true class (row) how many examples were given each class (column).
        start: the supernet whose weights the networks began with; None where they were drawn.
    """

    networks: tuple[NetworkScore, ...]
    trained_on: Scope
    scored_on: Scope
    task: Mapping[str, Any]
    measures: tuple[Measure, ...]
    protocol: Mapping[str, Any]
    input: Mapping[str, Any]
    weights_sha256: str
    bound_to: Mapping[str, str]
    classes: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    start: Start | None = None

    @property
    def first(self) -> Measure:
        """The measure that ranks."""
        return self.measures[0]

    @property
    def began(self) -> str:
        """How the networks were trained, for people: ``from scratch``, or ``from the supernet's weights``."""
        return "from scratch" if self.start is None else "from the supernet's weights"

    @property
    def found(self) -> NetworkScore | None:
        """The network of the found architecture."""
        return next((network for network in self.networks if network.label == FOUND), None)

    @property
    def rivals(self) -> tuple[NetworkScore, ...]:
        """The networks beside it: of random architectures, or of other candidates."""
        return tuple(network for network in self.networks if network.label != FOUND)

    @property
    def ranked(self) -> tuple[NetworkScore, ...]:
        """All networks, the best first."""
        return tuple(sorted(self.networks, key=lambda network: -self.first.rank(self.value(network))))

    def value(self, network: NetworkScore) -> float | None:
        """The first measure of a network."""
        return network.measures.get(self.first.name)

    @property
    def counted(self) -> int | None:
        """The number of examples, where the first measure is the share of them that came out right; else None.

        Only such a share has a binomial interval. The confusion shows whether it is one: it then counts every example once, and
        the share on its diagonal is the measure. A mean over classes or pixels is something else.
        """
        found, total = self.found, sum(map(sum, self.confusion))
        value = None if found is None else self.value(found)
        if not total or value is None or total != self.scored_on.examples:
            return None
        right = sum(row[index] for index, row in enumerate(self.confusion))
        # Both are quotients of the same whole numbers in float64; anything else differs by more than a rounding.
        return total if math.isclose(value, right / total, abs_tol=1e-9) else None


def to_record(record: Any) -> dict[str, Any]:
    """A record as JSON data; what kind it is, the place says where it lies.

    Raises:
        RecipeError: for a number that is not finite.
    """
    return {f.name: _plain(getattr(record, f.name)) for f in dataclasses.fields(record)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_record(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return to_plain(value)


def from_record(kind: type[T], data: Any, where: str) -> T:
    """The record that `to_record` wrote.

    Args:
        kind: its class.
        data: JSON data.
        where: what is read, for messages.

    Raises:
        RunError: if a field is missing, unknown or of the wrong type.
    """
    if not isinstance(data, Mapping):
        raise RunError(f"{where} must hold a JSON object, got {type(data).__name__}: restore it, or run it again.")
    # What is JSON to a record (a task, a protocol) is handed on as it is: reading it is another room's business.
    loose = [name for name, hint in hints_of(kind).items() if hint == Mapping[str, Any] and name in data]
    for name in loose:
        if not isinstance(data[name], Mapping):
            raise RunError(f"{where} must hold an object in {name!r}, got {data[name]!r}: restore it, or run it again.")
    try:
        record = from_plain({**data, **{name: {} for name in loose}}, kind, {}, where)
    except MixopError as error:
        raise RunError(f"{str(error).rstrip('.')}: restore it, or run the command that wrote it again.") from error
    return dataclasses.replace(record, **{name: data[name] for name in loose})
