"""Selection over seeds: which of several found architectures to take, by a short training from scratch."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mixop.api import SearchResult, note_environment
from mixop.core.errors import RecipeError
from mixop.data.core import Data, assemble
from mixop.data.split import Split
from mixop.engine.loop import Observer
from mixop.engine.settings import Settings
from mixop.evaluate.protocol import PROTOCOLS, Protocol
from mixop.evaluate.retrain import FOUND, Retraining
from mixop.runs.directory import RunDirectory


def select(
    results: Sequence[SearchResult],
    data: Data,
    out: str | Path,
    *,
    epochs: int | None = None,
    protocol: Protocol | None = None,
    seed: int = 0,
    device: str = "cpu",
    checkpoint_seconds: float = 30.0,
    observe: Observer | None = None,
) -> SearchResult:
    """The best of several searches, as most papers choose among seeds: each architecture is trained briefly from scratch.

    Training sees the split for the weights only, and the score is the accuracy on the split for the architecture: the test
    set is never looked at. The same architecture, found twice, is trained once.

    A directory that already holds this very selection is continued from its checkpoint.

    Args:
        results: finished searches of one space.
        data: the data that they searched on.
        out: the selection's directory, new or its own; ``selection.json`` says what each scored.
        epochs: replaces the protocol's number of epochs.
        protocol: how to train; default `PROTOCOLS` ``quick``.
        seed: of initial weights, data order and augmentation; the same for every architecture.
        device: where torch computes.
        checkpoint_seconds: least time between two checkpoints, in seconds.
        observe: is told every step and record.

    Returns:
        The result of highest validation accuracy; lower validation loss, then the earlier one, breaks ties.

    Raises:
        RecipeError: for no results, or results of different spaces.
        MixopError: as `retrain`.

    Source: Liu et al. 2019 (arXiv:1806.09055), section 3.2: four searches, selected by a short training from scratch.
    """
    if not results:
        raise RecipeError("A selection needs at least one finished search, got none.")
    space = results[0].space
    for result in results:
        if result.space != space:
            raise RecipeError(
                f"A selection compares searches of one space, got {results[0].out} and {result.out} of different ones: "
                "select among each by itself."
            )
    protocol = protocol or PROTOCOLS["quick"]
    if epochs is not None:
        protocol = replace(protocol, epochs=epochs)
    architectures = list(dict.fromkeys(result.architecture for result in results))
    # `Retraining` keeps the weights of the network that is called found; a selection has no use for them.
    labels = [FOUND, *(f"candidate {k}" for k in range(2, len(architectures) + 1))]
    run = RunDirectory(out)
    settings = Settings(seed=seed, device=device, checkpoint_seconds=checkpoint_seconds)
    networks = list(zip(labels, architectures, strict=True))
    job = Retraining(networks, space, held_out(data), protocol, run, settings, observe)
    job.claim()
    with run.locked():
        if not (run / "score.json").exists():
            note_environment(run, settings)
        scores = job.run()["networks"]
        ranked = [(score["test_accuracy"], -score["test_loss"]) for score in scores]
        of = dict(zip(architectures, ranked, strict=True))
        best = max(range(len(results)), key=lambda i: (of[results[i].architecture], -i))
        run.write_json(
            "selection.json",
            {
                "selected": best,
                "epochs": protocol.epochs,
                "candidates": [
                    {
                        "run": str(result.out),
                        "architecture": result.native,
                        "valid_accuracy": of[result.architecture][0],
                        "valid_loss": -of[result.architecture][1],
                    }
                    for result in results
                ],
            },
        )
    return results[best]


def held_out(data: Data) -> Data:
    """Data without its test set: training examples are those for the weights, and the test is the split for the architecture.

    Raises:
        DataError: if a class has fewer than two examples for the weights.
    """
    train, valid = data.train, data.valid
    return assemble(
        f"{data.name}, training part",
        data.x[train],
        data.y[train],
        test=(data.x[valid], data.y[valid]),
        classes=data.classes,
        split=Split(),
        augment=data.augment,
        source=None,
        record={"of": data.fingerprint},
    )
