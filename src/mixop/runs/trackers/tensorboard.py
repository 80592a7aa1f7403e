"""TensorBoard: event files in the run directory, in place of those written before."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mixop.core.errors import RunError
from mixop.core.extras import package
from mixop.runs.files import TENSORBOARD
from mixop.runs.records import SearchRecord
from mixop.runs.trackers.base import Ending, Tracker
from mixop.runs.trackers.logged import Row, Told

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter


class TensorBoard(Tracker):
    """The search and every trained network, each a run of TensorBoard: ``search``, ``found``, ``random-1`` and so on.

    They lie in ``RUN/tensorboard`` and are written from the beginning each time. Beside what every tracker is given they have
    each mixing weight by itself, as ``GROUP SOURCE-TARGET/OPTION``, those of a group as a histogram, and the texts of monitors.
    """

    label = "TensorBoard"
    module = "tensorboard"

    def __init__(self, run: Told) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self.run, self.folder, self.writer = run, run.path / TENSORBOARD, SummaryWriter
        self.writers: dict[str, SummaryWriter] = {}
        self.place = f"tensorboard --logdir {self.folder}"

    @classmethod
    def open(cls, run: Told) -> Self:
        package(cls.module, "Tracking")  # its writer is torch's, which says less
        view = cls(run)
        try:
            for old in view.folder.glob("*/events.out.tfevents.*"):
                old.unlink()
            view.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_write(view.folder, error) from error
        return view

    def log(self, number: int, row: Row) -> None:
        try:
            if row.part not in self.writers:
                self.writers[row.part] = self.writer(str(self.folder / row.part), flush_secs=5)
            self._write(self.writers[row.part], row)
        except OSError as error:
            raise cannot_write(self.folder, error) from error

    def _write(self, writer: "SummaryWriter", row: Row) -> None:
        for tag, value in row.values.items():
            writer.add_scalar(tag, value, row.epoch, row.at)
        record = row.record
        if isinstance(record, SearchRecord):
            for name, text in {**record.columns, "action": record.action}.items():
                if isinstance(text, str) and text:
                    writer.add_text(f"monitors/{name}", text, row.epoch, row.at)
            for group, rows in record.mix.items():
                writer.add_histogram(f"mixing weights/{group}", np.array(rows), row.epoch, walltime=row.at)
                for weights, (edge, options) in zip(rows, self.run.names[group], strict=True):
                    for weight, option in zip(weights, options, strict=True):
                        writer.add_scalar(f"{group} {edge}/{option}", weight, row.epoch, row.at)

    def close(self, ending: Ending, config: Mapping[str, Any], files: Sequence[Path]) -> None:
        for writer in self.writers.values():
            writer.close()


def cannot_write(folder: Path, error: OSError) -> RunError:
    """The sentence for a folder that takes no files."""
    return RunError(f"Cannot write {folder} ({error.strerror or error}): make room, or change its permissions.")
