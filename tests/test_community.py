"""The files that a host of repositories reads: workflows, forms, the container."""

import re
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


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_what_a_workflow_needs(path: Path):
    workflow = read(path)
    # YAML 1.1 reads the key ``on`` as true.
    assert workflow.keys() - {"env", "concurrency"} == {"name", True, "permissions", "jobs"}
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        assert 1 <= job["timeout-minutes"] <= 90
        assert set(job.get("needs", [])) <= set(workflow["jobs"]) or job["needs"] in workflow["jobs"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), step
            assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", step.get("uses", "actions/checkout@v4"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_expressions_name_what_is_there(path: Path):
    text, workflow = path.read_text(), read(path)
    known = {"github.ref", "github.ref_name", "vars.PIP_FLAGS"}
    for job in workflow["jobs"].values():
        known |= {f"matrix.{name}" for name in job.get("strategy", {}).get("matrix", {})}
    assert set(re.findall(r"\$\{\{ *([\w.]+) *\}\}", text)) <= known
    assert text.count("${{") == len(re.findall(r"\$\{\{ *[\w.]+ *\}\}", text))


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
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = (ROOT / "Dockerfile").read_text()
    (named,) = re.findall(r"mixop\[([\w,]+)\]", text)
    assert set(named.split(",")) == set(extras) - {"test", "docs", "datasets", "slurm", "ray"}
