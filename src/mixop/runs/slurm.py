"""Runs as jobs of Slurm, by submitit."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from mixop.core.errors import RunError
from mixop.core.extras import package
from mixop.core.schedules import check_range
from mixop.runs.remote import Ended, Errand, LostError, Remote, Sent

JOBS = "submitit"
"""The folder of submitit's own files, in the folder of the workers."""


@dataclass(frozen=True, kw_only=True)
class Slurm(Remote):
    """Jobs of Slurm, one for each run; give the command where ``sbatch`` works.

    Args:
        partition: where jobs are queued; None for the cluster's own.
        account: that pays; None for the user's own.
        memory_gb: of a run, in GB; None for the cluster's own.
        hours: that a job may take; a run that needs longer is queued again, and goes on.
        cluster: ``slurm``, or ``local`` for processes of this machine in its place, to try it out.
    """

    words: ClassVar[str] = "jobs of Slurm"

    partition: str | None = None
    account: str | None = None
    memory_gb: float | None = None
    hours: float = 24.0
    cluster: Literal["slurm", "local"] = "slurm"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("number of hours of a job", self.hours, above=0)
        if self.memory_gb is not None:
            check_range("memory of a run in GB", self.memory_gb, above=0)

    @contextmanager
    def sending(self, folder: Path, gpus: int, jobs: int | None) -> Iterator[Callable[[Sequence[Errand]], list[Sent]]]:
        submitit = package("submitit", "--runner slurm")
        logging.getLogger("submitit").setLevel(logging.ERROR)  # else it reports every job that was lost on standard error
        try:
            executor = submitit.AutoExecutor(folder / JOBS, cluster=self.cluster, slurm_max_num_timeout=1000)
        except RuntimeError as error:
            raise RunError(
                f"Slurm cannot be used here ({str(error).splitlines()[0].rstrip('.')}): give the command on a machine that has "
                "sbatch, or use another --runner."
            ) from error
        given = {
            "slurm_partition": self.partition,
            "slurm_account": self.account,
            "mem_gb": self.memory_gb,
            "slurm_array_parallelism": jobs,
        }
        executor.update_parameters(
            name="mixop",
            timeout_min=max(1, round(60 * self.hours)),
            cpus_per_task=self.cores or 1,
            gpus_per_node=gpus,
            **{name: value for name, value in given.items() if value is not None},
        )

        def send(errands: Sequence[Errand]) -> list[Sent]:
            with executor.batch() if len(errands) > 1 else nullcontext():  # one array in place of many jobs
                sent = [executor.submit(errand) for errand in errands]
            return [_Job(job) for job in sent]

        yield send


class _Job:
    """A job of submitit."""

    def __init__(self, job: Any) -> None:
        self.job = job

    def ended(self) -> bool:
        return self.job.done()

    def result(self) -> Ended:
        errors = package("submitit", "--runner slurm").core.utils
        try:
            return self.job.result()
        except errors.FailedJobError as error:  # an error of Python outside of the task, which another try would meet again
            return Ended(f"The worker could not do its task ({str(error).strip().splitlines()[-1]}).")
        except errors.UncompletedJobError as error:
            raise LostError(f"job {self.job.job_id} ended without a result, its state is {self.job.state.lower()}") from error

    def cancel(self) -> None:
        self.job.cancel(check=False)
