"""`mixop.core.values`: dataclasses to JSON and back, and what is refused on the way."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest

from mixop.core.errors import RecipeError
from mixop.core.schedules import Constant, Cosine, Linear, Schedule
from mixop.core.values import changed, defaults, find_type, from_plain, hints_of, merge, to_plain, type_name

COSINE = Cosine(0.1)


class Part(ABC):
    @abstractmethod
    def act(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Soft(Part):
    temperature: float | Schedule = 1.0

    def __post_init__(self) -> None:
        if self.temperature == 0:
            raise ValueError("a temperature of 0 divides by zero")

    def act(self) -> float:
        return 0.0


@dataclass(frozen=True, kw_only=True)
class Hard(Part):
    rank: int

    def act(self) -> float:
        return 1.0


class Acts(Protocol):
    def act(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Settings:
    part: Part
    name: str = "plain"
    lr: float | Schedule = COSINE
    steps: int | None = None
    flag: bool = False
    mode: Literal["first", "second", 2] = "first"
    betas: tuple[float, float] = (0.5, 0.999)
    sizes: tuple[int, ...] = ()
    nested: tuple[tuple[str, ...], ...] | None = None
    extra: tuple[Part, ...] = ()
    table: Mapping[str, float] = field(default_factory=dict)
    outside: Acts | None = None
    derived: int = field(default=7, init=False)


PARTS = {cls.__name__: cls for cls in (Soft, Hard, Settings, Constant, Linear, Cosine)}
NAME = type_name(Settings)  # module:Settings: this file is an outsider
EXAMPLES = [
    Settings(part=Soft()),
    Settings(part=Soft(temperature=Linear(10.0, 0.1)), lr=0.3, steps=3, flag=True, mode="second"),
    Settings(part=Hard(rank=2), mode=2, betas=(0.0, 1e-300), sizes=(1, 2, 3), nested=(("a", "b"), ())),
    Settings(part=Soft(), extra=(Soft(), Hard(rank=-1)), table={"a": 1.5, "b": 0.1 + 0.2}, outside=Hard(rank=1)),
]


def read(data: Any, hint: Any = Settings, where: str = "recipe") -> Any:
    return from_plain(data, hint, PARTS, where)


@pytest.mark.parametrize("value", EXAMPLES)
def test_json_there_and_back_is_the_identity(value: Settings):
    text = json.dumps(to_plain(value), allow_nan=False)
    assert read(json.loads(text)) == value
    assert json.dumps(to_plain(read(json.loads(text)))) == text


def test_own_parts_are_written_by_their_bare_name_and_others_by_module():
    assert to_plain(Cosine(0.1)) == {"type": "Cosine", "start": 0.1, "stop": 0.0, "stretch": 1.0}
    assert to_plain(Hard(rank=1)) == {"type": f"{__name__}:Hard", "rank": 1}
    assert "derived" not in to_plain(EXAMPLES[0])


def test_an_outsiders_class_is_imported_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "outsider_parts.py").write_text(
        "from dataclasses import dataclass\n\n"
        "@dataclass(frozen=True)\nclass Steps:\n    size: float = 1.0\n\n"
        "class Family:\n    @dataclass(frozen=True)\n    class Inner:\n        size: int = 2\n"
    )
    (tmp_path / "outsider_broken.py").write_text("raise RuntimeError('no licence found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("mixop.core.trust._allowed", {"outsider_parts", "outsider_broken"})
    steps = from_plain({"type": "outsider_parts:Steps", "size": 3}, Any, PARTS)
    assert type(steps).__name__ == "Steps"
    assert steps.size == 3.0
    assert to_plain(steps) == {"type": "outsider_parts:Steps", "size": 3.0}
    inner = from_plain({"type": "outsider_parts:Family.Inner"}, Any, PARTS)
    assert from_plain(to_plain(inner), Any, PARTS) == inner
    assert read({"part": {"type": "Soft"}, "outside": {"type": "outsider_parts:Steps"}}).outside == replace(steps, size=1.0)
    with pytest.raises(RecipeError, match=r"Cannot load 'outsider_broken:X' for recipe \(no licence found\)"):
        find_type("outsider_broken:X", PARTS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mixop.core.schedules:Constant", "named without a module: write its bare name"),
        ("numpy:Nothing", "Cannot load 'numpy:Nothing'"),
        ("numpy:", "Cannot load 'numpy:'"),
        (":X", "Cannot load ':X'"),
        (".relative:X", "Cannot load '.relative:X'"),
        ("numpy:ndarray", "names 'numpy:ndarray', which is not a dataclass"),
        ("numpy:sum", "names 'numpy:sum', which is not a dataclass"),
        ("Sofd", "There is no part for recipe called 'Sofd': did you mean 'Soft'"),
    ],
)
def test_names_that_lead_nowhere_are_refused(name: str, message: str):
    with pytest.raises(RecipeError, match=message):
        find_type(name, PARTS)


SOFT = {"type": "Soft"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "recipe .Settings. is incomplete: 'part' is missing"),
        ({"part": SOFT, "nam": "x"}, "no setting in recipe .Settings. 'nam': did you mean 'name'"),
        ({"part": {"type": "Soft", "temprature": 1}}, "setting in recipe.part .Soft. 'temprature': did you mean 'temperature'"),
        ({"part": {"type": "Sofd"}}, "no part for recipe.part called 'Sofd': did you mean 'Soft'"),
        ({"part": {"type": "Cosine", "start": 1}}, "recipe.part must be Part, got 'Cosine'"),
        ({"part": {"type": 3}}, "recipe.part must be Part, got 3"),
        ({"part": {"type": ["Soft"]}}, "recipe.part must be Part, got"),
        ({"part": "Soft"}, "recipe.part must be Part, got 'Soft'"),
        ({"part": {"type": "Hard"}}, "recipe.part .Hard. is incomplete: 'rank' is missing"),
        ({"part": {"type": "Hard", "rank": 1.0}}, "recipe.part.rank must be a whole number, got 1.0"),
        ({"part": {"type": "Hard", "rank": True}}, "recipe.part.rank must be a whole number, got True"),
        ({"part": {"type": "Soft", "temperature": 0}}, "recipe.part is refused by its class: a temperature of 0 divides"),
        ({"part": SOFT, "name": 3}, "recipe.name must be a text, got 3"),
        (
            {"part": SOFT, "lr": "0.1"},
            "recipe.lr must be a number or Constant or Linear or .* or LinearWithTail or Joined, got '0.1'",
        ),
        ({"part": SOFT, "lr": True}, "recipe.lr must be a number"),
        ({"part": SOFT, "lr": math.nan}, "recipe.lr must be a number .*got nan"),
        ({"part": SOFT, "lr": -math.inf}, "recipe.lr must be a number .*got -inf"),
        ({"part": SOFT, "lr": 10**400}, "recipe.lr must be a number"),
        ({"part": SOFT, "lr": {"start": 1, "stop": 0}}, 'recipe.lr must say which "type" it is, Constant or Linear or Cosine'),
        (
            {"part": SOFT, "lr": {"type": "Soft"}},
            "recipe.lr must be a number or Constant or Linear or .* or LinearWithTail or Joined, got 'Soft'",
        ),
        ({"part": SOFT, "lr": {"type": "Cosine", "start": 1, "stretch": 0.5}}, "stretch must be at least 1"),
        ({"part": SOFT, "lr": {"type": "Cosin"}}, "no part for recipe.lr called 'Cosin': did you mean 'Cosine'"),
        ({"part": SOFT, "steps": "3"}, "recipe.steps must be a whole number or nothing, got '3'"),
        ({"part": SOFT, "flag": 1}, "recipe.flag must be true or false, got 1"),
        ({"part": SOFT, "mode": "third"}, "recipe.mode must be 'first' or 'second' or 2, got 'third'"),
        ({"part": SOFT, "mode": 2.0}, "recipe.mode must be"),
        ({"part": SOFT, "mode": ["first"]}, "recipe.mode must be"),
        ({"part": SOFT, "betas": [0.5]}, "recipe.betas must be a list of 2, got"),
        ({"part": SOFT, "betas": [0.5, "x"]}, r"recipe.betas\[1\] must be a number, got 'x'"),
        ({"part": SOFT, "sizes": 3}, "recipe.sizes must be a list, got 3"),
        ({"part": SOFT, "sizes": "12"}, "recipe.sizes must be a list, got '12'"),
        ({"part": SOFT, "nested": [["a"], [1]]}, r"recipe.nested\[1\]\[0\] must be a text, got 1"),
        ({"part": SOFT, "extra": [SOFT, {"type": "Cosine", "start": 1}]}, r"recipe.extra\[1\] must be Part, got 'Cosine'"),
        ({"part": SOFT, "table": {"a": "b"}}, "recipe.table.a must be a number, got 'b'"),
        ({"part": SOFT, "table": []}, "recipe.table must be"),
        ({"part": SOFT, "derived": 8}, "no setting in recipe .Settings. 'derived'"),
        ([], "recipe must be Settings, got"),
        (None, "recipe must be Settings, got None"),
    ],
)
def test_mistakes_are_told_with_the_path_to_them(data: Any, message: str):
    with pytest.raises(RecipeError, match=message):
        read(data)


def test_the_path_starts_where_the_caller_says():
    with pytest.raises(RecipeError, match=r"my\.toml\.part must be Part"):
        read({"part": 1}, where="my.toml")


def test_whole_numbers_serve_as_numbers():
    value = read({"part": SOFT, "lr": 1, "betas": [0, 1]})
    assert (value.lr, value.betas) == (1.0, (0.0, 1.0))
    assert isinstance(value.lr, float)


def test_any_class_may_stand_for_a_protocol():
    assert read({"part": SOFT, "outside": SOFT}).outside == Soft()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Soft(temperature=lambda progress: 1.0), "got function: <function"),  # type: ignore[arg-type]
        (Soft(temperature=math.nan), "finite numbers only, got nan"),
        (Soft(temperature=Linear(math.inf, 0.0)), "finite numbers only, got inf"),
        ({1: "a"}, "strings as keys, got 1"),
        ({"a": {2, 3}}, "got set"),
        (Soft, "got type|got ABCMeta"),
        (1j, "got complex"),
    ],
)
def test_what_no_file_can_hold_is_refused(value: Any, message: str):
    with pytest.raises(RecipeError, match=message):
        to_plain(value)


def test_a_class_inside_a_function_is_refused_before_it_is_lost():
    @dataclass(frozen=True)
    class Local:
        size: int = 1

    with pytest.raises(RecipeError, match="Local is defined inside a function"):
        to_plain(Local())


def test_changes_name_fields_and_keep_the_rest():
    value = Settings(part=Soft(temperature=2.0), steps=3)
    assert changed(value, {}, PARTS) == value
    assert changed(value, {"steps": 4, "lr": 0.5}, PARTS) == replace(value, steps=4, lr=0.5)
    assert changed(value, {"steps": None}, PARTS) == replace(value, steps=None)
    assert changed(value, {"lr": {"stop": 0.01}}, PARTS) == replace(value, lr=Cosine(0.1, 0.01))
    assert changed(value, {"type": NAME, "part": {"temperature": 5}}, PARTS) == replace(value, part=Soft(temperature=5.0))
    assert changed(value, {"table": {"a": 1}}, PARTS) == replace(value, table={"a": 1.0})


def test_another_type_replaces_the_part_and_the_same_one_does_not():
    value = Settings(part=Soft(temperature=2.0), lr=Linear(3.0, 1.0))
    assert changed(value, {"part": {"type": "Hard", "rank": 1}}, PARTS).part == Hard(rank=1)
    assert changed(value, {"lr": {"type": "Cosine", "start": 0.2}}, PARTS).lr == Cosine(0.2)
    kept = changed(value, {"lr": {"type": "Linear", "stop": 0.5}}, PARTS).lr
    assert kept == Linear(3.0, 0.5)


def test_a_part_is_named_alone_or_given_as_a_value():
    value = Settings(part=Hard(rank=2), outside=Hard(rank=2))
    assert changed(value, {"part": "Soft"}, PARTS).part == Soft()
    assert changed(value, {"part": Soft(temperature=3.0)}, PARTS).part == Soft(temperature=3.0)
    assert changed(value, {"extra": ["Soft", {"type": "Hard", "rank": 1}]}, PARTS).extra == (Soft(), Hard(rank=1))
    assert changed(value, {"extra": (Hard(rank=4),)}, PARTS).extra == (Hard(rank=4),)
    assert changed(value, {"outside": "none", "steps": "none"}, PARTS) == replace(value, outside=None)
    assert changed(value, {"name": "none"}, PARTS).name == "none"  # a text that may not be None


@dataclass(frozen=True)
class Rates:
    """Schedules that are never plain numbers, as those of the optimisers."""

    lr: Schedule
    either: float | Schedule


def test_a_number_for_a_schedule_is_the_same_number_throughout():
    value = Rates(COSINE, COSINE)
    assert changed(value, {"lr": 1, "either": 1}, PARTS) == Rates(Constant(1.0), 1.0)
    with pytest.raises(RecipeError, match=r"recipe\.lr must be Constant or .*, got True"):
        changed(value, {"lr": True}, PARTS)


def test_changes_that_fit_only_together_need_no_order():
    """One of them alone is refused: the value is built when all are in it."""
    value = Between(low=1.0, high=2.0)
    with pytest.raises(RecipeError, match="refused by its class: low above high"):
        changed(value, {"low": 5}, PARTS)
    assert changed(value, {"low": 5, "high": 6}, PARTS) == changed(value, {"high": 6, "low": 5}, PARTS) == Between(5.0, 6.0)


@dataclass(frozen=True)
class Between:
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low above high")


def test_a_text_that_may_stand_where_a_part_may_is_no_part():
    """The cost of a regulariser is ``"flops"``, ``"parameters"`` or a table; the name of a table is still one."""
    hint = Literal["flops", "parameters"] | Soft
    assert merge(None, "flops", hint, PARTS) == "flops"
    assert merge("parameters", "Soft", hint, PARTS) == defaults(Soft)
    with pytest.raises(RecipeError, match="no part"):
        merge(None, "flop", hint, PARTS)


def test_merging_changes_data_and_leaves_what_it_was_given_alone():
    before = defaults(Cosine) | {"start": 1.0}
    kept = dict(before)
    assert merge(before, {"stop": 2}, Schedule, PARTS) == {**before, "stop": 2}
    assert merge(before, "Linear", Schedule, PARTS) == defaults(Linear)
    assert before == kept


def test_defaults_leave_out_what_has_none():
    assert defaults(Constant) == {"type": "Constant"}
    assert defaults(Soft) == {"type": f"{__name__}:Soft", "temperature": 1.0}


@pytest.mark.parametrize("value", EXAMPLES)
def test_a_full_description_as_a_change_gives_the_value_described(value: Settings):
    assert changed(EXAMPLES[0], to_plain(value), PARTS) == value
    assert changed(EXAMPLES[0], {"type": NAME, **{f: getattr(value, f) for f in hints_of(Settings)}}, PARTS) == value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stps": 3}, "no setting in recipe .Settings. 'stps': did you mean 'steps'"),
        ({"part": {"temprature": 3}}, "no setting in recipe.part .Soft. 'temprature': did you mean 'temperature'"),
        ({"part": "Sofd"}, "no part for recipe.part called 'Sofd': did you mean 'Soft'"),
        ({"part": "Cosine"}, "Cosine"),
        ({"lr": {"stretch": 0.5}}, "stretch must be at least 1"),
        ({"part": {"temperature": 0}}, "recipe.part is refused by its class: a temperature of 0"),
        ({"part": {"temperature": {"stop": 1.0}}}, 'recipe.part.temperature must say which "type" it is'),
        ({"part": {"type": "Hard"}}, "recipe.part .Hard. is incomplete: 'rank' is missing"),
        ({"steps": "many"}, "recipe.steps must be a whole number or nothing, got 'many'"),
        ({"steps": math.nan}, "recipe.steps must be a whole number or nothing, got nan"),
        ({"type": "Hard"}, "recipe must be Settings, got '.*Hard'"),
        ([("steps", 3)], "Changes to recipe are written as an object of settings, got"),
    ],
)
def test_changes_that_do_not_fit_are_refused(changes: Any, message: str):
    with pytest.raises(RecipeError, match=message):
        changed(Settings(part=Soft()), changes, PARTS)
