"""Examples of stack files and of values/ in the documentation: each one is planned."""

import re
import shutil
from dataclasses import fields

import pytest
import yaml

from components.airflow import release
from ops import stack_files
from ops.plan import report
from policies import chart_values
from policies.chart_values import merge
from settings import Secrets, Settings
from tests.unit.docs.documents import ROOT, documents, lines, where

PROJECT = stack_files.project()
SETTINGS = f"{PROJECT}:settings"
FILE = re.compile(r"\s*# (Pulumi\.\w+\.yaml|values/\w+\.yaml)\b")
# Stack with which an example of chart values is planned.
STACK_OF = {"values/airflow.yaml": "prod", "values/aws.yaml": "prod", "values/local.yaml": "local"}


def blocks(path):
    """Every YAML block: its place, its text, and the section of the document around it."""
    sections, found, heading = {}, {}, 0
    for line in lines(path):
        if line.block is None and line.text.startswith("#"):
            heading = line.number
        sections.setdefault(heading, []).append(line.text)
        if line.language == "yaml":
            found.setdefault((line.block, heading), []).append(line.text)
    for (number, heading), text in found.items():
        yield where(path, number), "\n".join(text), "\n".join(sections[heading])


BLOCKS = [block for path in documents() for block in blocks(path)]
EXAMPLES = [block for block in BLOCKS if FILE.match(block[1])]


def as_config(example):
    """An example starts at `config:`, one level deeper, or at a section of the settings."""
    if "config" in example:
        return example["config"]
    return example if any(":" in key for key in example) else {SETTINGS: example}


def over(config, example):
    """The example merged over a stack file. Another `kind` of a section replaces the section."""
    sections = example.get(SETTINGS, {})

    def kept(name, section):
        return not isinstance(section, dict) or sections.get(name, {}).get("kind") in (
            None,
            section.get("kind"),
        )

    base = {name: section for name, section in config[SETTINGS].items() if kept(name, section)}
    return merge({**config, SETTINGS: base}, example)


@pytest.fixture
def checkout(monkeypatch, tmp_path):
    """A checkout with the program, its stack files and its value files."""
    for path in (*ROOT.glob("Pulumi*.yaml"), ROOT / "__main__.py"):
        shutil.copy(path, tmp_path)
    shutil.copytree(ROOT / "values", tmp_path / "values")
    monkeypatch.setattr(stack_files, "ROOT", tmp_path)
    monkeypatch.setattr(chart_values, "ROOT", tmp_path)
    monkeypatch.setattr(release, "VALUES", tmp_path / "values")
    chart_values.read.cache_clear()
    yield tmp_path
    chart_values.read.cache_clear()


@pytest.mark.parametrize(("place", "text", "section"), EXAMPLES, ids=[e[0] for e in EXAMPLES])
def test_an_example_of_the_documentation_plans(checkout, place, text, section):
    file, example = FILE.match(text)[1], yaml.safe_load(text)
    path = checkout / file
    content = yaml.safe_load(path.read_text())
    if file in STACK_OF:
        stack, content = STACK_OF[file], merge(content, example)
    else:
        stack, config = file.split(".")[1], over(content["config"], as_config(example))
        # Secrets that the section around the example tells to set.
        known = "|".join(field.name for field in fields(Secrets))
        for name in re.findall(rf"\b((?:{known})(?:_[a-z-]+)?)\b", section):
            config.setdefault(f"{PROJECT}:{name}", {"secure": "v1:cipher"})
        content = {"config": config}
    path.write_text(yaml.safe_dump(content))

    snapshot, settings = stack_files.run_stack(stack)

    broken = report.make(stack, settings, snapshot).policy_report.broken
    assert [str(each) for each in broken] == [], f"{place}: the example breaks a rule"


def test_an_example_of_settings_names_its_file():
    unnamed = [
        place
        for place, text, _ in BLOCKS
        if not FILE.match(text)
        and isinstance(given := yaml.safe_load(text), dict)
        and ("config" in given or SETTINGS in given or given.keys() <= Settings.model_fields.keys())
    ]

    assert unnamed == [], "start the block with `# Pulumi.prod.yaml`, or another file"
