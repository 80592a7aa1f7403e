"""The trained network as a file that runs without mixop: ``torch.export`` or ONNX, checked before it is kept."""

import copy
import io
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn

from mixop.core.errors import MissingExtraError, RunError, unknown
from mixop.evaluate.trained import load_network
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


def export(run: str | Path, format: Format = "pt2", out: str | Path | None = None) -> dict[str, Any]:
    """Writes a run's trained network in a format that other programs can run, after checking that it computes the same.

    The file takes a batch of normalised images ``(B, C, H, W)``, float32, of any size B, and gives logits ``(B, classes)``. In
    ONNX they are called ``images`` and ``logits``. Mean and standard deviation are in ``score.json`` under ``input``.

    Args:
        run: the run directory of a finished retraining.
        format: "pt2" for `torch.export`, "onnx" for ONNX (extra ``onnx``).
        out: the file; default ``model.pt2`` or ``model.onnx`` in the run directory.

    Returns:
        ``path``: the file; ``largest_difference``: between file and module on random images, relative to the largest
        logit.

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
    channels, size = (directory.read_json("score.json")["input"][key] for key in ("channels", "size"))
    generator = Generator().manual_seed(0)
    # One image and several: an exported graph may have the batch size of its example built in.
    example, *others = (torch.randn(b, channels, size, size, generator=generator) for b in (2, 1, 3))
    content = write(net, example)
    loaded = read(content)
    with torch.no_grad():
        allowed = max(TOLERANCE, 10 * max(_rounding(net, images) for images in others))
        difference = max(_difference(loaded(images), net(images)) for images in others)
    path = directory / f"model.{format}" if out is None else Path(out)
    if math.isinf(difference) or difference > allowed:
        raise RunError(
            f"The exported network differs from the module by {difference:.1e} of its largest logit, more than "
            f"{allowed:.0e}, and {path} was not written: report this, or export to another format."
        )
    write_bytes(path, content)
    return {"path": path, "largest_difference": difference}


def _difference(got: Tensor, expected: Tensor) -> float:
    """Largest difference relative to the largest expected number; infinite for another shape and for NaN."""
    if got.shape != expected.shape:
        return math.inf
    scale = expected.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    return ((got - expected).abs().max() / scale).nan_to_num(math.inf).item()


def _rounding(net: nn.Module, images: Tensor) -> float:
    """How much the network differs from itself in float64."""
    return _difference(net(images).double(), copy.deepcopy(net).double()(images.double()))


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
    with _quiet():
        program: Any = torch.onnx.export(
            net,
            (images,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["images"],
            output_names=["logits"],
            opset_version=_ONNX_OPSET,
            verbose=False,
        )
        return program.model_proto.SerializeToString()


def _read_onnx(content: bytes) -> Callable[[Tensor], Tensor]:
    import onnxruntime  # pyright: ignore[reportMissingImports]

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])


_FORMATS: dict[str, tuple[Callable[[nn.Module, Tensor], bytes], Callable[[bytes], Callable[[Tensor], Tensor]]]] = {
    "pt2": (_write_pt2, _read_pt2),
    "onnx": (_write_onnx, _read_onnx),
}
"""How each format is written from a network and an example batch, and read back as a function."""
