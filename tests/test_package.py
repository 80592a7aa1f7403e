"""What is shipped: the built packages, the public names, the pinned versions."""

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import mixop

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [
    Requirement(text) for text in [*PROJECT["dependencies"], *(text for extra in EXTRAS.values() for text in extra)]
]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution; the wheel is built from the latter."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def package_files() -> set[str]:
    """Every file of the package in the source tree, below ``src``."""
    paths = (ROOT / "src").rglob("*")
    return {p.relative_to(ROOT / "src").as_posix() for p in paths if p.is_file() and "__pycache__" not in p.parts}


def test_wheel_holds_the_whole_package_and_nothing_else(dist: Path):
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
        info = {Path(name).name for name in archive.namelist() if ".dist-info/" in name}
    assert files == package_files()
    assert "mixop/py.typed" in files
    assert {Path(name).suffix for name in files if name.startswith("mixop/supernet/")} >= {".cpp", ".h"}, (
        "the kernels are missing"
    )
    assert any(name.startswith("mixop/report/") and "jinja" in name for name in files), "the report's template is missing"
    assert {"LICENSE", "METADATA", "entry_points.txt"} <= info


def test_the_same_wheel_comes_from_the_source_tree_and_from_the_source_distribution(dist: Path, tmp_path: Path):
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (ours,), (theirs,) = tmp_path.glob("*.whl"), dist.glob("*.whl")
    with zipfile.ZipFile(ours) as one, zipfile.ZipFile(theirs) as other:
        assert {file.filename: file.CRC for file in one.infolist()} == {file.filename: file.CRC for file in other.infolist()}


def test_source_distribution_can_be_tested_and_set_up(dist: Path):
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in package_files()} <= files
    beside = {"LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "constraints.txt", "pyproject.toml"}
    assert beside | {"docs/design.md", "tests/test_package.py"} <= files
    folders = {"src", "tests", "docs", "examples", "studies"}
    assert {name.split("/")[0] for name in files if "/" in name} <= folders, "something was packed by accident"


def test_version_is_that_of_the_project(dist: Path):
    assert mixop.__version__ == PROJECT["version"]
    assert [path.name.split("-")[1] for path in dist.glob("*.whl")] == [PROJECT["version"]]


def test_one_version_and_one_day_are_named_everywhere():
    version = PROJECT["version"]
    changes = (ROOT / "CHANGELOG.md").read_text()
    (latest, day), *_ = re.findall(r"^## \[([\d.]+)\] - (\d{4}-\d\d-\d\d)$", changes, flags=re.MULTILINE)
    citation = dict(re.findall(r"^(\S+): (\S+)$", (ROOT / "CITATION.cff").read_text(), flags=re.MULTILINE))
    assert (latest, day) == (version, citation["date-released"])
    assert citation["version"] == version
    for page in ("README.md", "docs/cite.md"):
        entry = dict(re.findall(r"(version|year) *= \{([\d.]+)\}", (ROOT / page).read_text()))
        assert entry == {"version": version, "year": day[:4]}


def test_every_public_name_resolves():
    assert sorted(mixop.__all__, key=str.lower) == sorted(set(mixop.__all__), key=str.lower)
    for name in mixop.__all__:
        assert getattr(mixop, name) is not None


def test_license_is_the_whole_apache_license():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "9. Accepting Warranty or Additional Liability." in text
    assert "APPENDIX: How to apply the Apache License to your work." in text


def test_pinned_versions_cover_and_satisfy_what_the_project_asks_for():
    lines = (line.strip() for line in (ROOT / "constraints.txt").read_text().splitlines())
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert all(name == canonicalize_name(name) for name in pins)
    for requirement in REQUIREMENTS:
        name = canonicalize_name(requirement.name)
        if name != PROJECT["name"]:  # the test extra names the other extras
            assert name in pins, f"{name} is not in constraints.txt"
            assert Version(pins[name]) in requirement.specifier, f"constraints.txt pins {name} outside {requirement}"


def test_lower_bounds_can_be_turned_into_exact_versions():
    """`make test-oldest` replaces ``>=`` by ``==``, so no dependency may have another kind of bound."""
    test = {Requirement(text).name for text in EXTRAS["test"]}
    for requirement in REQUIREMENTS:
        if requirement.name not in test:
            assert [specifier.operator for specifier in requirement.specifier] == [">="], f"{requirement}: expected >="


def test_what_is_imported_is_declared():
    """The other way round is not asked: torch's exporters and TensorBoard writer import what the extras bring."""
    # markupsafe is a part of jinja2's interface.
    installed_as = {"sklearn": "scikit-learn", "PIL": "pillow", "markupsafe": "jinja2"}
    for_users = [PROJECT["dependencies"], *(extra for name, extra in EXTRAS.items() if name != "test")]
    declared = {canonicalize_name(Requirement(text).name) for texts in for_users for text in texts}
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for package in {module.split(".")[0] for module in modules} - sys.stdlib_module_names - {"mixop"}:
                assert installed_as.get(package, package) in declared, f"{path.relative_to(ROOT)} imports {package}"
