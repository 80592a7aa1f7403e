"""Every protocol from its first step to the exported file: what a retraining writes is what all its readers read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mixop import api
from mixop.data import from_arrays, from_text
from mixop.data.core import Data
from mixop.evaluate.export import export
from mixop.evaluate.protocol import PROTOCOLS
from mixop.evaluate.trained import evaluate_run, load_network
from mixop.report.html import write_report
from mixop.runs.directory import RunDirectory
from mixop.spaces import darts, darts_rnn, enas_macro, enas_micro, nasbench201
from mixop.spaces.core import Space
from mixop.spaces.published import DARTS_RNN_V2, DARTS_V2, ENAS_MICRO


def images(side: int) -> Data:
    count = 36 if side < 100 else 12
    x = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return from_arrays(x, np.arange(count) % 2, valid=0.5, test_share=0.25)


def place(name: str) -> tuple[Space, str | None, Data]:
    """A small space that the protocol is for, an architecture of it, and images as large as its auxiliary head needs."""
    if PROTOCOLS[name].windows is not None:
        said = "the cat sat on the mat\nthe mat was red\n"
        text = from_text(train=said * 12, valid=said * 8, test=said, window=5)
        return darts_rnn(), darts_rnn().to_native(DARTS_RNN_V2), text
    if "imagenet" in name:
        return darts(stem="imagenet"), None, images(224)
    if name == "enas-macro":
        return enas_macro(depth=3), "0\n1 1\n2 0 1", images(8)
    if name == "enas-micro":
        return enas_micro(), enas_micro().to_native(ENAS_MICRO), images(32)
    if PROTOCOLS[name].auxiliary:
        return darts(), None, images(32)
    return (
        nasbench201(channels=4, cells=1),
        "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|none~1|nor_conv_1x1~2|",
        images(8),
    )


# Protocols of the same parts as another, with other numbers.
ALIKE = {"darts-imagenet", "pdarts-imagenet", "nasbench201-12", "darts-wikitext2"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name in ALIKE else []) for name in PROTOCOLS])
def test_a_protocol_is_followed_to_its_end_and_back(name: str, tmp_path: Path):
    space, native, data = place(name)
    protocol = replace(PROTOCOLS[name], epochs=1, batch_size=len(data.train) // 2)
    if protocol.windows is not None:
        protocol = replace(protocol, batch_size=8, network={**protocol.network, "hidden": 6})
    if protocol.cells is not None:
        protocol = replace(protocol, cells=3, channels=4)
    elif protocol.channels is not None:
        protocol = replace(protocol, channels=4)
    result = api.retrain(native or DARTS_V2, space, data, tmp_path, protocol=protocol)
    again = load_network(tmp_path)
    x = data.batch(data.test[None, :5]).x if data.tokens else torch.randn(2, *data.shape)
    with torch.no_grad():
        torch.testing.assert_close(again(x), result.model(x), rtol=0, atol=0)
    # A training lays images out with the channels last, a network that is loaded does not: they round differently.
    assert evaluate_run(tmp_path, data).measures == pytest.approx(result.score.networks[0].measures, rel=1e-6)
    assert export(tmp_path, inputs="normalised")["path"].is_file()
    assert write_report(tmp_path).is_file()
    assert RunDirectory(tmp_path).score() == result.score
    assert result.score.protocol["auxiliary"] == PROTOCOLS[name].auxiliary
