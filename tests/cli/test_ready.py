"""Ready spaces by name on the command line."""

import json
import subprocess
import sys

import pytest

import mixop
from mixop.cli import kinds, main
from mixop.core.errors import RecipeError
from mixop.spaces import READY


@pytest.mark.parametrize("name", READY)
def test_a_name_gives_what_the_function_of_that_name_gives(name):
    assert kinds.space(name).build() == getattr(mixop.spaces, name)()


def test_arguments_are_flags():
    tree = kinds.space("resnet")
    assert {"channels", "blocks", "kernels", "ratios"} < {knob.path[0] for knob in tree.knobs()}
    tree.put(("channels",), "8")
    tree.put(("blocks",), "1,2")
    tree.put(("ratios",), "0.25,1")
    assert tree.build() == mixop.spaces.resnet(channels=8, blocks=(1, 2), ratios=(0.25, 1))


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(RecipeError, match="did you mean 'resnet'"):
        kinds.space("resnt")


def test_a_search_goes_on_by_its_directory_alone(tmp_path, capsys):
    """The file of the space names the model by its bare name, which another process knows."""
    out = tmp_path / "run"
    small = [
        "--space.width",
        "4",
        "--space.depth",
        "1",
        "--space.heads",
        "2,1",
        "--space.ratios",
        "1",
        "--space.patches",
        "4,8",
    ]
    assert (
        main(
            [
                "search",
                "--space",
                "vit",
                *small,
                "--space.patches",
                "4,8",
                "--data",
                "digits",
                "--epochs",
                "1",
                "--out",
                str(out),
            ]
        )
        == 0
    )
    assert json.loads((out / "space.json").read_text())["space"]["factory"] == "vit"
    assert main(["resume", str(out)]) == 0
    assert "patch=" in capsys.readouterr().out


def test_listing_them_loads_no_torch():
    code = "import sys; from mixop.cli.listing import _spaces; assert 'unet' in _spaces(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
