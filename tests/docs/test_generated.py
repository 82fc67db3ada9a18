"""The generated reference says what the code says."""

import sys

import mm_gym
from tests.docs.pages import ROOT

sys.path.insert(0, str(ROOT / "docs" / "_ext"))
import generated


def test_the_configuration_table_has_every_field_with_its_meaning() -> None:
    rows = [line.split(" | ") for line in generated.configuration().splitlines() if "| `" in line]
    meanings = {row[0].strip("| `"): row[-1].strip("| ") for row in rows}
    assert set(mm_gym.MarketConfig().to_dict()) <= set(meanings)
    assert all(meanings.values())


def test_the_environment_page_names_every_column_and_every_argument() -> None:
    page = generated.environment()
    for name in (*mm_gym.OBSERVATION_NAMES, "variance_reduction", "render_mode", "unwinding_time"):
        assert name in page


def test_the_tasks_and_regimes_are_complete() -> None:
    assert all(f"`{name}`" in generated.tasks() for name in mm_gym.TASKS)
    assert all(f"`{name}`" in generated.regimes() for name in mm_gym.REGIMES)


def test_the_rules_are_those_of_the_registry() -> None:
    from agents import RULES

    assert all(f"| `{name}` |" in generated.rules() for name in RULES)
