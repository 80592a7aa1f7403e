"""The commands' own flags; everything else that can be set is a field of a recipe, a space, a data set or a protocol.

The help is made from these classes. A default other than None is shown from the field itself; where it is None, the
docstring says in brackets what then happens.
"""

from dataclasses import KW_ONLY, dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Search a space for an architecture.

    The run directory keeps everything: the method, the metrics of every epoch, checkpoints, the architecture and a report.
    If the search is stopped, the same command continues it.

    Args:
        recipe: the method: a name from mixop list recipes, package.module:function, or a .json or .toml file, which is the
            recipe.json of a run or a variant (base = "drnas" and the changes).
        space: the search space: a name from mixop list spaces, package.module:name of a space of your own, or of a class or
            function that makes a model with mixop.Choice in it, whose arguments are flags too. Sizes that it leaves open are
            taken from the data.
        data: the data set: a name from mixop list data, or package.module:name.
        minutes: search about this long on this machine: as many epochs as fit, but no more than --epochs; rates are scaled
            to that length.
        out: the run directory, new or of this same search. [runs/RECIPE-SPACE-DATA]
        seeds: number of searches, with seeds from --seed on, of which the best is kept: each architecture is trained briefly
            on the split for the weights and scored on the validation split.
        watch: epochs between two checks for a collapse, which warn of a sharp loss or a gap between the supernet and the
            derived network; 0 is off.
        rates: scaled raises the architecture's learning rate where the search is shorter than the published one, so that it
            can move as far; a rate that you set stays. paper takes the recipe as it is.
        track: live views: tensorboard, wandb, trackio, mlflow.
        config: a .toml or .json file of settings, as in --help-all.
        quiet: show nothing until the result.
        json: print the result as one JSON object, and nothing else.
        trust: a module of your own, or of somebody you trust, that files of a run or of settings may name; may be repeated.
        debug: after an error, show where it came from.
    """

    recipe: str = "drnas"
    space: str = "nasbench201"
    data: str = "digits"
    minutes: float | None = None
    out: str | None = None
    seeds: int = 1
    watch: int = 0
    rates: Literal["scaled", "paper"] = "scaled"
    track: tuple[str, ...] = ()
    config: str | None = None
    quiet: bool = False
    json: bool = False
    trust: tuple[str, ...] = ()
    debug: bool = False


@dataclass(frozen=True)
class FindOptions:
    """Find a network for a data set in a given time, and train it.

    Known good networks are trained briefly, and the better half of them, by validation score, goes on. Where a search may gain
    more than as much training, it works in the space of the best of them; what it finds is compared with the best known ones
    and a random architecture. The winner is trained on all training examples for the rest of the time, and scored once on the
    test examples. If the command is stopped, the same command continues it.

    Args:
        data: a folder of images with a subfolder for each class, a file (.npz, .txt), a name from mixop list data, or
            package.module:name.
        minutes: the time for everything.
        max_params: the most parameters that the network may have.
        max_flops: the most multiply-adds for one example.
        max_latency_ms: the most milliseconds for one example on this machine.
        latency: a table of another device, which mixop speed --latency wrote there: its milliseconds count.
        recipe: the method that searches, a name from mixop list recipes. [the first of gaea, dsnas that there is time for]
        runner: who trains and searches: local for processes of this machine, slurm for jobs of a cluster (needs the extra
            slurm), ray for tasks of one (needs the extra ray).
        jobs: trainings, or searches, at a time: more of them buy more in the same minutes. A single local one is this process.
        out: the directory, new or of this same command. [runs/find-DATA]
        config: a .toml or .json file of settings, as in --help-all.
        quiet: show nothing until the result.
        json: print the result as one JSON object, and nothing else.
        trust: a module of your own, or of somebody you trust, that files of a run or of settings may name; may be repeated.
        debug: after an error, show where it came from.
    """

    data: str
    _: KW_ONLY
    minutes: float = 10.0
    max_params: float | None = None
    max_flops: float | None = None
    max_latency_ms: float | None = None
    latency: str | None = None
    recipe: str | None = None
    runner: str = "local"
    jobs: int = 1
    out: str | None = None
    config: str | None = None
    quiet: bool = False
    json: bool = False
    trust: tuple[str, ...] = ()
    debug: bool = False


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Run several methods with several seeds each, beside a random search of equal cost.

    The runs go to worker processes. The result is a table and a report: for each method the mean, the deviation, the best
    score and the time. If the comparison is stopped, the same command continues it; with more methods, seeds or seconds it
    adds them. A run that fails does not stop the others.

    Args:
        recipes: the methods, separated by commas: recipes, as in mixop search, and black-box searchers (evolution, reinforce,
            local, bohb, controller), which score their trials as random search does and get as much time. all is every recipe
            that fits the space.
        space: the search space, as in mixop search.
        data: the data set, as in mixop search. [toy for the space toy, else digits]
        seeds: number of runs of each method.
        first_seed: seed of the first run of each method; the following runs count up from it.
        epochs: length of each search. [20 on the space toy, else each recipe's own]
        batch_size: examples in a batch of each search. [32 on the space toy, else each recipe's own]
        warmup: epochs at the start of each search that train the weights only, the same for all. [each recipe's own share]
        budget: seconds of training that random search and each searcher may use; with a table, the seconds recorded in it.
            [the median of the recipes' times]
        known: well-known networks that take part, each for as long as search and training take, or as long as random search
            alone. [2 where found ones are trained, else 0]
        rates: scaled multiplies the architecture's learning rate by the same rule for all methods, so that a shorter search
            moves as far as the published one; paper keeps the published rates.
        evaluate: optimum checks whether the known best architecture was found; retrain trains what was found from scratch on
            the weight split and scores it on the validation split; table takes that score, and those of black-box trials,
            from a table of trained architectures; supernet takes the supernet's validation score. [table with --table,
            optimum where it is known, else retrain]
        table: a table made by mixop table, or the name of one that comes with mixop. [the one of the space]
        dataset: the data set within the table. [the only one]
        test: with retrain or table, score on the test set instead of the validation split, once for each run.
        runner: who computes the runs: local for processes of this machine, slurm for jobs of a cluster (needs the extra
            slurm), ray for tasks of one (needs the extra ray).
        jobs: runs at a time. [local: as many as cores, or GPUs; else no limit]
        out: the directory of the comparison, new or of this same one. [runs/compare-SPACE-DATA]
        track: live views: tensorboard, wandb, trackio, mlflow.
        config: a .toml or .json file of settings, as in --help-all.
        quiet: show nothing until the result.
        json: print the result as one JSON object, and nothing else.
        trust: a module of your own, or of somebody you trust, that files of a run or of settings may name; may be repeated.
        debug: after an error, show where it came from.
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
    known: int | None = None
    rates: Literal["scaled", "paper"] = "scaled"
    evaluate: Literal["optimum", "retrain", "table", "supernet"] | None = None
    table: str | None = None
    dataset: str | None = None
    test: bool = False
    runner: str = "local"
    jobs: int | None = None
    out: str | None = None
    track: tuple[str, ...] = ()
    config: str | None = None
    quiet: bool = False
    json: bool = False
    trust: tuple[str, ...] = ()
    debug: bool = False


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """Tune the settings of a search: rates, lengths, the method, sizes of the space.

    Optuna suggests; each trial is a search in a run directory of its own, scored as mixop compare scores it, and stopped
    between two epochs if it falls behind. The same command continues; in a second terminal it works beside the first one.

    Args:
        range: a field by the name of its flag, and its bounds: recipe.epochs=5:50; rates with :log. May be repeated.
        choice: a field and its values: recipe=darts,gaea. May be repeated.
        recipe: the method, as in mixop search.
        space: the search space, as in mixop search.
        data: the data set, as in mixop search. [toy for the space toy, else digits]
        protocol: of the trainings that score what is found. [quick, of 10 epochs]
        trials: number of trials, also of those that failed or were pruned.
        sampler: what suggests the settings of a trial.
        pruner: what stops searches that fall behind. [median; none with --cost]
        cost: a second objective, the less the better: seconds of the search; parameters or multiply-adds of the network.
        storage: where the study is kept: a URL such as sqlite:///a.db, or the path of a journal. [a journal in OUT]
        evaluate: as in mixop compare. [table with --table, optimum where it is known, else retrain]
        table: as in mixop compare. [the one of the space]
        dataset: the data set within the table. [the only one]
        rates: scaled raises the architecture's learning rate in a short search; a tuned rate stays. paper takes it as it is.
        runner: who computes the trials, as in mixop compare.
        jobs: workers that take trials; a single local one is this process.
        out: the directory, new or of this same tuning. [runs/tune-RECIPE-SPACE]
        config: a .toml or .json file of settings, as in --help-all.
        quiet: show nothing until the result.
        json: print the result as one JSON object, and nothing else.
        trust: a module of your own, or of somebody you trust, that files of a run or of settings may name; may be repeated.
        debug: after an error, show where it came from.
    """

    range: tuple[str, ...] = ()
    choice: tuple[str, ...] = ()
    recipe: str = "drnas"
    space: str = "nasbench201"
    data: str | None = None
    protocol: str | None = None
    trials: int = 20
    sampler: Literal["tpe", "random", "nsga2"] = "tpe"
    pruner: Literal["median", "halving", "hyperband", "none"] | None = None
    cost: Literal["seconds", "parameters", "flops"] | None = None
    storage: str | None = None
    evaluate: Literal["optimum", "retrain", "table", "supernet"] | None = None
    table: str | None = None
    dataset: str | None = None
    rates: Literal["scaled", "paper"] = "scaled"
    runner: str = "local"
    jobs: int = 1
    out: str | None = None
    config: str | None = None
    quiet: bool = False
    json: bool = False
    trust: tuple[str, ...] = ()
    debug: bool = False


@dataclass(frozen=True, kw_only=True)
class Lists:
    """The file of index lists that a run's data were divided by.

    Args:
        index_file: where it is now; none for where it was.
    """

    index_file: str | None = None


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run's data are now, if they are not where they were: they must be the same, to the last example.

    Args:
        path: the file or the folder; none for where it was.
        split: the file of index lists, if there is one.
    """

    path: str | None = None
    split: Lists = Lists()


@dataclass(frozen=True)
class ResumeOptions:
    """Continue the search or the retraining that a run directory has not finished.

    The result is the one that the run would have had without the interruption. If its data are elsewhere now, --data.path
    says where.

    Args:
        run: the run directory.
        track: live views: tensorboard, wandb, trackio, mlflow.
        quiet: show nothing until the result.
        json: print the result as one JSON object, and nothing else.
        trust: a module of your own, or of somebody you trust, that files of a run or of settings may name; may be repeated.
        debug: after an error, show where it came from.
    """

    run: str
    _: KW_ONLY
    track: tuple[str, ...] = ()
    quiet: bool = False
    json: bool = False
    trust: tuple[str, ...] = ()
    debug: bool = False


@dataclass(frozen=True)
class RetrainOptions:
    """Train the found architecture, with random ones beside it, and score them on the test set.

    The training uses all training examples, those of both splits of the search. Random architectures are trained in the same
    way, which shows whether the search did better than chance. A well-known network has the time of search and training
    together, which shows whether it paid. Without a run directory, --architecture says what to train, and --data on what.

    Args:
        run: the run directory of a finished search. [none: give --architecture]
        architecture: one from mixop list architectures, one in its space's notation, or random:SEED. [the run's]
        space: the space of --architecture, as in mixop search; a published one has its own. [darts]
        data: the data set for --architecture, as in mixop search. [digits]
        protocol: how to train: a name from mixop list protocols, or package.module:name.
        random: how many random architectures to train beside it. [5 after a search, else 0]
        known: how many well-known networks to train as well, at most 2, with as many parameters, each for as long as search
            and training took together. [1 beside random ones, 0 with --minutes]
        start: scratch draws the weights again; supernet begins with those that the search of RUN has learnt for each
            architecture, with the statistics of batch norms measured on training batches.
        minutes: train the found and the random networks in about this time, but for no more than the protocol's epochs.
        out: another run directory for the result. [RUN, or runs/ARCHITECTURE-DATA]
        track: live views: tensorboard, wandb, trackio, mlflow.
        config: a .toml or .json file of settings, as in --help-all.
        quiet: show nothing until the result.
        json: print the result as one JSON object, and nothing else.
        trust: a module of your own, or of somebody you trust, that files of a run or of settings may name; may be repeated.
        debug: after an error, show where it came from.
    """

    run: str | None = None
    _: KW_ONLY
    architecture: str | None = None
    space: str | None = None
    data: str | None = None
    protocol: str = "quick"
    random: int | None = None
    known: int | None = None
    start: Literal["scratch", "supernet"] = "scratch"
    minutes: float | None = None
    out: str | None = None
    track: tuple[str, ...] = ()
    config: str | None = None
    quiet: bool = False
    json: bool = False
    trust: tuple[str, ...] = ()
    debug: bool = False


@dataclass(frozen=True)
class EvaluateOptions:
    """Score a run's trained network again, on its own test set or on another one.

    Args:
        run: the run directory of a finished retraining.
        data: the data set to score it on, as in mixop search; its examples must be like those of the run. [the run's own]
        config: a .toml or .json file of settings, as in --help-all.
        json: print the result as one JSON object, and nothing else.
        trust: a module of your own, or of somebody you trust, that files of a run or of settings may name; may be repeated.
        debug: after an error, show where it came from.
    """

    run: str
    _: KW_ONLY
    data: str | None = None
    config: str | None = None
    json: bool = False
    trust: tuple[str, ...] = ()
    debug: bool = False


@dataclass(frozen=True)
class PredictOptions:
    """Say what a run's trained network makes of new inputs.

    Images are brought to the network's size, and everything is normalised as in the training. Networks that give each example
    one class say its name and how probable they think it is.

    Args:
        run: the run directory of a finished retraining.
        file: image files; or one .npy file of examples, or one .npz file that holds them under x, images, signals, features,
            inputs or data.
        json: print one JSON object, and nothing else.
        trust: a module of your own, or of somebody you trust, that files of a run or of settings may name; may be repeated.
        debug: after an error, show where it came from.
    """

    run: str
    file: tuple[str, ...]
    _: KW_ONLY
    json: bool = False
    trust: tuple[str, ...] = ()
    debug: bool = False


@dataclass(frozen=True, kw_only=True)
class SpeedOptions:
    """Measure how fast a search step is on this machine, for several executors in turn.

    A step is a whole one of the method: batches, augmentation, both halves, clipping and both optimisers, on random
    images, or on a random text. The other executors are compared with the first. Memory is measured in separate
    processes, and the same run measures the most that the machine can do.

    Args:
        recipe: the method, as in mixop search.
        space: the search space, at its published sizes unless flags change them, with 32 x 32 images in colour, signals of
            128 samples or 64 features, each of 10 classes, or a text of 10,000 words.
        retrain: measure a training step of this network instead: one from mixop list architectures, or one in the notation of
            --space.
        protocol: with --retrain, how it is trained, and the sizes of the network. [the published one]
        size: side of the images, or samples of the signals. [those of the space's data]
        executors: which ones, separated by commas. [plain, nodewise and, where it can compute this, fused]
        repeats: counted steps of each executor.
        skip_memory: do not measure memory.
        latency: measure instead what the layers of the space's networks take, one example at a time, and write the table to
            this file; mixop find --latency reads it, there or on another machine.
        data: with --latency, the data set: the table is of all that mixop find may build for it. [the space's networks]
        device_name: with --latency, what the table calls this machine. [its name]
        json: print all figures as one JSON object, and nothing else.
        trust: a module of your own, or of somebody you trust, that files of a run or of settings may name; may be repeated.
        debug: after an error, show where it came from.
    """

    recipe: str = "darts"
    space: str = "nasbench201"
    retrain: str | None = None
    protocol: str | None = None
    size: int | None = None
    executors: str | None = None
    repeats: int = 5
    skip_memory: bool = False
    latency: str | None = None
    data: str | None = None
    device_name: str | None = None
    json: bool = False
    trust: tuple[str, ...] = ()
    debug: bool = False


@dataclass(frozen=True)
class ReportOptions:
    """Write report.html of a run: the cell, the weights over time, the scores, and how to repeat it.

    For a comparison it writes comparison.html.

    Args:
        run: the directory of a run or of a comparison, finished or not.
        debug: after an error, show where it came from.
    """

    run: str
    _: KW_ONLY
    debug: bool = False


@dataclass(frozen=True)
class WatchOptions:
    """Show runs in a browser while they go on: curves, weights, the cell as it would be derived now, warnings, time left.

    The page follows every run below the directory, running or finished, those of mixop compare, tune and find too, and overlays
    the curves of several. It reads their files and nothing else, so it may begin and end at any time. It is served on this
    machine alone, until Ctrl-C.

    Args:
        folder: the directory of a run, of a comparison or of a tuning, or any with runs below it.
        port: where the page is served; 0 for any free one. [8642, or any free one where that is taken]
        host: the address to serve it on. With any but this machine's own (127.0.0.1) others can reach it who have the whole
            address, which then holds a token; it is not encrypted.
        debug: after an error, show where it came from.
    """

    folder: str
    _: KW_ONLY
    port: int | None = None
    host: str = "127.0.0.1"
    debug: bool = False


@dataclass(frozen=True)
class ExportOptions:
    """Write the trained network as a file that runs without mixop.

    Before the file is kept, it is loaded again and compared with the network on the same images.

    Args:
        run: the run directory of a finished retraining.
        format: pt2 for torch.export, onnx for ONNX (needs the extra onnx).
        out: the file. [RUN/model.FORMAT]
        inputs: raw for a file that takes inputs as they are (images of any size, 0 to 255) and gives probabilities or values;
            normalised for the network alone.
        trust: a module of your own, or of somebody you trust, that files of a run or of settings may name; may be repeated.
        debug: after an error, show where it came from.
    """

    run: str
    _: KW_ONLY
    format: Literal["pt2", "onnx"] = "pt2"
    out: str | None = None
    inputs: Literal["raw", "normalised"] = "raw"
    trust: tuple[str, ...] = ()
    debug: bool = False


@dataclass(frozen=True)
class TrackOptions:
    """Send a run, or all runs below a directory, to a tracker.

    The run directory has everything; a tracker is a view of it. What is there from before is not repeated, so the same command
    sends what has come since then.

    Args:
        run: the run directory, or one with several runs in it.
        to: tensorboard, wandb, trackio or mlflow, or several with commas.
        debug: after an error, show where it came from.
    """

    run: str
    _: KW_ONLY
    to: tuple[str, ...] = ()
    debug: bool = False


@dataclass(frozen=True)
class ListOptions:
    """List the names to choose from: recipes, spaces, data sets and parts.

    Args:
        topic: one of recipes, searchers, spaces, data, relaxations, protocols, architectures, operations, tables, experiments
            and published, the numbers that papers report. [all of them]
        json: print one JSON object of names and descriptions; of published numbers with all that is known of each.
        debug: after an error, show where it came from.
    """

    topic: str | None = None
    _: KW_ONLY
    json: bool = False
    debug: bool = False
