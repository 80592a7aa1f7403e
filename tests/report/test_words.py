"""Numbers as people read them."""

import pytest

from mixop.core.measure import ACCURACY, LOSS, Measure
from mixop.report.words import capital, column, digits, duration, head, large, said, scalar, word, written

RMSE = Measure("rmse", "lower", "mm")


@pytest.mark.parametrize(
    ("measure", "value", "text"),
    [
        (ACCURACY, 0.934, "93.4 % accuracy"),
        (LOSS, 0.25, "a loss of 0.250 nats"),
        (RMSE, 3.2, "an RMSE of 3.20 mm"),
        (Measure("mse", "lower"), 0.00042, "an MSE of 0.000420"),
        (Measure("r2", "higher"), 0.5, "an R² of 0.500"),
        (Measure("f1", "higher"), 0.5, "an F1 of 0.500"),
        (Measure("error_rate", "lower"), 12345.6, "an error rate of 12,346"),
        (Measure("perplexity", "lower"), 12.34, "a perplexity of 12.3"),
        (Measure("mean_iou", "higher", style="percent"), 0.61, "61.0 % mean IoU"),
        (LOSS, None, "a loss of –"),  # noqa: RUF001
    ],
)
def test_a_value_in_a_sentence(measure, value, text):
    assert said(measure, value) == text


def test_shares_have_the_digits_that_their_examples_resolve():
    assert written(ACCURACY, 0.98056, 360) == "98.1 %"
    assert written(ACCURACY, 0.98056, 10000) == "98.06 %"


@pytest.mark.parametrize(
    ("values", "places"),
    [([0.42], 3), ([0.42, 0.451], 3), ([100.1, 100.2], 2), ([1234.0, 1500.0], 0), ([-0.5, 0.25], 3), ([], 3), ([0.0], 3),
     ([None, 2.0], 2), ([1e-12], 8), ([1.0, 1.0], 2)],
)  # fmt: skip
def test_values_beside_each_other_have_digits_that_tell_them_apart(values, places):
    assert digits(RMSE, values) == places


def test_heads_of_columns():
    assert head(ACCURACY, "validation") == "Validation accuracy"
    assert head(LOSS, "test") == "Test loss (nats)"
    assert head(RMSE) == "RMSE (mm)"
    assert word(Measure("top_5", "higher")) == "top 5"
    assert capital("mAP") == "MAP"


def test_a_column_that_nobody_knows_is_titled_by_its_name():
    assert column("novelty_score").title == "Novelty score"
    assert column("novelty_score").style == "number"
    assert column("eigenvalue").title == "Dominant eigenvalue"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.5, "< 1 s"), (3.25, "3.2 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7380, "2 h 3 min")],  # noqa: RUF001
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_large_numbers_and_plain_values():
    assert [large(n) for n in (None, 12, 1290000, 45 * 10**9, 2 * 10**12)] == ["–", "12", "1.29 M", "45 G", "2,000 G"]  # noqa: RUF001
    assert [scalar(value) for value in (None, True, False, 0.1 + 0.2, 3, "x")] == ["–", "yes", "no", "0.3", "3", "x"]  # noqa: RUF001
