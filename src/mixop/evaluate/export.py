"""The trained network as a file that runs without mixop: ``torch.export`` or ONNX, checked before it is kept."""

import copy
import io
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
from mixop.evaluate.trained import load_network, read_score
from mixop.runs.checkpoint import write_bytes
from mixop.runs.directory import RunDirectory

Format = Literal["pt2", "onnx"]

TOLERANCE = 1e-5
"""Largest difference between file and module, relative to the largest logit, unless the module's own rounding is larger.

Another library adds in another order, and networks that sum many convolutions amplify that: with six 3x3 convolutions in every
cell of NAS-Bench-201 the module differs by 1e-5 from itself in float64, and ONNX Runtime by 4e-5 from the module. So ten times
the module's own rounding is allowed too; an error in the graph is far larger.
"""

_ONNX_OPSET = 18


@door(RunError)
def export(run: str | Path, format: Format = "pt2", out: str | Path | None = None) -> dict[str, Any]:
    """Writes a run's trained network in a format that other programs can run, after checking that it computes the same.

    The file takes a batch of any size of normalised inputs ``(B, *shape)``, float32 (token numbers: int64), and gives outputs
    ``(B, K)``, or ``(B, K, *positions)`` for dense tasks; in ONNX they are called ``inputs`` and ``outputs``. Shape, mean and
    standard deviation are in ``score.json`` under ``input``.

    Args:
        run: the run directory of a finished retraining.
        format: "pt2" for `torch.export`, "onnx" for ONNX (extra ``onnx``).
        out: the file; default ``model.pt2`` or ``model.onnx`` in the run directory.

    Returns:
        ``path``: the file; ``largest_difference``: between file and module on random inputs, relative to the largest
        output.

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
    net = load_network(directory.path)
    kind = read_score(directory).input
    generator = Generator().manual_seed(0)
    # One example and several: an exported graph may have the batch size of its example built in.
    example, *others = (_random(kind, count, generator) for count in (2, 1, 3))
    try:
        content = write(net, example)
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
        allowed = max(TOLERANCE, 10 * max(_rounding(net, inputs) for inputs in others))
        difference = max(_difference(loaded(inputs), net(inputs)) for inputs in others)
    path = directory / f"model.{format}" if out is None else Path(out)
    if math.isinf(difference) or difference > allowed:
        raise RunError(
            f"The exported network differs from the module by {difference:.1e} of its largest output, more than "
            f"{allowed:.0e}, so {path} was not written: report this, or export to another format."
        )
    write_bytes(path, content)
    return {"path": path, "largest_difference": difference}


def _random(kind: Mapping[str, Any], count: int, generator: Generator) -> Tensor:
    """Random inputs of a network."""
    shape = kind["shape"]
    if kind.get("tokens"):
        return torch.randint(shape[0], (count, shape[1]), generator=generator)
    return torch.randn(count, *shape, generator=generator)


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


def _program(net: nn.Module, images: Tensor) -> torch.export.ExportedProgram:
    return torch.export.export(net, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))


def _write_pt2(net: nn.Module, images: Tensor) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(_program(net, images), buffer)
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


def _write_onnx(net: nn.Module, images: Tensor) -> bytes:
    with torch.no_grad():
        if not isinstance(net(images), Tensor):
            raise RunError("An ONNX file of mixop has one output, but this network gives several tensors: export to pt2.")
    with _quiet():
        program: Any = torch.onnx.export(
            net,
            (images,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["inputs"],
            output_names=["outputs"],
            opset_version=_ONNX_OPSET,
            verbose=False,
        )
        return program.model_proto.SerializeToString()


def _read_onnx(content: bytes) -> Callable[[Tensor], Tensor]:
    import onnxruntime  # pyright: ignore[reportMissingImports]

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda inputs: torch.from_numpy(session.run(["outputs"], {"inputs": inputs.numpy()})[0])


_FORMATS: dict[str, tuple[Callable[[nn.Module, Tensor], bytes], Callable[[bytes], Callable[[Tensor], Tensor]]]] = {
    "pt2": (_write_pt2, _read_pt2),
    "onnx": (_write_onnx, _read_onnx),
}
"""How each format is written from a network and an example batch, and read back as a function."""
