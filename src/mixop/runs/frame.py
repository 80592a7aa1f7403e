"""What runs wrote down, as a table of pandas."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mixop.core.extras import package
from mixop.runs.records import NetworkScore, SearchRecord

if TYPE_CHECKING:
    import pandas


def frame(rows: Iterable[Mapping[str, Any]]) -> "pandas.DataFrame":
    """A table with a row for each mapping.

    Args:
        rows: their values by column.

    Raises:
        MissingExtraError: if pandas is not installed.
    """
    return package("pandas", "A frame of results").DataFrame([dict(row) for row in rows])


def epoch_rows(records: Sequence[SearchRecord]) -> list[dict[str, Any]]:
    """A row for each epoch of a search: ``train_loss``, ``valid_accuracy`` and so on, and what monitors measured."""
    return [
        {
            "epoch": record.epoch,
            "seconds": record.seconds,
            **{f"train_{name}": value for name, value in record.train.items()},
            **{f"valid_{name}": value for name, value in record.valid.items()},
            "learning_rate": record.learning_rate,
            "architecture_rate": record.architecture_rate,
            "entropy": record.entropy,
            "skip_share": record.skip_share,
            **record.columns,
            "architecture": record.architecture,
        }
        for record in records
    ]


def network_rows(networks: Sequence[NetworkScore]) -> list[dict[str, Any]]:
    """A row for each network that was trained."""
    return [
        {
            "label": network.label,
            **network.measures,
            "parameters": network.parameters,
            "flops": network.flops,
            "epochs": network.epochs,
            "seconds": network.seconds,
            "seed": network.seed,
            "architecture": network.architecture,
        }
        for network in networks
    ]
