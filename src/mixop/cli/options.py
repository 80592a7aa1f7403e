"""The commands' own flags; everything else that can be set is a field of a recipe, a space, a data set or a protocol."""

from dataclasses import KW_ONLY, dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Search a space for an architecture.

    The run directory keeps everything: the method, the metrics of every epoch, checkpoints, the architecture and a report.
    Given again, the same command goes on where it stopped.

    Args:
        recipe: the method: a name (see mixop list recipes), package.module:function of one's own, or a .json or .toml file:
            the recipe.json of another run, or a variant, which says base = "drnas" and what is different. [drnas]
        space: the search space: a name (see mixop list spaces), or package.module:name of one's own. Sizes left open are
            taken from the data. [nasbench201]
        data: the data set: a name (see mixop list data), or package.module:name of one's own. [digits]
        out: the run directory, new or this search's own. [runs/RECIPE-SPACE-DATA]
        watch: look every so many epochs for signs of a collapse (the loss's sharpness, the gap between supernet and derived
            network) and warn of them while the search runs; 0 does not. [0]
        config: file of settings, .toml or .json; see the end of this page.
        quiet: show nothing while it runs, only the last screen.
        json: write the result as one JSON object, and nothing else, on standard output.
        debug: with an error, show where it came from.
    """

    recipe: str = "drnas"
    space: str = "nasbench201"
    data: str = "digits"
    out: str | None = None
    watch: int = 0
    config: str | None = None
    quiet: bool = False
    json: bool = False
    debug: bool = False


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Run several methods with several seeds, and random search at equal cost beside them.

    Runs go to worker processes. The result is one table and one report: mean, deviation, time and best, for each method.
    Given again, the same command goes on where it stopped; with more methods, seeds or seconds it adds them. A run that
    fails does not stop the others.

    Args:
        recipes: the methods, with commas between them: recipes as in mixop search, and black-box searchers (evolution,
            reinforce, local, bohb, controller), which score their trials as random search does and have its time.
            all stands for every recipe that fits the space. [all]
        space: the search space. [toy]
        data: the data set. [toy for the space toy, else digits]
        seeds: number of runs of each method. [5]
        first_seed: seed of the first of them; the next one has the next number. [0]
        epochs: of each search. [20 on the space toy, else each recipe's own]
        batch_size: of each search. [32 on the space toy, else each recipe's own]
        warmup: epochs at the start of each search that train the weights only, the same for all. [each recipe's own share]
        budget: seconds that the trainings of random search and of each searcher may take; those of a table are the ones that
            they took where it was made. [the median of the recipes' times]
        rates: scaled multiplies the architecture's learning rate by one rule for all methods, so that a search shorter than
            the published one travels as far; paper takes the published rates. [scaled]
        evaluate: optimum asks whether the known best architecture was found; retrain trains what was found from scratch on
            the weight split and scores it on the validation split; table looks it up in a table of trained architectures, and
            trials of black-box searches too; supernet takes the supernet's validation accuracy. [table where --table is
            given, optimum where it is known, else retrain]
        table: a table of mixop table, or the name of one that comes with mixop. [the one of the space]
        dataset: the data set of the table. [the only one]
        test: score by retrain or table on the test set in place of the validation split, once for each run.
        jobs: worker processes. [the number of cores; on a GPU 1]
        out: the directory of the comparison, new or this one's own. [runs/compare-SPACE-DATA]
        config: file of settings, .toml or .json; see the end of this page.
        quiet: show nothing while it runs, only the last screen.
        json: write the result as one JSON object, and nothing else, on standard output.
        debug: with an error, show where it came from.
    """

    recipes: str = "all"
    space: str = "toy"
    data: str | None = None
    seeds: int = 5
    first_seed: int = 0
    epochs: int | None = None
    batch_size: int | None = None
    warmup: int | None = None
    budget: float | None = None
    rates: Literal["scaled", "paper"] = "scaled"
    evaluate: Literal["optimum", "retrain", "table", "supernet"] | None = None
    table: str | None = None
    dataset: str | None = None
    test: bool = False
    jobs: int | None = None
    out: str | None = None
    config: str | None = None
    quiet: bool = False
    json: bool = False
    debug: bool = False


@dataclass(frozen=True)
class ResumeOptions:
    """Go on with what a run directory has not finished: its search, or its retraining.

    It gives what the run would have given had it never been stopped.

    Args:
        run: the run directory.
        quiet: show nothing while it runs, only the last screen.
        json: write the result as one JSON object, and nothing else, on standard output.
        debug: with an error, show where it came from.
    """

    run: str
    _: KW_ONLY
    quiet: bool = False
    json: bool = False
    debug: bool = False


@dataclass(frozen=True)
class RetrainOptions:
    """Train the found architecture from scratch, and random ones beside it, and score them on the test set.

    All training examples are used, those of both splits of the search. Random architectures are trained in the same way, so
    that one sees whether searching was better than picking at random; each of them takes about as long as the found one.
    Without a run directory, --architecture names what to train, and --data on what.

    Args:
        run: the run directory of a finished search. [none: give --architecture]
        architecture: a published cell (see mixop list architectures), or an architecture of the space in its notation, such
            as a genotype.
        space: the space of that architecture, as in mixop search. [darts]
        data: the data set to train it on, as in mixop search. [digits]
        protocol: how to train: a name (see mixop list protocols), or package.module:name of one's own. [quick]
        random: how many random architectures to train beside it. [5 after a search, else 0]
        out: another run directory for the result. [RUN, or runs/ARCHITECTURE-DATA]
        config: file of settings, .toml or .json; see the end of this page.
        quiet: show nothing while it runs, only the last screen.
        json: write the result as one JSON object, and nothing else, on standard output.
        debug: with an error, show where it came from.
    """

    run: str | None = None
    _: KW_ONLY
    architecture: str | None = None
    space: str | None = None
    data: str | None = None
    protocol: str = "quick"
    random: int | None = None
    out: str | None = None
    config: str | None = None
    quiet: bool = False
    json: bool = False
    debug: bool = False


@dataclass(frozen=True)
class EvaluateOptions:
    """Score a run's trained network anew, on its own test set or on another one.

    Args:
        run: the run directory of a finished retraining.
        data: whose test set to use, as in mixop search; images and classes must be like those of the run. [the run's own]
        config: file of settings, .toml or .json; see the end of this page.
        json: write the result as one JSON object, and nothing else, on standard output.
        debug: with an error, show where it came from.
    """

    run: str
    _: KW_ONLY
    data: str | None = None
    config: str | None = None
    json: bool = False
    debug: bool = False


@dataclass(frozen=True, kw_only=True)
class SpeedOptions:
    """Measure how fast a search step is on this machine: executors beside each other, in turns.

    A step is a whole one of the method: batches, augmentation, both halves, clipping, both optimisers, on images that mean
    nothing. The first executor is what the others are compared with. Memory is measured in processes of their own, and what
    the machine can do at most in the same run.

    Args:
        recipe: the method, as in mixop search. [darts]
        space: the search space. Its sizes are the published ones, the images 32 x 32 in colour with 10 classes, unless set.
            [nasbench201]
        executors: which ones, with commas between them. [plain, nodewise and, where it can compute this, fused]
        repeats: steps of each executor that count. [5]
        skip_memory: do not measure memory.
        json: write all figures as one JSON object, and nothing else, on standard output.
        debug: with an error, show where it came from.
    """

    recipe: str = "darts"
    space: str = "nasbench201"
    executors: str | None = None
    repeats: int = 5
    skip_memory: bool = False
    json: bool = False
    debug: bool = False


@dataclass(frozen=True)
class ReportOptions:
    """Write report.html of a run: the cell, the weights over time, the scores, and how to repeat it.

    Of a comparison it writes comparison.html.

    Args:
        run: the run directory, or that of a comparison, finished or not.
        tensorboard: also write the metrics for TensorBoard, into RUN/tensorboard (needs the extra trackers).
        debug: with an error, show where it came from.
    """

    run: str
    _: KW_ONLY
    tensorboard: bool = False
    debug: bool = False


@dataclass(frozen=True)
class ExportOptions:
    """Write the trained network as a file that runs without mixop.

    The file is loaded again and compared with the network on the same images before it is kept.

    Args:
        run: the run directory of a finished retraining.
        format: pt2 for torch.export, onnx for ONNX (needs the extra onnx). [pt2]
        out: the file. [RUN/model.FORMAT]
        debug: with an error, show where it came from.
    """

    run: str
    _: KW_ONLY
    format: Literal["pt2", "onnx"] = "pt2"
    out: str | None = None
    debug: bool = False


@dataclass(frozen=True)
class ListOptions:
    """List what there is to choose from.

    Args:
        topic: one of recipes, searchers, spaces, data, relaxations, protocols, architectures, operations, tables, experiments.
            [all of them]
        json: write one JSON object of names and descriptions on standard output.
        debug: with an error, show where it came from.
    """

    topic: str | None = None
    _: KW_ONLY
    json: bool = False
    debug: bool = False
