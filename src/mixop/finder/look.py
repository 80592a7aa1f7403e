"""What one sees in data before anything is trained: how many examples, how the classes are balanced, what is there twice."""

import hashlib
from collections.abc import Iterator

import torch

from mixop.data.core import PARTS, Data
from mixop.report.words import percent


def described(data: Data) -> list[str]:
    """Sentences on a data set: its size, its classes, and what no training can mend.

    Args:
        data: examples with a task.
    """
    counts = ", ".join(
        f"{len(data.at(part)):,} {words}" for part, words in zip(PARTS, ("training", "validation"), strict=False)
    )
    first = (
        f"{data.name}: {counts} and {len(data.test):,} test examples of shape {'x'.join(map(str, data.shape))}, "
        f"task {data.task.name}."
    )
    return [first, *_balance(data), *_copies(data)]


def _balance(data: Data) -> Iterator[str]:
    """How many examples the classes have, and what naming the largest reaches: below it, a network knows nothing."""
    if data.strata is None or not data.task.classes:
        return
    in_train, in_valid = (
        torch.bincount(data.strata[data.at(part).cpu()], minlength=len(data.task.classes)) for part in ("train", "valid")
    )
    fewest, most = int(in_train.min()), int(in_train.max())
    each = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    guess = int(in_valid[in_train.argmax()]) / max(1, len(data.valid))
    yield (
        f"Its {len(data.task.classes)} classes have {each} training examples; naming the largest for everything is right on "
        f"{percent(guess)} of the validation examples."
    )


def _copies(data: Data) -> Iterator[str]:
    """Equal inputs with different targets, and test examples that are trained on; for what lies in memory."""
    inputs = data.examples.inputs
    if inputs is None or data.tokens:
        return
    targets, seen = data.y.cpu(), dict[bytes, list[int]]()
    for at, row in enumerate(inputs.cpu().flatten(1).numpy()):
        seen.setdefault(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), []).append(at)
    tested = {int(at) for at in data.test}
    used = tested | {int(at) for part in ("train", "valid") for at in data.at(part)}
    twins = [[at for at in same if at in used] for same in seen.values() if len(same) > 1]
    doubtful = sum(len(same) for same in twins if any(not torch.equal(targets[same[0]], targets[at]) for at in same))
    if doubtful:
        yield (
            f"{doubtful:,} examples have the same input as another one with another target: their labels are noisy, and no "
            "network can be right on all of them."
        )
    known = sum(len(tested.intersection(same)) for same in twins if not tested.issuperset(same))
    if known:
        yield f"{known:,} test examples are trained on as well, as the same input: the test says too much by them."
