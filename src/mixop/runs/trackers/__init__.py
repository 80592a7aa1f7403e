"""Trackers: views of what run directories hold, written while a run works or later."""

from collections.abc import Mapping

from mixop.runs.trackers.base import Tracker
from mixop.runs.trackers.mlflow import MLflow
from mixop.runs.trackers.tensorboard import TensorBoard
from mixop.runs.trackers.wandb import Trackio, Wandb

TRACKERS: Mapping[str, type[Tracker]] = {"tensorboard": TensorBoard, "wandb": Wandb, "trackio": Trackio, "mlflow": MLflow}
"""Every tracker by its word on the command line and in ``track=``."""
