"""Training an architecture from scratch, scoring it, and exporting the trained network."""

from mixop.evaluate.export import export
from mixop.evaluate.predict import Prediction, predict
from mixop.evaluate.protocol import PROTOCOLS, Protocol
from mixop.evaluate.retrain import Retraining, random_architectures
from mixop.evaluate.score import evaluate_network, multiply_adds, parameters
from mixop.evaluate.trained import evaluate_run, load_network

__all__ = [
    "PROTOCOLS",
    "Prediction",
    "Protocol",
    "Retraining",
    "evaluate_network",
    "evaluate_run",
    "export",
    "load_network",
    "multiply_adds",
    "parameters",
    "predict",
    "random_architectures",
]
