"""The trained network as a file that runs without mixop: ``torch.export`` or ONNX, checked before it is kept."""

import copy
import io
import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn
from torch.utils._pytree import tree_leaves

from mixop.core.door import door
from mixop.core.errors import MissingExtraError, MixopError, RunError, unknown
from mixop.evaluate.deployed import Deployed
from mixop.evaluate.trained import read_trained
from mixop.runs.checkpoint import write_bytes
from mixop.runs.directory import RunDirectory
from mixop.runs.files import DATA
from mixop.runs.records import Score, noun
from mixop.tasks import task_from_json

Format = Literal["pt2", "onnx"]

Inputs = Literal["raw", "normalised"]
"""What the file takes: inputs as they are, or as a batch of the training has them."""

ABOUT = "mixop.json"
"""Where a file says what it is: an extra file of ``torch.export``, an entry of ONNX's metadata."""

TOLERANCE = 1e-5
"""Largest difference between file and module, relative to the largest logit, unless the module's own rounding is larger.

Another library adds in another order, and networks that sum many convolutions amplify that: with six 3x3 convolutions in every
cell of NAS-Bench-201 the module differs by 1e-5 from itself in float64, and ONNX Runtime by 4e-5 from the module. So ten times
the module's own rounding is allowed too; an error in the graph is far larger.
"""

_ONNX_OPSET = 18
_MOST = 2**31 - 1
"""Of an open axis: torch 2.6 refuses some networks where it has no largest size."""


@door(RunError)
def export(run: str | Path, format: Format = "pt2", out: str | Path | None = None, *, inputs: Inputs = "raw") -> dict[str, Any]:
    """Writes a run's trained network in a format that other programs can run, after checking that it computes the same.

    The file takes a batch of any size. Images come as they are, ``(B, C, H, W)`` of 0 to 255, uint8, of any height and width:
    the file cuts out the largest centred rectangle and scales it, as a folder of images is read. Other inputs come as the data
    were, ``(B, *shape)`` float32 (token numbers: int64). It normalises them, and gives probabilities or values, ``(B, K)``, or
    ``(B, K, *positions)`` for dense tasks, in the order of the names that it carries. In ONNX they are called ``inputs`` and
    ``outputs``. What it is, it says itself, as JSON under ``mixop.json``.

    Args:
        run: the run directory of a finished retraining.
        format: "pt2" for `torch.export`, "onnx" for ONNX (extra ``onnx``).
        out: the file; default ``model.pt2`` or ``model.onnx`` in the run directory.
        inputs: "raw", as above; "normalised" for the network alone, from normalised inputs of its own size to its outputs.

    Returns:
        ``path``: the file; ``largest_difference``: between file and module on random inputs, relative to the largest
        output; ``about``: what the file says of itself; ``usage``: lines of Python that use it.

    Raises:
        RunError: if the retraining is not finished, the file computes something else (then it is not kept), or it cannot
            be written.
        MissingExtraError: if you ask for ONNX and it is not installed.
    """
    if format not in _FORMATS:
        raise RunError(unknown("format", format, _FORMATS))
    write, read = _FORMATS[format]
    if format == "onnx":
        _require_onnx()
    directory = RunDirectory(run)
    net, score = read_trained(directory)
    about = _about(score, inputs, of_bytes=directory.read_json(DATA).get("dtype") == "uint8")
    kind = about["input"]
    if inputs == "raw" and not kind["tokens"]:
        task = task_from_json(score.task)
        net = Deployed(net, task, score.input["mean"], score.input["std"], kind["size"], len(kind["shape"])).eval()
    generator = Generator().manual_seed(0)
    # One example and several: an exported graph may have the sizes of its example built in.
    example, *others = (_random(kind, count, generator) for count in (2, 1, 3))
    try:
        content = write(net, example, about)
    except MixopError:
        raise
    except Exception as error:  # a model of the user's own may do what no graph holds
        first = " ".join(str(error).split("\n")[0].split())
        raise RunError(
            f"Torch cannot export this network to {format} ({type(error).__name__}: {first.rstrip('.')}): change what the "
            "model does there, such as sizes read as Python numbers, or load it with mixop.evaluate.load_network."
        ) from error
    loaded = read(content)
    with torch.no_grad():
        allowed = max(TOLERANCE, 10 * max(_rounding(net, x) for x in others))
        difference = max(_difference(loaded(x), net(x)) for x in others)
    path = directory / f"model.{format}" if out is None else Path(out)
    if math.isinf(difference) or difference > allowed:
        raise RunError(
            f"The exported network differs from the module by {difference:.1e} of its largest output, more than "
            f"{allowed:.0e}, so {path} was not written: report this, or export to another format."
        )
    write_bytes(path, content)
    return {"path": path, "largest_difference": difference, "about": about, "usage": usage(path, format, about)}


def _about(score: Score, inputs: Inputs, *, of_bytes: bool) -> dict[str, Any]:
    """What the file says of itself, as JSON data."""
    shape, tokens = list(score.input["shape"]), bool(score.input.get("tokens"))
    task, images = task_from_json(score.task), of_bytes and len(shape) == 3 and inputs == "raw"
    return {
        "input": {
            "inputs": inputs,
            "shape": shape,
            "tokens": tokens,
            "size": shape[1:] if images else None,
            "dtype": "uint8" if images else "int64" if tokens else "float32",
            "mean": list(score.input["mean"]),
            "std": list(score.input["std"]),
        },
        "output": task.gives if inputs == "raw" and not tokens else "outputs",
        "task": task.name,
        "classes": list(task.classes),
        "measures": dict(score.networks[0].measures),
        "scored_on": score.scored_on.of(noun(shape, tokens=tokens)),
        "architecture": score.networks[0].architecture,
    }


def _random(kind: Mapping[str, Any], count: int, generator: Generator) -> Tensor:
    """Random inputs of a file; images differ in their sizes."""
    shape = kind["shape"]
    if kind["tokens"]:
        return torch.randint(shape[0], (count, shape[1]), generator=generator)
    if kind["size"]:
        height, width = (side + 3 * count for side in kind["size"])
        return torch.randint(256, (count, shape[0], height, width + 1), generator=generator, dtype=torch.uint8)
    return torch.randn(count, *shape, generator=generator)


def usage(path: Path, format: Format, about: Mapping[str, Any]) -> list[str]:
    """Lines of Python that use a file, without mixop.

    Args:
        path: the file.
        format: its own.
        about: what it says of itself.
    """
    kind, onnx = about["input"], format == "onnx"
    lines = ["import json", "import numpy", "import onnxruntime" if onnx else "import torch"]
    if kind["size"]:
        lines.append("from PIL import Image")
    name = str(path)
    if onnx:
        lines += [
            f"net = onnxruntime.InferenceSession({name!r})",
            f"about = json.loads(net.get_modelmeta().custom_metadata_map[{ABOUT!r}])",
        ]
    else:
        lines += [
            f"files = {{{ABOUT!r}: ''}}",
            f"net = torch.export.load({name!r}, extra_files=files).module()",
            f"about = json.loads(files[{ABOUT!r}])",
        ]
    if kind["size"]:
        grey = kind["shape"][0] == 1
        lines += [
            f"image = numpy.array(Image.open('photo.jpg').convert({'L' if grey else 'RGB'!r}))  # of any size",
            "x = image[None, None]" if grey else "x = image.transpose(2, 0, 1)[None].copy()",
        ]
    else:
        lines.append(f"x = numpy.zeros((1, {', '.join(map(str, _sizes(kind)))}), {kind['dtype']!r})  # your examples")
    result = "net.run(None, {'inputs': x})[0]" if onnx else "net(torch.from_numpy(x)).detach().numpy()"
    if about["classes"] and about["output"] == "probabilities" and about["task"] == "classification":
        return [*lines, f"shares = {result}[0]", "print(about['classes'][shares.argmax()], shares.max())"]
    return [*lines, f"print(about['output'], {result})"]


def _sizes(kind: Mapping[str, Any]) -> list[int]:
    """Of one example."""
    return kind["shape"][1:] if kind["tokens"] else kind["shape"]


def _difference(got: Any, expected: Any) -> float:
    """Largest difference relative to the largest expected number; infinite for another shape and for NaN."""
    ours, theirs = tree_leaves(got), tree_leaves(expected)
    if len(ours) != len(theirs):
        return math.inf
    return max((_apart(one, other) for one, other in zip(ours, theirs, strict=True)), default=0.0)


def _apart(got: Tensor, expected: Tensor) -> float:
    if got.shape != expected.shape:
        return math.inf
    got, expected = got.double(), expected.double()
    scale = expected.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    return ((got - expected).abs().max() / scale).nan_to_num(math.inf).item()


def _rounding(net: nn.Module, inputs: Tensor) -> float:
    """How far the network is from itself in float64."""
    exact = inputs.double() if inputs.is_floating_point() else inputs
    return _difference(net(inputs), copy.deepcopy(net).double()(exact))


def _open(about: Mapping[str, Any]) -> tuple[dict[int, Any]]:
    """The axes of the inputs whose sizes a graph leaves open."""
    names = {0: "batch", **({2: "height", 3: "width"} if about["input"]["size"] else {})}
    return ({axis: torch.export.Dim(name, max=_MOST) for axis, name in names.items()},)


def _write_pt2(net: nn.Module, example: Tensor, about: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    program = torch.export.export(net, (example,), dynamic_shapes=_open(about))
    torch.export.save(program, buffer, extra_files={ABOUT: json.dumps(about)})
    return buffer.getvalue()


def _read_pt2(content: bytes) -> Callable[[Tensor], Tensor]:
    return torch.export.load(io.BytesIO(content)).module()


def _require_onnx() -> None:
    if not all(find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime")):
        raise MissingExtraError("onnx, onnxscript and onnxruntime", "onnx", "Exporting to ONNX")


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides the exporter's own warnings (deprecations inside it, torchvision missing): a user can do nothing about them."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _write_onnx(net: nn.Module, example: Tensor, about: Mapping[str, Any]) -> bytes:
    with torch.no_grad():
        if not isinstance(net(example), Tensor):
            raise RunError("An ONNX file of mixop has one output, but this network gives several tensors: export to pt2.")
    with _quiet():
        program: Any = torch.onnx.export(
            net,
            (example,),
            dynamo=True,
            dynamic_shapes=_open(about),
            input_names=["inputs"],
            output_names=["outputs"],
            opset_version=_ONNX_OPSET,
            verbose=False,
        )
        model = program.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = ABOUT, json.dumps(about)
    return model.SerializeToString()


def _read_onnx(content: bytes) -> Callable[[Tensor], Tensor]:
    import onnxruntime  # pyright: ignore[reportMissingImports]

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda inputs: torch.from_numpy(session.run(["outputs"], {"inputs": inputs.numpy()})[0])


_Write = Callable[[nn.Module, Tensor, Mapping[str, Any]], bytes]

_FORMATS: dict[str, tuple[_Write, Callable[[bytes], Callable[[Tensor], Tensor]]]] = {
    "pt2": (_write_pt2, _read_pt2),
    "onnx": (_write_onnx, _read_onnx),
}
"""How each format is written from a network and an example batch, and read back as a function."""
