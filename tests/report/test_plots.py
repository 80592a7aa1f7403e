"""The figures: well-formed, in the page's colours, with what was measured in them."""

import base64
import io
import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread

from mixop.core.measure import ACCURACY, Measure
from mixop.report import plots
from mixop.report.palette import ABSENT
from mixop.report.thin import COLUMNS, POINTS

pytestmark = pytest.mark.usefixtures("drawn")


def texts(svg):
    return [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def pixels(svg):
    """The embedded bitmap, ``(rows, columns, 4)``."""
    (data,) = re.findall(r"data:image/png;base64,([^\"]*)", svg)
    return imread(io.BytesIO(base64.b64decode(data)))


def test_a_figure_is_well_formed_scalable_and_uses_the_pages_colours():
    svg = plots.lines([plots.Curve("loss", [1, 2, 3], np.array([3.0, 2.0, 1.0]))], description='a "curve" <up>')
    root = ET.fromstring(svg)
    assert root.get("aria-label") == 'a "curve" <up>'
    assert root.get("role") == "img"
    assert root.get("width") is None
    assert root.get("height") is None
    assert "var(--accent, #2a62c5)" in svg
    assert "#0102" not in svg  # no stand-in is left
    assert "<metadata" not in svg
    assert "<style" not in svg


def test_the_same_data_gives_the_same_bytes_and_global_settings_stay():
    before = dict(matplotlib.rcParams)
    draw = lambda: plots.heatmap(np.full((3, 2), 0.5), [1, 2, 3], ["none", "skip_connect"], description="d")  # noqa: E731
    assert draw() == draw()
    assert dict(matplotlib.rcParams) == before


def test_users_matplotlibrc_does_not_matter():
    curve = plots.Curve("loss", [1, 2], np.array([2.0, 1.0]))
    plain = plots.lines([curve], description="d")
    with matplotlib.rc_context({"text.usetex": True, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert plots.lines([curve], description="d") == plain


def test_one_epoch_and_gaps_are_drawn_as_points():
    one = plots.lines([plots.Curve("loss", [1], np.array([2.0]))], description="d")
    gaps = plots.lines([plots.Curve("loss", [1, 2, 3], np.array([2.0, np.nan, 1.0]))], description="d")
    assert "<use" in one
    assert "<use" in gaps
    assert "1" in texts(one)


def test_the_reference_line_is_named():
    svg = plots.lines([plots.Curve(None, [1, 2], np.array([1.5, 1.0]))], description="d", reference=(1.61, "uniform: 1.61"))
    assert "uniform: 1.61" in texts(svg)


def test_the_name_of_the_reference_line_stands_above_it_where_no_curve_is():
    svg = plots.lines([plots.Curve(None, [1, 2], np.array([1.61, 1.61]))], description="d", reference=(1.61, "uniform"))
    (curve,) = {float(y) for y in re.findall(r'y="([\d.]+)" style="fill: var\(--accent', svg)}
    assert heights(svg)["uniform"] < curve - 1


def test_shares_are_in_percent():
    svg = plots.lines([plots.Curve("a", [1, 2], np.array([0.5, 0.9]))], description="d", percent=True)
    assert any(text and text.endswith(" %") for text in texts(svg))


def test_heatmap_opacity_grows_with_the_weight():
    weights = np.array([[1.0, 0.0], [0.25, 0.75], [np.nan, 1.0]])
    svg = plots.heatmap(weights, [1, 2, 3], ["skip_connect", "conv"], description="d", chosen="conv")
    alpha = pixels(svg)[..., 3]
    assert alpha.shape == (2, 3)  # a row for each option, a column for each epoch
    np.testing.assert_allclose(alpha, np.nan_to_num(weights.T) ** 0.75, atol=1 / 255)
    found = texts(svg)
    assert "▸ conv" in found
    assert "skip_connect" in found
    assert "1.00" in found
    assert ABSENT in found


def test_a_long_run_has_no_more_points_and_columns_than_can_be_seen():
    epochs = range(1, 20001)
    noise = np.random.default_rng(0).random(20000)
    svg = plots.lines([plots.Curve("loss", epochs, noise)], description="d")
    assert max(path.count("L") for path in re.findall(r' d="([^"]*)"', svg)) <= POINTS + 2
    picture = plots.heatmap(np.stack([noise, 1 - noise], 1), epochs, ["none", "skip_connect"], description="d")
    assert pixels(picture).shape == (2, COLUMNS, 4)
    assert {"1", "epoch", "20000", f"{noise[-1]:.2f}"} <= set(texts(picture))


def test_epochs_are_named_below_weights():
    strip = plots.Strip("a", "b", np.full((1, 2), 0.5), 1)
    assert "epoch 3" in texts(plots.heatmap(np.full((1, 2), 0.5), [3], ["none", "skip_connect"], description="d"))
    assert "epoch 3" in texts(plots.strips([strip], [3], description="d"))
    longer = plots.Strip("a", "b", np.full((2, 2), 0.5), 1)
    assert {"3", "epoch", "4"} <= set(texts(plots.strips([longer], [3, 4], description="d")))


def test_names_of_operations_may_be_anything():
    names = ["$x$ <b>", "卷积", "n" * 60]
    svg = plots.heatmap(np.full((2, 3), 1 / 3), [1, 2], names, description="d")
    assert "$x$ <b>" in texts(svg)
    assert "卷积" in texts(svg)
    assert "n" * 23 + "…" in texts(svg)


def heights(svg):
    return {element.text: float(element.get("y")) for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}


def test_ranking_puts_the_best_on_top():
    intervals = [(0.85, 0.94), (0.9, 0.98)]
    svg = plots.ranking(["found", "random 1"], [0.9, 0.95], intervals, measure=ACCURACY, description="d", examples=100)
    assert heights(svg)["random 1"] < heights(svg)["found"]
    assert {"90.0 %", "95.0 %"} <= set(texts(svg))


def test_ranking_of_a_measure_that_is_better_when_lower():
    values = [1234.5, 1240.0]
    rmse = Measure("rmse", "lower", "mm")
    svg = plots.ranking(["found", "random 1"], values, [(v, v) for v in values], measure=rmse, description="d")
    assert heights(svg)["found"] < heights(svg)["random 1"]
    assert {"1,234.5 mm", "1,240.0 mm"} <= set(texts(svg))
    assert not any(text and text.endswith("%") for text in texts(svg))


def test_large_confusion_has_right_and_wrong_in_two_colours():
    counts = np.eye(30, dtype=int) * 9
    counts[3, 7] = 1
    image = pixels(plots.confusion(counts, description="d"))
    assert image.shape[:2] == (30, 30)
    assert image[5, 5, 3] == pytest.approx(1.0)
    assert image[3, 7, 3] == pytest.approx(1.0)  # the most frequent mistake
    assert image[3, 3, 3] == pytest.approx(0.9, abs=1 / 255)
    assert image[0, 1, 3] == 0
    assert not np.allclose(image[3, 7, :3], image[5, 5, :3])


@pytest.mark.parametrize("handles", [{"handlelength": 1.6}, {"handlelength": 1.9}, {"handletextpad": 0.3}])
@pytest.mark.parametrize(
    "names",
    [
        [f"momentum-{momentum}" for momentum in (0, 0.3, 0.6, 0.9, 0.99)],
        ["WWWWWWWWWW", "MMMMMMMMMM", "mmmmmmmmmm"],
        [f"a search of {count} epochs" for count in range(8, 14)],
    ],
)
def test_a_legend_ends_inside_its_figure(names, handles):
    with matplotlib.rc_context(plots.STYLE):
        figure, axes, columns = plots.line_plot(names)
        for name in names:
            axes.plot([0, 1], [0, 1], label=name)
        plots.legend_above(axes, columns, **handles)
        legend = axes.get_legend()
        assert legend is not None
        box = legend.get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert box.y1 <= figure.bbox.y1
