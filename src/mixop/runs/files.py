"""Names of the files of a run directory, and the version of their format. No other file spells them: a test holds that."""

from mixop.core.errors import RunError

FORMAT = 3
"""Version of what these files hold. 1 was before tasks, when every run was about accuracy; 2 was before results were bound to
the files that they depend on."""

FORMAT_FILE = "run.json"
RECIPE = "recipe.json"
SPACE = "space.json"
DATA = "data.json"
SETTINGS = "settings.json"
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"
STATE = "state.pt"
SNAPSHOTS = "snapshots"
ARCHITECTURE = "architecture.json"
COSTS = "costs.json"
RETRAINING = "retrain.json"
RETRAINING_STATE = "retrain.pt"
WEIGHTS = "weights.safetensors"
SCORE = "score.json"
KNOWN = "known.json"
SELECTION = "selection.json"
RANKING = "ranking.json"
FLATNESS = "flatness.json"
LANDSCAPE = "landscape.json"
CURVE = "curve.json"
CURVE_TABLE = "curve.txt"
CURVE_FIGURE = "curve.svg"
REPORT = "report.html"
TENSORBOARD = "tensorboard"
TRIAL = "trial.json"
TRIALS = "trials.jsonl"
COMPARISON = "comparison.json"
COMPARISON_REPORT = "comparison.html"
COMPARISON_TABLE = "table.txt"
COMPARISON_RUNS = "runs.jsonl"
EXPERIMENT = "experiment.json"
EXPERIMENT_REPORT = "experiment.html"
PLANNED = "planned.json"
FORGETTING = "forgetting.json"
TUNING = "tuning.json"
STUDY = "study.journal"
FIND = "find.json"
DECISIONS = "decisions.json"
FIND_REPORT = "find.html"
WORKERS = "workers"
WORKER = "worker.json"
PACE = "pace.json"
LOCK = "run.lock"

IDENTITY = (RECIPE, RETRAINING, COMPARISON)
"""Files one of which every run has: a search, a retraining, a comparison."""


def drawing(group: str, groups: int) -> str:
    """The file that an architecture's cell is drawn in.

    Args:
        group: the cell's group.
        groups: how many there are.
    """
    return "architecture.svg" if groups == 1 else f"architecture-{group}.svg"


def trial_of(number: int) -> str:
    """The run directory of a trial of a tuning, counted from 0."""
    return f"trial-{number}"


def check_format(found: object, where: object) -> None:
    """Refuses files of another version.

    Args:
        found: what the directory says, None for nothing.
        where: the directory.

    Raises:
        RunError: saying which version can read it.
    """
    if found is None:
        raise RunError(
            f"{where} was written by mixop 0.1 before runs had a version, and this version cannot read it: "
            "use that version, or run it again into another directory."
        )
    if found != FORMAT:
        raise RunError(f"{where} has format {found}, and this version of mixop reads {FORMAT}: use the version that wrote it.")
