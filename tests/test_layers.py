"""The house rules that imports can show: floors, no torch in spaces, no code from data, no printing in the library."""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import mixop
from mixop.runs import files

ROOT = Path(mixop.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# Imports go down only: a unit (a file, or a folder with its files) sees the units of the floors above it in this list.
# Units on one floor do not know each other.
FLOORS = (
    ("core",),
    ("tasks",),
    ("spaces", "runs"),
    ("data", "nets", "relax", "tables", "report"),
    ("analysis", "bilevel", "derive", "models", "regularise", "searchers", "watch", "wraps"),
    ("monitors", "supernet"),
    ("recipe",),
    ("recipes", "engine"),
    ("evaluate", "plan"),
    ("api", "measure", "tabulate"),
    ("finder", "testing"),
    ("comparison",),
    ("experiments",),
    ("cli",),
    ("__main__",),
)
FLOOR_OF = {unit: floor for floor, units in enumerate(FLOORS) for unit in units}

TORCH_FREE = (
    "core/errors",
    "core/extras",
    "core/files",
    "core/machine",
    "core/names",
    "core/outside",
    "core/schedules",
    "core/scratch",
    "core/trust",
    "core/unpickle",
    "core/values",
    "core/measure",
    "spaces",
    "runs/cells",
    "runs/directory",
    "runs/files",
    "runs/identity",
    "runs/load",
    "runs/held",
    "runs/lock",
    "runs/read",
    "runs/records",
    "runs/tail",
    "runs/trackers/base",
    "runs/trackers/logged",
    "runs/trackers/mlflow",
    "runs/trackers/wandb",
    "runs/write",
    "report",
    "supernet/building",
    "tables",
    "watch",
)
UNPICKLER = "core/unpickle.py"
READER = "core/outside.py"
IMPORTER = "core/trust.py"
SAFELY = {"torch.load": "weights_only=True", "np.load": "allow_pickle=False", "numpy.load": "allow_pickle=False"}
SPEAKERS = {"cli"}


def unit_of(path: Path) -> str:
    """``relax`` for ``relax/softmax.py``, ``derive`` for ``derive.py``, ``__init__`` for the package's own face."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(parsed(path)))


@cache
def imports(path: Path) -> list[tuple[str, str]]:
    """Every imported ``(module, name)`` wherever it stands; name is empty for ``import module``.

    A face may name for type checkers what it loads at the first use, from a floor above its own.
    """
    body = parsed(path).body
    if path.name == "__init__.py":
        body = [node for node in body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")]
    found: list[tuple[str, str]] = []
    for node in (inner for outer in body for inner in ast.walk(outer)):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(f"{'.' * node.level}{node.module or ''}", alias.name) for alias in node.names]
    return found


@cache
def is_module(name: str) -> bool:
    path = ROOT.parent / Path(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def own_modules(path: Path) -> Iterator[str]:
    """The modules of mixop that a file imports: ``from mixop import optim`` imports ``mixop.core.optim``, the version none."""
    for module, name in imports(path):
        if module.split(".")[0] == "mixop" and (module, name) != ("mixop", "__version__"):
            yield f"{module}.{name}" if name and is_module(f"{module}.{name}") else module


@cache
def names(path: Path) -> frozenset[str]:
    """Every called function as it is written: ``print``, ``torch.load``, ``model.eval``."""
    return frozenset(ast.unparse(node.func) for node in nodes(path) if isinstance(node, ast.Call))


@cache
def defined(path: Path) -> set[str]:
    """The names that a file itself binds at its top, imports aside."""
    found: set[str] = set()
    for node in parsed(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {ast.unparse(target) for target in targets}
    return found


@cache
def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def every_module(check: Callable[[Path], None]) -> Callable[[], None]:
    """A test of all modules at once: thousands of tests that take no time each would take a minute together."""

    def test() -> None:
        faults = []
        for path in MODULES:
            try:
                check(path)
            except AssertionError as fault:
                faults.append(f"{label(path)}: {fault}")
        assert not faults, "\n".join(faults)

    test.__name__, test.__doc__ = check.__name__, check.__doc__
    return test


def test_every_module_has_a_floor():
    unknown = {unit_of(path) for path in MODULES} - FLOOR_OF.keys() - {"__init__"}
    assert not unknown, f"give {sorted(unknown)} a place in FLOORS"


@every_module
def test_imports_go_down(path: Path):
    unit = unit_of(path)
    if unit == "__init__":
        return  # the face of the package is for users and shows every floor
    for module in own_modules(path):
        assert module != "mixop", f"{label(path)} imports the face of the package instead of the defining module"
        other = module.split(".")[1]
        below = other in FLOOR_OF and FLOOR_OF[other] < FLOOR_OF[unit]
        assert other == unit or below, f"{label(path)} (floor {FLOOR_OF[unit]}) must not import {module}"


@every_module
def test_parts_come_from_their_defining_module(path: Path):
    """From the face of a folder (``mixop.relax``) comes only what stands there, a table; and never from one's own face."""
    if path == ROOT / "__init__.py":
        return
    for module, name in imports(path):
        assert not module.startswith("."), f"{label(path)} has a relative import, which hides its floor"
        face = ROOT.parent / Path(*module.split(".")) / "__init__.py"
        if not module.startswith("mixop.") or not face.exists() or is_module(f"{module}.{name}"):
            continue
        assert name in defined(face), f"{label(path)} must import {name} from its defining module, not from {module}"
        assert module != f"mixop.{unit_of(path)}", f"{label(path)} imports the face of its own folder"


@every_module
def test_torch_stays_out_of_what_is_data(path: Path):
    if label(path).removesuffix(".py").startswith(TORCH_FREE):
        packages = {module.split(".")[0] for module, _ in imports(path)}
        assert not packages & {"torch", "torchvision", "safetensors"}, label(path)
        with_torch = [
            module for module in own_modules(path) if not module.removeprefix("mixop.").replace(".", "/").startswith(TORCH_FREE)
        ]
        assert not with_torch, label(path)


def test_modules_are_in_no_circle():
    parts = {path: path.relative_to(ROOT).with_suffix("").parts for path in MODULES if path.name != "__init__.py"}
    graph = {".".join(("mixop", *names)): path for path, names in parts.items()}
    below = {name: {module for module in own_modules(path) if module in graph} - {name} for name, path in graph.items()}
    while leaves := {name for name, others in below.items() if not others}:
        below = {name: others - leaves for name, others in below.items() if name not in leaves}
    assert not below, f"these import each other in a circle: {sorted(below)}"


@every_module
def test_nothing_runs_what_a_file_says(path: Path):
    called = names(path)
    assert not called & {"eval", "exec", "compile", "os.system", "pickle.load", "pickle.loads"}, label(path)
    packages = {module.split(".")[0] for module, _ in imports(path)}
    assert not packages & {"dill", "cloudpickle", "joblib", "marshal", "shelve"}, label(path)
    for node in nodes(path):
        if label(path) != UNPICKLER:
            from_pickle = isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle"
            assert not from_pickle or node.attr == "UnpicklingError", f"{label(path)} uses pickle.{node.attr}"
            assert not (isinstance(node, ast.ImportFrom) and node.module == "pickle"), f"{label(path)} imports from pickle"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in SAFELY:
            safely = SAFELY[ast.unparse(node.func)]
            given = [f"{keyword.arg}={ast.unparse(keyword.value)}" for keyword in node.keywords]
            assert safely in given, f"{label(path)}: {ast.unparse(node)} needs {safely}"


@every_module
def test_json_and_toml_are_read_in_one_place(path: Path):
    """Elsewhere only what was written a moment ago is read back."""
    if label(path) == READER:
        return
    assert not {"tomllib", "tomli"} & {module for module, _ in imports(path)}, label(path)
    for node in nodes(path):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("json.load", "json.loads"):
            assert label(path) == "testing.py", f"{label(path)} reads JSON by itself: use mixop.core.outside"


@every_module
def test_modules_are_imported_by_name_in_one_place(path: Path):
    """Elsewhere only names that stand in our own text are imported."""
    if label(path) in (IMPORTER, "__init__.py"):
        return
    for node in nodes(path):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__"):
            assert all(isinstance(argument, ast.Constant) for argument in node.args), f"{label(path)}: {ast.unparse(node)}"


@every_module
def test_only_speakers_write_for_people(path: Path):
    if unit_of(path) not in SPEAKERS:
        assert "print" not in names(path), f"{label(path)} prints"
        assert "rich" not in {module.split(".")[0] for module, _ in imports(path)}, f"{label(path)} uses rich"


@every_module
def test_only_their_owner_spells_the_names_of_a_runs_files(path: Path):
    if path == ROOT / "runs" / "files.py":
        return
    spelled = {node.value for node in nodes(path) if isinstance(node, ast.Constant)}
    owned = {value for value in vars(files).values() if isinstance(value, str) and re.fullmatch(r"[a-z]+\.[a-z]+", value)}
    assert "metrics.jsonl" in owned
    assert not spelled & owned, f"{label(path)} must take {sorted(spelled & owned)} from mixop.runs.files"
