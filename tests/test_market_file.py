"""Markets as files, and the commands that read them."""

import json
from pathlib import Path

import pytest

from agents.commands import evaluate, train
from mm_gym import ConfigurationError, configure
from mm_gym.market_file import read_market, write_market


def test_what_is_written_is_read(tmp_path: Path) -> None:
    tolerance = float("inf")  # JSON has no infinity
    config = configure("informed", latency=0.5, taker_size=1.5, taker_tolerance=tolerance)
    write_market(config, tmp_path / "market.json")
    json.loads((tmp_path / "market.json").read_text(), parse_constant=pytest.fail)
    assert read_market(tmp_path / "market.json") == config
    assert [path.name for path in tmp_path.iterdir()] == ["market.json"]


@pytest.mark.parametrize(
    "content, expected",
    [
        ("[1]", "is not a market: expected a mapping of fields, got list"),
        ("{", "cannot be read: expected a market in JSON"),
        ('{"latency": "slow"}', "latency"),
        ('{"latency": -1}', "latency"),
        ('{"latncy": 1}', "market.json is not a market of this version .*did you mean 'latency'"),
        (None, "cannot be read: expected a market in JSON, got No such file"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, content: str | None, expected: str) -> None:
    if content is not None:
        (tmp_path / "market.json").write_text(content)
    with pytest.raises(ConfigurationError, match=expected):
        read_market(tmp_path / "market.json")


def test_training_and_evaluation_use_the_market_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, run = tmp_path / "market.json", tmp_path / "run"
    small = {"session_steps": 5, "warm_up": 1.0, "taker_tolerance": float("inf")}
    write_market(configure("noise", latency=0.2, **small), file)
    trained = train.main(
        train.Arguments(market=file, timesteps=64, n_envs=4, out=run, set=(("maker_fee=0.1",),))
    )
    config = train.read_run(trained).config
    assert (config.latency, config.session_steps, config.maker_fee) == (0.2, 5, 0.1)
    results = evaluate.main(
        evaluate.Arguments(
            agents=f"inventory_skew,{run}", market=file, episodes=2, out=tmp_path / "results"
        )
    )
    assert results is not None
    assert '"latency": 0.2' in (results / "summary.json").read_text()
    assert "noise" in capsys.readouterr().out


@pytest.mark.parametrize("option", [{"regime": "noise"}, {"task": "noise"}])
def test_a_market_beside_another_one_is_refused(tmp_path: Path, option: dict[str, str]) -> None:
    write_market(configure(), tmp_path / "m.json")
    with pytest.raises(ValueError, match="has no effect with --market"):
        train.main(train.Arguments(market=tmp_path / "m.json", out=tmp_path / "run", **option))
    with pytest.raises(ValueError, match="has no effect with --market"):
        evaluate.main(
            evaluate.Arguments(
                regimes="informed", market=tmp_path / "m.json", out=tmp_path / "results"
            )
        )
