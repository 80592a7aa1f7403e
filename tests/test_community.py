"""The files that a host of repositories reads: workflows, forms, the container."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
yaml = pytest.importorskip("yaml", reason="PyYAML comes with the extra hpo")

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def read(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text())


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


SCHEMAS = {
    "github-workflows": WORKFLOWS,
    "github-issue-forms": [path for path in FORMS if path.stem != "config"],
    "github-issue-config": [path for path in FORMS if path.stem == "config"],
    "citation-file-format": [ROOT / "CITATION.cff"],
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_what_a_host_reads_has_the_form_that_it_asks_for(schema: str):
    pytest.importorskip("check_jsonschema", reason="check-jsonschema comes with the extra test")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *SCHEMAS[schema]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_keeps_to_our_rules(path: Path):
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}, "a job asks for more by itself"
    for job in workflow["jobs"].values():
        assert 1 <= job["timeout-minutes"] <= 90
        for step in job["steps"]:
            assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", step.get("uses", "actions/checkout@v6"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_expressions_name_what_is_there(path: Path):
    text, workflow = path.read_text(), read(path)
    known = {"github.ref", "github.ref_name", "vars.PIP_FLAGS"}
    for job in workflow["jobs"].values():
        known |= {f"matrix.{name}" for name in job.get("strategy", {}).get("matrix", {})}
    assert set(re.findall(r"\$\{\{ *([\w.]+) *\}\}", text)) <= known
    assert text.count("${{") == len(re.findall(r"\$\{\{ *[\w.]+ *\}\}", text))


def test_what_is_promised_is_tried():
    """The Pythons of the classifiers are those of the matrix, of the release and, but for the oldest, of the test workflow."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    classifiers = project["project"]["classifiers"]
    promised = [text.rsplit(" ", 1)[1] for text in classifiers if re.search(r":: 3\.\d+$", text)]
    assert project["tool"]["tox"]["env_list"] == promised
    assert project["project"]["requires-python"] == f">={promised[0]}"
    workflows = {path.stem: read(path) for path in WORKFLOWS}
    (release,) = (
        step["with"]["python-version"] for step in steps(workflows["release"]) if "python-version" in step.get("with", {})
    )
    assert release.split() == promised[::-1]
    assert workflows["test"]["jobs"]["newest"]["strategy"]["matrix"]["python"] == promised[1:]


def test_workflows_run_targets_that_the_makefile_has():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    commands = [step["run"] for path in WORKFLOWS for step in steps(read(path)) if "run" in step]
    made = {match for command in commands for match in re.findall(r"\bmake ([a-z-]+)", command)}
    assert made
    assert made <= targets


@pytest.mark.parametrize("path", [p for p in FORMS if p.stem != "config"], ids=lambda path: path.stem)
def test_a_form_asks_for_something(path: Path):
    form = read(path)
    assert form.keys() == {"name", "description", "labels", "body"}
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids))
    assert any(field.get("validations", {}).get("required") for field in form["body"])
    for field in form["body"]:
        assert field["type"] == "textarea"
        assert field["attributes"]["label"]


def test_the_container_installs_every_extra_for_users():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = (ROOT / "Dockerfile").read_text()
    (named,) = re.findall(r"mixop\[([\w,]+)\]", text)
    elsewhere = {"slurm", "ray", "triton"}  # clusters and GPUs: the container is one machine with a CPU
    assert set(named.split(",")) == set(extras) - {"test", "docs", "release", "datasets", "trackio"} - elsewhere
