import json
import tomllib
from dataclasses import replace

import pytest

from mixop.core.errors import DataError, RecipeError
from mixop.core.optim import SGD, Adam, ExponentiatedGradient
from mixop.core.schedules import Cosine, CosineRestarts, Progress
from mixop.core.values import changed
from mixop.evaluate.protocol import PARTS, PROTOCOLS, Protocol, protocol_from_json, protocol_to_json
from mixop.nets.ops import BatchNorm
from mixop.spaces import darts, enas_macro, enas_micro
from mixop.spaces.toy import Toy

QUICK = PROTOCOLS["quick"]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_survives_json(name):
    assert PROTOCOLS[name].name == name
    assert protocol_from_json(json.loads(json.dumps(protocol_to_json(PROTOCOLS[name])))) == PROTOCOLS[name]


def test_adam_and_overrides_survive_json():
    protocol = Protocol(name="mine", epochs=3, batch_size=8, optimiser=Adam(lr=1e-3), crop=1, flip=False, cutout=2)
    assert protocol_from_json(json.loads(json.dumps(protocol_to_json(protocol)))) == protocol


def test_the_benchmark_protocol_is_the_published_one():
    for name, epochs in (("nasbench201", 200), ("nasbench201-12", 12)):
        protocol = PROTOCOLS[name]
        assert protocol.optimiser == SGD(lr=Cosine(0.1, 0.0), momentum=0.9, weight_decay=5e-4, nesterov=True)
        assert (protocol.epochs, protocol.batch_size, protocol.clip, protocol.label_smoothing) == (epochs, 256, 0.0, 0.0)
        assert (protocol.crop, protocol.flip, protocol.cutout) == (4, True, 0)
        rate = protocol.optimiser.lr
        assert rate(Progress(epochs // 2, epochs)) == pytest.approx(0.05)


def test_the_protocol_of_darts_is_the_published_one():
    protocol = PROTOCOLS["darts-cifar10"]
    assert (protocol.cells, protocol.channels, protocol.epochs, protocol.batch_size) == (20, 36, 600, 96)
    assert protocol.optimiser == SGD(lr=Cosine(0.025, 0.0), momentum=0.9, weight_decay=3e-4)
    assert (protocol.clip, protocol.auxiliary, protocol.drop_path, protocol.cutout, protocol.crop) == (5.0, 0.4, 0.2, 16, 4)
    assert protocol.label_smoothing == 0


def test_the_protocols_of_imagenet_are_the_published_ones():
    darts, linear = PROTOCOLS["darts-imagenet"], PROTOCOLS["pdarts-imagenet"]
    for protocol in (darts, linear):
        assert (protocol.cells, protocol.channels, protocol.epochs, protocol.clip) == (14, 48, 250, 5.0)
        assert (protocol.label_smoothing, protocol.auxiliary, protocol.drop_path) == (0.1, 0.4, 0.0)
        assert (protocol.resized_crop, protocol.flip, protocol.jitter) == (True, True, (0.4, 0.4, 0.4, 0.2))
        assert (protocol.optimiser.momentum, protocol.optimiser.weight_decay) == (0.9, 3e-5)
    assert (darts.batch_size, linear.batch_size) == (128, 1024)
    rates = [darts.optimiser.lr(Progress(epoch, 250)) for epoch in (0, 1, 100)]
    assert rates == pytest.approx([0.1, 0.097, 0.1 * 0.97**100])
    rates = [linear.optimiser.lr(Progress(epoch, 250)) for epoch in (0, 4, 5, 244, 245, 249)]
    by_hand = [0.1, 0.5, 0.5 * 240 / 245, 0.5 * 1 / 245, 0.5 * 5 / (245 * 5), 0.5 * 1 / (245 * 5)]
    assert rates == pytest.approx(by_hand)


def test_settings_can_be_changed_by_a_file():
    text = "epochs = 7\nlabel_smoothing = 0.1\n[optimiser]\nmomentum = 0.5\nlr = {type = 'Constant', value = 0.02}"
    protocol = changed(QUICK, tomllib.loads(text), PARTS, "protocol")
    assert (protocol.epochs, protocol.label_smoothing, protocol.optimiser.momentum) == (7, 0.1, 0.5)
    assert protocol.optimiser.lr(0.3) == 0.02
    assert protocol.batch_size == QUICK.batch_size


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"epochs": 0}, "epochs of a retraining must be a whole number of at least 1, got 0"),
        ({"epochs": 2.5}, "whole number"),
        ({"epochs": True}, "whole number"),
        ({"batch_size": 1}, "batch size of a retraining must be a whole number of at least 2, got 1"),
        ({"label_smoothing": -0.1}, "label smoothing must be at least 0"),
        ({"label_smoothing": 1.0}, "label smoothing must be less than 1, got 1"),
        ({"label_smoothing": float("nan")}, "label smoothing must be a finite number"),
        ({"clip": -1.0}, "clip must be at least 0"),
        ({"crop": -1}, "crop of a retraining"),
        ({"cutout": -2}, "cutout of a retraining"),
        ({"norm": BatchNorm(track=False)}, "must keep running statistics"),
        ({"auxiliary": -0.1}, "auxiliary must be at least 0"),
        ({"drop_path": 1.0}, "drop path must be less than 1, got 1"),
        ({"accumulate": 0}, "accumulate of a retraining must be a whole number of at least 1"),
        ({"batch_size": 8, "accumulate": 5}, "accumulate at most 4"),
        ({"precision": "float16"}, "precision"),
        ({"cells": 0}, "cells of a retraining"),
        ({"optimiser": ExponentiatedGradient()}, "SGD, Adam or RMSProp, got ExponentiatedGradient"),
    ],
)
def test_what_is_out_of_range_is_refused(change, sentence):
    with pytest.raises(RecipeError, match=sentence):
        replace(QUICK, **change)


def test_a_misspelt_setting_is_refused_with_the_nearest_name():
    with pytest.raises(RecipeError, match="did you mean 'label_smoothing'"):
        protocol_from_json({**protocol_to_json(QUICK), "label_smothing": 0.1})
    with pytest.raises(RecipeError, match=r"protocol\.optimiser must be SGD or Adam or RMSProp"):
        protocol_from_json({**protocol_to_json(QUICK), "optimiser": {"type": "ExponentiatedGradient"}})


def test_the_augmentation_is_the_datas_own_unless_it_is_changed(tiny_data):
    own = tiny_data.augment
    assert QUICK.augment(tiny_data) == own
    assert replace(QUICK, crop=0).augment(tiny_data) == replace(own, crop=0)
    assert replace(QUICK, flip=False, cutout=2).augment(tiny_data) == replace(own, flip=False, cutout=2)


def test_a_crop_larger_than_the_image_is_refused(tiny_data):
    with pytest.raises(DataError, match="crop must be smaller than the image, 4 pixels, got 4"):
        PROTOCOLS["nasbench201"].augment(tiny_data)


def test_sizes_that_a_space_does_not_have_are_refused(tiny_space):
    with pytest.raises(RecipeError, match=r"auxiliary head, which .* does not have"):
        replace(QUICK, auxiliary=0.4).sized(tiny_space)
    darts_sizes = replace(PROTOCOLS["darts-cifar10"], cells=3, channels=8).sized(darts())
    assert (darts_sizes.cells, darts_sizes.channels) == (3, 8)
    with pytest.raises(RecipeError, match="sets the channels of the network, which toy does not have"):
        replace(QUICK, channels=8).sized(Toy())


def test_the_protocols_of_enas_are_those_of_the_authors_scripts():
    macro, micro = PROTOCOLS["enas-macro"], PROTOCOLS["enas-micro"]
    assert (macro.epochs, macro.batch_size, macro.channels, macro.cells, macro.dropout) == (310, 100, 96, None, 0.5)
    assert (micro.epochs, micro.batch_size, micro.channels, micro.cells, micro.dropout) == (630, 144, 36, 15, 0.2)
    assert (macro.auxiliary, macro.drop_path) == (0.0, 0.0)
    assert (micro.auxiliary, micro.drop_path, micro.drop_deeper) == (0.4, 0.4, True)
    for protocol, stop in ((macro, 0.001), (micro, 1e-4)):
        lr = CosineRestarts(0.05, stop, first=10, factor=2)
        assert protocol.optimiser == SGD(lr=lr, momentum=0.9, weight_decay=4e-4, nesterov=True)
        assert protocol.clip == 0
        assert (protocol.crop, protocol.flip, protocol.cutout) == (4, True, 0)
    assert macro.sized(enas_macro(depth=24)) == enas_macro(depth=24, channels=96, dropout=0.5)
    assert micro.sized(enas_micro()) == enas_micro(cells=15, channels=36, dropout=0.2)
    with pytest.raises(RecipeError, match="sets the cells of the network, which enas_macro does not have"):
        replace(macro, cells=3).sized(enas_macro())
    with pytest.raises(RecipeError, match="sets the dropout of the network, which darts does not have"):
        macro.sized(darts())
    with pytest.raises(RecipeError, match="enas-micro trains an auxiliary head, which enas_macro does not have"):
        replace(micro, cells=None).sized(enas_macro())


@pytest.mark.parametrize("changes", [{"dropout": 1.0}, {"dropout": -0.1}, {"drop_deeper": 1}])
def test_drops_out_of_range_are_refused(changes):
    with pytest.raises(RecipeError, match="drop"):
        replace(QUICK, **changes)
