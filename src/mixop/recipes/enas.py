"""ENAS: a recurrent policy, rewarded with the accuracy under shared weights."""

from mixop.bilevel.score_function import ScoreFunction
from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Constant, Cosine
from mixop.derive.sampled import BestSampled
from mixop.recipe.core import Recipe
from mixop.recipes._base import benchmark
from mixop.relax.policy import LstmPolicy


def enas(*, epochs: int = 250) -> Recipe:
    """ENAS: an LSTM proposes architectures, shared weights score them, REINFORCE follows the accuracy.

    The published search alternates an epoch of weights with 50 steps of the policy; here one policy step follows every fourth
    weight step, 49 an epoch on CIFAR-10. The published cosine of the weights falls for 10 epochs and rises for 10, over and
    over; ours falls once. The 20 samples of a policy step are scored on one batch here, on one each there. The whole entropy of
    every decision is rewarded, as in the code for cells. In the benchmark's code that reward is not held constant, and its
    derivative, times the log-probability, lowers the entropy; ours raises it (its weight is 1e-4).

    The baseline is that of the original code, updated with every sample. In the benchmark's it is the last one of the epoch
    before, moved by a hundredth, and in the first epoch the reward itself, so that the policy learns nothing of the accuracy
    there. The second layer of the policy's LSTM and all biases begin wider there, as torch has them.

    How many architectures the paper compares in the end is unverified; 100 is the benchmark's number. All of them are scored on
    the same 512 examples, as in `rsws`, without augmentation; the benchmark's code augments them as in training.

    In a short search the policy hardly moves, so the method comes close to `rsws`: it found the toy's optimum from 3 of 5
    seeds. A larger rate made it worse there (0 of 5 at a hundredfold), because the weights follow a policy that decides too
    soon.

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: 54.30 +- 0.00 (Chen et al. 2021, table 4)
        ours: 91.6 +- 0.5 at a small scale, 3 seeds (docs/results.md)

    Source: Pham et al. 2018 (arXiv:1802.03268); settings of Dong & Yang 2020 (arXiv:2001.00326).
    """
    return benchmark(
        "enas",
        epochs,
        relaxation=LstmPolicy(hidden=32, layers=2, tanh=2.5, temperature=5.0),
        scheme=ScoreFunction(samples=20, reward="measure", baseline_decay=0.99, entropy_weight=1e-4),
        weight_optimiser=SGD(lr=Cosine(0.05, 0.0005), momentum=0.9, weight_decay=2.5e-4, nesterov=True),
        architecture_optimiser=Adam(lr=Constant(1e-3), betas=(0.0, 0.999), weight_decay=0.0, eps=1e-3),
        derivation=BestSampled(samples=100, batches=4, norm="batch", by="draw"),
        batch_size=128,
        architecture_clip=5.0,
        architecture_every=4,
        order="weights_first",
    )
