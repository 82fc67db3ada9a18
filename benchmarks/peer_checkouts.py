"""Peers that are no packages: they are imported from a checkout that the user has.

mbt_gym and ABIDES-gym need gym, which is no longer maintained and does not install beside NumPy 2.
While they are imported, small stand-ins take the place of gym and of packages that the measured
code does not call.
"""

import contextlib
import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import gymnasium
import numpy as np

_NOT_CALLED = ("matplotlib", "matplotlib.pyplot", "seaborn", "stable_baselines3", "torch")
_NOT_CALLED += ("stable_baselines3.common.base_class", "coloredlogs", "ray", "ray.tune")
_NOT_CALLED += ("ray.tune.registry", "gym.envs", "gym.envs.registration")


class CheckoutError(ValueError):
    """A folder that is not a checkout of the peer."""


@contextlib.contextmanager
def importable(folders: list[Path], stand_ins: Mapping[str, Any]) -> Iterator[None]:
    """Make modules in these folders importable during the block, beside stand-ins.

    Raises:
        CheckoutError: if a folder is missing.
    """
    for folder in folders:
        if not folder.is_dir():
            raise CheckoutError(f"{folder} is missing: expected a folder of the checkout, got none")
    unused = {name: mock.MagicMock() for name in _NOT_CALLED}
    path = [str(folder) for folder in folders]
    with (
        mock.patch.dict(sys.modules, unused | dict(stand_ins)),
        mock.patch.object(sys, "path", path + sys.path),
    ):
        yield


def mbt_gym_environment(checkout: Path, n: int) -> Any:
    """The market of Avellaneda and Stoikov (2008), section 3.3, in mbt_gym, n at a time."""
    stand_ins = {"gym": gymnasium, "gym.spaces": gymnasium.spaces}
    with importable([checkout], stand_ins):
        name = "mbt_gym.stochastic_processes"
        environment, dynamics, arrivals, fills, mid = (
            importlib.import_module(module)
            for module in (
                "mbt_gym.gym.TradingEnvironment",
                "mbt_gym.gym.ModelDynamics",
                f"{name}.arrival_models",
                f"{name}.fill_probability_models",
                f"{name}.midprice_models",
            )
        )
        shared = {"step_size": 1 / STEPS, "num_trajectories": n}
        model = dynamics.LimitOrderModelDynamics(
            midprice_model=mid.BrownianMotionMidpriceModel(volatility=2.0, **shared),
            arrival_model=arrivals.PoissonArrivalModel(
                intensity=np.array([ARRIVALS * STEPS] * 2), **shared
            ),
            fill_probability_model=fills.ExponentialFillFunction(fill_exponent=1.5, **shared),
            num_trajectories=n,
        )
        return environment.TradingEnvironment(
            terminal_time=1.0, n_steps=STEPS, model_dynamics=model, num_trajectories=n
        )


STEPS, ARRIVALS = 200, 0.7
"""Decisions of a session, and expected arrivals at each side between two of them."""


class _Mixture:
    """pomegranate's GeneralMixtureModel, as far as ABIDES uses it: the sizes of its orders."""

    def __init__(self, text: str) -> None:
        model = json.loads(text)
        self._bounds = np.cumsum(model["weights"]) / np.sum(model["weights"])
        self._parts = model["distributions"]

    from_json = classmethod(lambda cls, text: cls(text))

    def sample(self, random_state: np.random.RandomState) -> float:
        part = self._parts[int(np.searchsorted(self._bounds, random_state.random_sample()))]
        value = random_state.normal(*part["parameters"])
        return float(np.exp(value) if part["name"] == "LogNormalDistribution" else value)


def abides_environment(checkout: Path) -> Any:
    """ABIDES-gym's daily investor in its market rmsc04."""
    gym = SimpleNamespace(Env=type("Env", (), {}), spaces=gymnasium.spaces)
    seeding = SimpleNamespace(np_random=lambda seed: (np.random.RandomState(seed), seed))
    stand_ins = {
        "gym": gym,
        "gym.utils": SimpleNamespace(seeding=seeding),
        "pomegranate": SimpleNamespace(GeneralMixtureModel=_Mixture),
    }
    folders = [checkout / f"abides-{part}" for part in ("core", "markets", "gym")]
    with importable(folders, stand_ins):
        module = "abides_gym.envs.markets_daily_investor_environment_v0"
        environment = importlib.import_module(module).SubGymMarketsDailyInvestorEnv_v0(
            background_config="rmsc04"
        )
        environment.seed(0)
        environment.reset()  # imports more
        return environment
