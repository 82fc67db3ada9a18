"""The generator of small faults, and the interval of the share that the tests notice."""

import itertools
from types import FunctionType

import pytest
from scipy import stats

from validation.mutants import interval_of_share, mutants_of

SOURCE = '''
@kernel
def doubled(values, n):
    """Double values."""
    total = 0.0
    for index in range(n):
        if values[index] > 1 and n < 3:
            total += 2 * values[index]
    return total
'''


def test_each_fault_is_one_change_of_the_function() -> None:
    mutants = list(mutants_of("some", SOURCE, itertools.count()))
    assert [mutant.number for mutant in mutants] == list(range(len(mutants)))
    changes = {(mutant.before, mutant.after) for mutant in mutants}
    assert {
        ("total += 2 * values[index]", "pass"),
        ("2 * values[index]", "2 / values[index]"),
        ("2 * values[index]", "3 * values[index]"),
        ("values[index] > 1 and n < 3", "values[index] > 1 or n < 3"),
        ("values[index] > 1", "values[index] >= 1"),
        ("values[index] > 1", "values[index] > 2"),
        ("n < 3", "n <= 3"),
        ("return total", "pass"),
    } < changes
    # The code of each is that of a function without the decorator.
    results = set()
    for mutant in mutants:
        names = {"values": [2, 1, 0], "n": 2}
        function = FunctionType(mutant.code, {"range": range})
        try:
            results.add(function(**names))
        except (IndexError, TypeError, UnboundLocalError):
            results.add("fails")
    assert {0.0, None, 1.0, 6.0} <= results  # 4 without a fault


@pytest.mark.parametrize("killed, n", [(190, 200), (200, 200), (0, 7), (3, 10)])
def test_the_interval_is_wilsons(killed: int, n: int) -> None:
    expected = stats.binomtest(killed, n).proportion_ci(method="wilson")
    assert interval_of_share(killed, n) == pytest.approx((expected.low, expected.high), abs=1e-6)
