"""How many images a second one core augments: CIFAR-sized, crop, flip and normalisation, without and with cutout.

python studies/augmentation.py
"""

import statistics
import time
from dataclasses import replace

import torch

from mixop.data import CIFAR10_DARTS


def main() -> None:
    """Measures and prints."""
    torch.set_num_threads(1)
    x = torch.randint(0, 256, (50_000, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    generator = torch.Generator().manual_seed(1)
    for cutout in (0, 16):
        augment = replace(CIFAR10_DARTS, cutout=cutout)
        rates = []
        for _ in range(8):
            order = torch.randperm(len(x), generator=generator)[:2048]
            begin = time.perf_counter()
            for at in order.split(64):
                augment.images(x[at], generator)
            rates.append(len(order) / (time.perf_counter() - begin))
        rates = rates[1:]  # the first one is slower: it allocates the memory
        print(f"cutout {cutout}: {statistics.median(rates):,.0f} images/s ({min(rates):,.0f} to {max(rates):,.0f})")


if __name__ == "__main__":
    main()
