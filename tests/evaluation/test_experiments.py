"""The experiments' checks hold at the defaults, and fail in the negative controls."""

import functools

import pytest

from agents import name_agent
from mm_gym.evaluation.experiments import EXPERIMENTS, ExperimentResult, ExperimentRunner
from mm_gym.evaluation.experiments.runner import above, below, within
from mm_gym.evaluation.statistics import Estimate

SEEDS = [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]


@functools.cache
def runner(seed: int, effect: bool) -> ExperimentRunner:
    return ExperimentRunner(name_agent, episodes=256, seed=seed, effect=effect)


@functools.cache
def result_of(experiment: str, seed: int, effect: bool) -> ExperimentResult:
    return EXPERIMENTS[experiment](runner(seed, effect))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_check_of_every_experiment_holds_at_the_defaults(experiment: str, seed: int) -> None:
    result = result_of(experiment, seed, True)
    failed = [
        f"{check.sentence}: {check.estimate}, wanted {check.wanted}"
        for check in result.checks
        if not check.holds
    ]
    assert not failed
    assert result.holds


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_no_negative_control_holds(experiment: str, seed: int) -> None:
    control = result_of(experiment, seed, False)
    assert not control.holds
    assert {check.sentence for check in control.checks} == {
        check.sentence for check in result_of(experiment, seed, True).checks
    }
    # The audit holds as in the experiment itself: only the effect is gone.
    assert all(check.holds for check in control.audit)


def test_identical_prices_shows_one_digest_and_another_one_for_other_seeds() -> None:
    notes = result_of("identical_prices", 0, True).notes
    digests = {note.rsplit(" ", 1)[1] for note in notes}
    assert len(notes) == 4
    assert len(digests) == 1
    few = ExperimentRunner(name_agent, episodes=8, seed=5)
    assert digests.isdisjoint(
        note.rsplit(" ", 1)[1] for note in EXPERIMENTS["identical_prices"](few).notes
    )


@pytest.mark.parametrize(
    "estimate, judged_above, judged_below, judged_within",
    [
        (Estimate(1.0, 0.5, 1.5), True, False, False),
        (Estimate(-1.0, -1.5, -0.5), False, True, False),
        (Estimate(0.0, -0.1, 0.1), False, False, True),
        # Too small a sample shows nothing, not even equality.
        (Estimate(0.0, -0.4, 0.4), False, False, False),
        (Estimate(float("nan"), float("nan"), float("nan")), False, False, False),
    ],
)
def test_a_check_holds_only_if_its_whole_interval_lies_in_the_required_range(
    estimate: Estimate, judged_above: bool, judged_below: bool, judged_within: bool
) -> None:
    assert above("", estimate, 0.0, "", "").holds is judged_above
    assert below("", estimate, 0.0, "", "").holds is judged_below
    assert within("", estimate, 0.25, "", "").holds is judged_within
