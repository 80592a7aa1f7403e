"""Known good networks beside what a search found: as many parameters, and as long as the search and its training took."""

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch

from mixop.api import load_data, retrain
from mixop.core.door import door
from mixop.core.errors import RecipeError, RunError
from mixop.core.surroundings import using
from mixop.data.core import PARTS, Data, Part, Source
from mixop.data.given import MapStyle, given
from mixop.engine.driver import Observer
from mixop.evaluate.protocol import PROTOCOLS, Protocol, protocol_from_json
from mixop.evaluate.score import parameters
from mixop.evaluate.trained import check_data
from mixop.finder.portfolio import Family, by_hand
from mixop.finder.training import LONGEST_EPOCHS
from mixop.measure.foresight import retraining_estimate
from mixop.nets.discrete import build
from mixop.nets.ops import BatchNorm
from mixop.report.verdict import beside_known
from mixop.runs.directory import RunDirectory
from mixop.runs.files import KNOWN, SCORE
from mixop.runs.frame import frame, network_rows
from mixop.runs.load import read_known, read_score
from mixop.runs.read import read_run
from mixop.runs.records import KnownNetworks, NetworkScore, PlannedNetwork, Scope, Score, SearchRecord, to_record

if TYPE_CHECKING:
    import pandas

FOLDER = "known"
"""In a run directory: where known networks have run directories of their own."""

WIDEST = 1024
"""Channels, or features, of the widest network that is looked at."""

MEASURED_EPOCHS = 10
"""Of the training whose time is estimated; starting and scoring are shared by them."""

MEASUREMENTS = 3
"""Of a few steps each, whose middle one counts: other work on the machine may hit one of them."""


@dataclass(frozen=True)
class KnownResult:
    """What known networks reached.

    Args:
        out: the run directory that they stand beside; each has a run directory of its own in ``known``.
        seconds: that each of them had.
        networks: what they scored, on the examples that the found network was scored on.
    """

    out: Path
    seconds: float
    networks: tuple[NetworkScore, ...]

    def frame(self) -> "pandas.DataFrame":
        """A row for each network.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return frame(network_rows(self.networks))

    def __str__(self) -> str:
        return "\n".join(beside_known(read_run(self.out)))


@door()
def train_known(
    out: str | Path,
    data: Data | Source | MapStyle | None = None,
    *,
    count: int = 2,
    searched: str | Path | None = None,
    device: str | torch.device = "cpu",
    checkpoint_seconds: float = 30.0,
    threads: int = 0,
    observe: Observer | None = None,
    progress: bool | None = None,
) -> KnownResult:
    """Trains networks that are known to be good beside what a search found, each for as long as it took in all.

    They are what a person would take without a search: for images a plain ResNet and the ResNet cell of NAS-Bench-201, for
    signals the same in one dimension, for features perceptrons. Each is as wide as it can be with no more parameters than the
    found network, and is trained from scratch by the same protocol, on the same examples, for as many epochs as fit into the
    seconds of the search and of the found network's training together, but for at most 400. Where the found network began from
    a supernet's weights, the protocol is ``quick``. An auxiliary head and drop path are left out.

    A call that was stopped continues with the same call; with a larger count more networks are trained.

    Args:
        out: the run directory of a finished retraining.
        data: the data, if the run cannot load it again by itself.
        count: how many networks, >= 1; there are two for each kind of data.
        searched: the run directory of the search whose time counts; default ``out``.
        device: where torch computes.
        checkpoint_seconds: least time between two checkpoints, in seconds.
        threads: of torch on the CPU; 0 for torch's own number, but never more than there are cores.
        observe: called with every step and record, whose ``label`` is the kind of network.
        progress: whether a line says how far it is; None for in a terminal or a notebook, where there is no ``observe``.

    Raises:
        RunError: if there is no finished training, or the known networks there stand beside another one.
        RecipeError: if no network is known for this kind of data.
    """
    if count < 1:
        raise RecipeError(f"The number of known networks must be a whole number of at least 1, got {count!r}.")
    run = RunDirectory(out)
    run.require()
    score = read_score(run / SCORE)
    if score is None or score.found is None:
        raise RunError(f"{run.path} holds no finished training of what a search found: first `mixop retrain {run.path}`.")
    if data is None:
        data = load_data(run)
    else:
        data = given(data)
        check_data(run, data)
    protocol = _protocol(score)
    families = {family.label: family for family in by_hand(data)}
    if not families:
        raise RecipeError(f"No network is known for examples of shape {data.shape} and the task {data.task.name}.")
    with run.locked():
        with using(threads):
            known = _planned(run, searched or out, score, protocol, list(families.values())[:count], data, str(device))
        for planned in known.planned[len(known.networks) : count]:
            if planned.family not in families:
                raise RunError(
                    f"{run / KNOWN} names the unknown family {planned.family!r}: move it away, and it is made again."
                )
            space = families[planned.family].space(planned.size).fit(data)
            result = retrain(
                families[planned.family].architecture(space),
                space,
                data,
                run / FOLDER / f"{families[planned.family].name}-{planned.size}",
                protocol=replace(protocol, epochs=planned.epochs),
                train_on=_parts(score.trained_on),
                score_on=_parts(score.scored_on)[0],
                seed=score.found.seed,
                device=device,
                checkpoint_seconds=checkpoint_seconds,
                threads=threads,
                observe=None if observe is None else lambda record: observe({**record, "label": planned.family}),  # noqa: B023
                progress=progress,
            )
            done = replace(result.score.networks[0], label=planned.label)
            known = replace(known, networks=(*known.networks, done))
            run.write_json(KNOWN, to_record(known))
    return KnownResult(run.path, known.seconds, known.networks)


def _parts(scope: Scope) -> list[Part]:
    return [part for part in PARTS if part in scope.parts]


def _protocol(score: Score) -> Protocol:
    """How known networks are trained: as the found one, but for what belongs to it alone."""
    return PROTOCOLS["quick"] if score.start is not None else plainly(protocol_from_json(score.protocol))


def _planned(
    run: RunDirectory, searched: str | Path, score: Score, protocol: Protocol, families: list[Family], data: Data, device: str
) -> KnownNetworks:
    """What is trained, decided once and kept; what is there already stays."""
    found = score.found
    assert found is not None
    known = read_known(run / KNOWN)
    if known is None:
        search = [record.seconds for record in RunDirectory(searched).records() if isinstance(record, SearchRecord)]
        seconds = found.seconds + (search[-1] if search else 0.0)
        known = KnownNetworks(seconds=seconds, planned=(), networks=(), weights_sha256=score.weights_sha256)
    if known.weights_sha256 != score.weights_sha256:
        raise RunError(f"{run / KNOWN} stands beside another training: move it away together with {run / FOLDER}.")
    share = score.trained_on.examples / (len(data.train) + len(data.valid))
    for family in families[len(known.planned) :]:
        planned = plan(family, found.parameters, known.seconds, protocol, data, share=share, device=device)
        known = replace(known, planned=(*known.planned, planned))
    run.write_json(KNOWN, to_record(known))
    return known


def plainly(protocol: Protocol) -> Protocol:
    """A protocol without what belongs to a searched network alone: sizes, auxiliary head, dropout, norm, frozen weights."""
    return replace(
        protocol,
        auxiliary=0.0,
        drop_path=0.0,
        drop_deeper=False,
        dropout=None,
        norm=BatchNorm(),
        cells=None,
        channels=None,
        freeze=(),
    )


def plan(
    family: Family, most: int, seconds: float, protocol: Protocol, data: Data, *, share: float = 1.0, device: str = "cpu"
) -> PlannedNetwork:
    """The network of a family that is trained in a given time.

    Args:
        family: of the network.
        most: parameters; a family whose smallest network has more gives that one.
        seconds: of the training.
        protocol: how it is trained; its epochs are replaced.
        data: examples with a task.
        share: of the training and validation examples, that it is trained on.
        device: where torch computes.
    """
    size = widest(family, most, data)
    space = family.space(size).fit(data)
    timed = replace(protocol, epochs=MEASURED_EPOCHS)
    architecture = family.architecture(space)
    measured = [retraining_estimate(architecture, space, data, timed, device=device).seconds for _ in range(MEASUREMENTS)]
    epochs = int(seconds / max(median(measured) * share / MEASURED_EPOCHS, 1e-9))
    return PlannedNetwork(family=family.label, size=size, epochs=max(1, min(LONGEST_EPOCHS, epochs)))


def widest(family: Family, most: int, data: Data) -> int:
    """The largest size at which a network has at most so many parameters; the smallest where even that has more.

    Args:
        family: of the network.
        most: parameters.
        data: examples with a task.
    """

    def fits(size: int) -> bool:
        space = family.space(size).fit(data)
        return parameters(build(family.architecture(space), space)) <= most

    low, high = 2, 4  # the first fits, or is taken anyway; the second does not
    while high <= WIDEST and fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return min(low, WIDEST)
