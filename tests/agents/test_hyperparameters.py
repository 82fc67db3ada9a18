"""The network in a file of hyperparameters: a mapping, or a string as rl_zoo3 reads it."""

from pathlib import Path

import pytest
import torch
import yaml

from agents.learned.hyperparameters import (
    ACTIVATIONS,
    ALGORITHM_PART,
    FOLDER,
    HyperparameterError,
    read_hyperparameters,
)


@pytest.mark.parametrize(
    "text, kwargs",
    [
        (
            '"dict(net_arch=[8, 4], activation_fn=nn.ReLU)"',
            {"net_arch": [8, 4], "activation_fn": "relu"},
        ),
        (
            '"dict(net_arch=dict(pi=[8], vf=[4]), log_std_init=-1.5)"',
            {"net_arch": {"pi": [8], "vf": [4]}, "log_std_init": -1.5},
        ),
        ("{net_arch: [8], activation_fn: silu}", {"net_arch": [8], "activation_fn": "silu"}),
    ],
)
def test_a_network_may_be_a_string_as_for_rl_zoo3_or_a_mapping(
    text: str, kwargs: dict[str, object], tmp_path: Path
) -> None:
    assert hyperparameters_with(text, tmp_path)[ALGORITHM_PART]["policy_kwargs"] == kwargs


@pytest.mark.parametrize(
    "text",
    [
        '"dict(net_arch=[8], activation_fn=nn.Softsign)"',
        "\"dict(net_arch=open('created', 'w'))\"",
        "\"__import__('os').getcwd()\"",
        '"dict(**{})"',
        '"dict(net_arch=["',
        '"64"',
    ],
)
def test_any_other_string_for_a_network_is_refused_and_never_evaluated(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HyperparameterError, match="expected"):
        hyperparameters_with(text, tmp_path)
    assert not (tmp_path / "created").exists()


def hyperparameters_with(policy_kwargs: str, folder: Path) -> dict:
    lines = (FOLDER / "ppo.yml").read_text().splitlines()
    path = folder / "hyperparameters.yml"
    path.write_text(
        "\n".join(
            line if "policy_kwargs:" not in line else f"  policy_kwargs: {policy_kwargs}"
            for line in lines
        )
    )
    return read_hyperparameters(str(path))


def test_the_network_in_the_shipped_files_is_what_rl_zoo3_evaluates() -> None:
    """rl_zoo3 evaluates the string with `nn` of torch. This project only parses it."""
    for path in FOLDER.glob("*.yml"):
        learning = yaml.safe_load(path.read_text())[ALGORITHM_PART]
        theirs = eval(learning["policy_kwargs"], {"nn": torch.nn})
        ours = read_hyperparameters(path.stem)[ALGORITHM_PART]["policy_kwargs"]
        if "activation_fn" in ours:
            ours = ours | {"activation_fn": getattr(torch.nn, ACTIVATIONS[ours["activation_fn"]])}
        assert ours == theirs
