"""What the searchers that follow a policy's gradient share: Adam, and a moving mean of the rewards."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def adam_step(
    parameters: Vector, gradient: Vector, moments: tuple[Vector, Vector], step: int, *, lr: float
) -> tuple[Vector, tuple[Vector, Vector]]:
    """One step of Adam with its usual decays 0.9 and 0.999 and epsilon 1e-8, downhill.

    Args:
        parameters: where it starts, shape ``(n,)``.
        gradient: of the loss there, shape ``(n,)``.
        moments: moving means of the gradient and of its square, each ``(n,)``; zeros before the first step.
        step: counts the steps, from 1.
        lr: learning rate, > 0.

    Returns:
        The parameters and moments after the step.

    Source: Kingma & Ba 2015 (arXiv:1412.6980), algorithm 1.
    """
    mean = 0.9 * moments[0] + 0.1 * gradient
    square = 0.999 * moments[1] + 0.001 * gradient**2
    scale = np.sqrt(square / (1 - 0.999**step)) + 1e-8
    return parameters - lr * mean / (1 - 0.9**step) / scale, (mean, square)


def moving_mean(memory: dict[str, Any], reward: float, decay: float) -> float:
    """The moving mean of the rewards so far, this one included, without the pull towards 0 of the first few.

    Args:
        memory: holds numerator and denominator under ``baseline``; both are renewed.
        reward: the newest.
        decay: weight of the older ones, in [0, 1).

    Source: the bias correction of Kingma & Ba 2015 (arXiv:1412.6980), section 3.
    """
    above, below = memory.get("baseline", [0.0, 0.0])
    memory["baseline"] = [decay * above + (1 - decay) * reward, decay * below + (1 - decay)]
    return memory["baseline"][0] / memory["baseline"][1]


def log_softmax(logits: Vector) -> Vector:
    """Logarithms of the probabilities that logits ``(n,)`` stand for."""
    shifted = logits - logits.max()
    return shifted - math.log(np.exp(shifted).sum())
