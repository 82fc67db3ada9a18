"""Fees of fills against hand-worked cases."""

from typing import Any

import numpy as np
import pytest

from mm_gym import ConfigurationError, configure
from tests.still_market import account, dealer, fills_after


def test_a_fee_in_currency_is_converted_with_the_tick() -> None:
    """A rebate of 0.002 with a tick of 0.01 is 0.2 ticks a lot."""
    markets = dealer(fee_unit="currency", maker_fee=-0.002, tick_size=0.01)
    fills = fills_after(markets, [0.5, 1.5, 2.5], 2.0)
    assert len(fills) == 3
    assert account(markets)["fees"] == pytest.approx(-0.6, rel=1e-12)
    assert configure("dealer", tick_size=0.01).to_currency(-0.6) == pytest.approx(-0.006)


def test_a_proportional_fee_is_a_share_of_the_traded_value() -> None:
    """One basis point of 99.98 or 100.02 in currency, which is 1 % of it in ticks."""
    markets = dealer(fee_unit="notional", maker_fee=1e-4, tick_size=0.01)
    fills = fills_after(markets, [0.5, 1.5, 2.5, 3.5], 2.0)
    assert set(fills["price"]) == {9_998.0, 10_002.0}
    in_currency = (1e-4 * 0.01 * fills["price"] * fills["lots"]).sum()
    paid = configure("dealer", tick_size=0.01).to_currency(account(markets)["fees"])
    assert paid == pytest.approx(in_currency, rel=1e-12)


def test_a_proportional_fee_is_positive_at_a_negative_price() -> None:
    markets = dealer(fee_unit="notional", maker_fee=0.01, initial_price=-500.0)
    (fill,) = fills_after(markets, [0.5], 2.0)
    assert account(markets)["fees"] == pytest.approx(0.01 * abs(fill["price"]), rel=1e-12)


def test_the_fee_changes_at_the_volumes_of_the_tiers() -> None:
    """0.5 ticks up to a volume of 3 lots, 0.25 up to 5 lots, then a rebate of 0.125."""
    markets = dealer(maker_fee=0.5, fee_tier_lots=(3.0, 5.0), fee_tier_fees=(0.25, -0.125))
    paid = []
    for lot in range(7):
        fills_after(markets, [lot + 0.5], 2.0)
        paid.append(float(account(markets)["fees"]))
    assert np.diff(paid, prepend=0.0).tolist() == [0.5, 0.5, 0.5, 0.25, 0.25, -0.125, -0.125]


def test_a_fill_across_the_border_of_a_tier_pays_the_fee_of_the_volume_before_it() -> None:
    markets = dealer(quote_size=4, maker_fee=0.5, fee_tier_lots=(4.0,), fee_tier_fees=(0.0,))
    markets.records["account"]["lots_taken"] = 3  # market orders count as volume, too
    markets.parameters["taker_size_scale"] = 1e9  # a taker of many lots
    (fill,) = fills_after(markets, [0.5], 2.0)
    assert fill["lots"] == 4
    assert account(markets)["fees"] == 2.0
    fills_after(markets, [1.5], 2.0)
    assert account(markets)["fees"] == 2.0
    assert account(markets)["n_lots"] == 8


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fee_unit": "dollars"}, "fee_unit='dollars' is not offered"),
        ({"fee_tier_lots": (5.0,)}, "do not match: .* got 1 volumes and 0 fees"),
        ({"fee_tier_lots": (5.0, 5.0), "fee_tier_fees": (0.0, 0.0)}, "is not ascending"),
        ({"fee_tier_lots": (-1.0,), "fee_tier_fees": (0.0,)}, "fee_tier_lots has a volume"),
        ({"fee_tier_lots": 5.0}, "fee_tier_lots is not a sequence of volumes"),
    ],
)
def test_a_wrong_fee_is_one_sentence(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        configure(**fields)
