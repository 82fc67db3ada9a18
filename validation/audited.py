"""Sessions in which every event is checked, for `validation.soak`.

The kernels below process the events of one market with the functions of `mm_gym.core`. After each
event they compare the state with the state before it: the book is sound, lots and cash move between
agent, background makers and taker and none is lost, and nothing changes that the kind of event does
not change. After each decision they check the reward and the observation. A fault is a code; 0
means none. Conservation is exact in lots. Cash is compared within rounding errors.
"""

import math
from enum import IntEnum

import numpy as np

from mm_gym.core.book import BOOK_CROSSED, SOUND, audit, find_level, price_key
from mm_gym.core.control_variate import expect_fills
from mm_gym.core.kernel import FINGERPRINT, entry_point, kernel
from mm_gym.core.layout import (
    AGENT,
    ASK,
    BID,
    NO_ORDER,
    OBSERVATION_BOUNDS,
    TAKE_ABOVE,
    TAPE_ROWS,
    Makers,
    Outcome,
    RewardKind,
)
from mm_gym.core.makers import reschedule_makers
from mm_gym.core.market import (
    begin_reset,
    begin_step,
    finish_reset,
    finish_step,
    let_happen,
    next_event_time,
)
from mm_gym.core.observe import update_features
from mm_gym.core.quotes import best_key, public_level
from mm_gym.core.replay import (
    begin_replay_step,
    let_recorded_happen,
    lots_at,
    next_recorded_time,
    see_touch,
)

_LOW = np.array([low for low, _ in OBSERVATION_BOUNDS])
_HIGH = np.array([high for _, high in OBSERVATION_BOUNDS])
_ROUNDING = 1e-12  # relative error that sums of floats may have


class Fault(IntEnum):
    """What can be wrong. Codes below 10 are those of `mm_gym.core.book.audit`."""

    TIME = 10
    """The clock went back, or an event is in the past."""
    NOT_A_NUMBER = 11
    """A price, the cash or the signal is not finite."""
    QUOTE = 12
    """The agent's orders in the book are not those of its quotes, or are too large."""
    INVENTORY = 13
    """The position limit is exceeded, or the inventory moved by other lots than were filled."""
    CASH = 14
    """The agent's cash moved by another amount than its fills are worth."""
    WEALTH = 15
    """Marked wealth is not spread captured plus inventory PnL minus fees."""
    LOTS_LOST = 16
    """The taker traded other lots than left the queues."""
    MONEY_LOST = 17
    """The taker paid another amount than agent and makers received."""
    PRICE_PRIORITY = 18
    """A better price stayed in the book while a worse one traded."""
    TAPE = 19
    """The tape differs from the features of the flow, or has a trade of the wrong side."""
    CHANGED = 20
    """The event changed something that events of its kind do not change."""
    NOT_PULLED = 21
    """A background order beyond the efficient price stayed."""
    MID = 22
    """The mid is not the midpoint of the public touch."""
    OBSERVATION = 23
    """A column is out of its bounds, or not a number."""
    OUTCOME = 24
    """A value of the outcome is not a number, or differs from the account."""
    REWARD = 25
    """The reward is not the sum of its parts, or a part is not what its definition gives."""
    END = 26
    """The session ended too early or too late."""
    NOT_REPEATED = 27
    """The same session, stepped by the entry points of the environments, ended differently."""


# Kinds of events.
_MAKER, _VALUE, _TAKER, _QUOTES, _RECORDED = range(5)

# Columns of a survey of the book, each for bids and asks.
_PUBLIC, _PUBLIC_VALUE, _OWN, _OWN_VALUE, _N_PUBLIC, _N_OWN = 0, 2, 4, 6, 8, 10
SURVEY = 12


@kernel
def _survey(book, survey):
    """Sum lots, and key x lots, of public and own orders on each side. Sums wrap at 64 bits."""
    survey[:] = 0
    for place in range(book.n_live):
        order = book.orders[book.live[place]]
        side = order.side
        lots = np.int64(order.lots)
        if order.owner == AGENT:
            survey[_OWN + side] += lots
            survey[_OWN_VALUE + side] += lots * np.int64(order.key)
            survey[_N_OWN + side] += 1
        else:
            survey[_PUBLIC + side] += lots
            survey[_PUBLIC_VALUE + side] += lots * np.int64(order.key)
            survey[_N_PUBLIC + side] += 1


@kernel
def _public_part_changed(before, after, side):
    return (
        before[_PUBLIC + side] != after[_PUBLIC + side]
        or before[_PUBLIC_VALUE + side] != after[_PUBLIC_VALUE + side]
        or before[_N_PUBLIC + side] != after[_N_PUBLIC + side]
    )


@kernel
def _own_part_changed(before, after, side):
    return (
        before[_OWN + side] != after[_OWN + side]
        or before[_OWN_VALUE + side] != after[_OWN_VALUE + side]
        or before[_N_OWN + side] != after[_N_OWN + side]
    )


@kernel
def _state_fault(market, parameters, survey, gross):
    """Check what always holds. `gross` [ticks x lots] is the money that has moved so far."""
    fault = audit(market.book)
    if fault == BOOK_CROSSED and parameters.makers == Makers.RECORDED:
        # Recorded orders do not know of the agent's, and may rest beyond a quote that they have
        # filled in part. The public book must not be crossed.
        levels = market.book.levels
        bid, ask = public_level(market, BID), public_level(market, ASK)
        if bid < 0 or ask < 0 or levels[BID, bid].key < -np.int64(levels[ASK, ask].key):
            fault = SOUND
    if fault != SOUND:
        return fault
    account = market.account
    if not (
        math.isfinite(market.mid)
        and math.isfinite(market.efficient_price)
        and math.isfinite(market.signal)
        and math.isfinite(account.cash)
        and math.isfinite(account.inventory_pnl)
    ):
        return Fault.NOT_A_NUMBER
    for side in range(2):
        slot = market.quotes.slot[side]
        if survey[_N_OWN + side] != (1 if slot != NO_ORDER else 0):
            return Fault.QUOTE
        if slot != NO_ORDER:
            order = market.book.orders[slot]
            largest = parameters.quote_size * parameters.lot_size
            if order.owner != AGENT or order.side != side or not 0 < order.lots <= largest:
                return Fault.QUOTE
    if abs(account.inventory) > parameters.max_inventory:
        return Fault.INVENTORY
    wealth = account.cash + account.inventory * account.mark
    parts = account.spread_pnl + account.inventory_pnl - account.fees
    if not abs(wealth - parts) <= 1e-9 + _ROUNDING * gross:
        return Fault.WEALTH
    return SOUND


@kernel
def _trade_fault(market, parameters, before, after, n_trades, flow, volume):
    """Check the lots and the money of the trades of a taker, which are the latest on the tape."""
    traded = market.features.step_volume - volume
    signed = market.features.step_flow - flow
    if abs(signed) != traded:
        return Fault.TAPE
    if n_trades == 0:
        return SOUND if traded == 0.0 else Fault.TAPE
    taker = BID if signed > 0.0 else ASK
    side = 1 - taker
    if _public_part_changed(before, after, taker) or _own_part_changed(before, after, taker):
        return Fault.CHANGED
    lots, own, paid, own_paid = 0, 0, 0, 0
    for index in range(min(n_trades, TAPE_ROWS)):
        trade = market.tape[(market.n_trades - 1 - index) % TAPE_ROWS]
        if trade.side != taker or trade.time != market.time or not 0 < trade.lots:
            return Fault.TAPE
        lots += trade.lots
        own += trade.own_lots
        paid += np.int64(trade.price) * trade.lots
        own_paid += np.int64(trade.price) * trade.own_lots
    last = market.tape[(market.n_trades - 1) % TAPE_ROWS]
    if best_key(market.book, side) > price_key(side, np.int64(last.price)):
        return Fault.PRICE_PRIORITY
    own_gone = before[_OWN + side] - after[_OWN + side]
    public_gone = before[_PUBLIC + side] - after[_PUBLIC + side]
    if parameters.refill:
        if public_gone != 0 or before[_PUBLIC_VALUE + side] != after[_PUBLIC_VALUE + side]:
            return Fault.CHANGED
    elif own_gone + public_gone != traded:
        return Fault.LOTS_LOST
    if n_trades > TAPE_ROWS:  # the oldest ones are no longer on the tape
        return SOUND
    if lots != traded or own != own_gone:
        return Fault.LOTS_LOST
    # Sums of key x lots are money, of the other sign for asks.
    sign = 1 if side == BID else -1
    if own_paid != sign * (before[_OWN_VALUE + side] - after[_OWN_VALUE + side]):
        return Fault.MONEY_LOST
    public_paid = sign * (before[_PUBLIC_VALUE + side] - after[_PUBLIC_VALUE + side])
    if not parameters.refill and paid - own_paid != public_paid:
        return Fault.MONEY_LOST
    return SOUND


@kernel
def _fee(parameters, fee, price):
    return fee * abs(price) if parameters.fee_of_notional else fee


@kernel
def _account_fault(market, parameters, before, after, cash, inventory, fees, lots, gross):
    """Check that the account moved by what left the agent's orders.

    `lots` is the volume of the session before, which decides the maker fee.
    """
    account = market.account
    value, fee = np.int64(0), 0.0
    filled = np.zeros(2, np.int64)
    # A sniper takes the ask first.
    for side in (ASK, BID):
        filled[side] = before[_OWN + side] - after[_OWN + side]
        if filled[side] < 0:
            return Fault.CHANGED
        if filled[side] > 0:
            # The agent pays for bids, and is paid for asks, whose keys are negative.
            paid = before[_OWN_VALUE + side] - after[_OWN_VALUE + side]
            value -= paid
            rate = parameters.maker_fee
            for tier in range(parameters.n_fee_tiers):
                if lots >= parameters.fee_tier_lots[tier]:
                    rate = parameters.fee_tier_fees[tier]
            fee += filled[side] * _fee(parameters, rate, paid / filled[side])
            lots += filled[side]
    if account.inventory - inventory != filled[BID] - filled[ASK]:
        return Fault.INVENTORY
    error = 1e-9 + _ROUNDING * (gross + abs(fee))
    if not (
        abs(account.cash - cash - (value - fee)) <= error
        and abs(account.fees - fees - fee) <= error
    ):
        return Fault.CASH
    return SOUND


@kernel
def _take_fault(market, parameters, before, after, cash, inventory, fees, taken, trades, gross):
    """Check what the agent's messages changed: nothing, or a market order reduced the inventory.

    The values are those before, with `taken` the lots of earlier market orders.
    """
    account = market.account
    lots = account.lots_taken - taken
    side = BID if inventory > 0 else ASK  # of the orders that the agent's market order takes
    if _public_part_changed(before, after, 1 - side):
        return Fault.CHANGED
    if lots == 0:
        if account.cash != cash or account.inventory != inventory or market.n_trades != trades:
            return Fault.CHANGED
        return Fault.CHANGED if _public_part_changed(before, after, side) else SOUND
    if not 0 < lots <= abs(inventory):
        return Fault.INVENTORY
    if account.inventory != (inventory - lots if side == BID else inventory + lots):
        return Fault.INVENTORY
    if parameters.refill:
        return SOUND
    if before[_PUBLIC + side] - after[_PUBLIC + side] != lots:
        return Fault.LOTS_LOST
    # Keys are prices of bids, for which the agent is paid, and minus the prices of asks.
    paid = before[_PUBLIC_VALUE + side] - after[_PUBLIC_VALUE + side]
    fee = account.fees - fees
    error = 1e-9 + _ROUNDING * (gross + abs(fee))
    if not abs(account.cash - cash - (paid - fee)) <= error:
        return Fault.CASH
    if not parameters.fee_of_notional and not abs(fee - parameters.taker_fee * lots) <= error:
        return Fault.CASH
    return SOUND


@kernel
def _mid_fault(market, parameters):
    """Check the public mid against the book."""
    if parameters.makers == Makers.NONE:
        return SOUND if market.mid == market.efficient_price else Fault.MID
    bid, ask = public_level(market, BID), public_level(market, ASK)
    levels = market.book.levels
    if bid >= 0 and ask >= 0:
        mid = 0.5 * (np.int64(levels[BID, bid].key) - np.int64(levels[ASK, ask].key))
        return SOUND if market.mid == mid else Fault.MID
    if bid >= 0 and market.mid < levels[BID, bid].key:
        return Fault.MID
    if ask >= 0 and market.mid > -levels[ASK, ask].key:
        return Fault.MID
    return SOUND


@kernel
def _audited_event(market, parameters, before, after, gross):
    """Process the next event of a simulated market. Return a fault and the money that moved."""
    book = market.book
    time = next_event_time(market)
    if not time >= market.time:
        return Fault.TIME, 0.0
    if time == market.next_maker:
        kind = _MAKER
    elif time == market.next_value:
        kind = _VALUE
    elif time == market.next_taker:
        kind = _TAKER
    else:
        kind = _QUOTES
    account, features = market.account, market.features
    cash, inventory, fees, mark = account.cash, account.inventory, account.fees, account.mark
    trades, flow, volume = market.n_trades, features.step_flow, features.step_volume
    lots, taken = account.n_lots + account.lots_taken, account.lots_taken
    _survey(book, before)
    let_happen(market, parameters, time)
    _survey(book, after)
    moved = abs(account.cash - cash) + abs(inventory * (account.mark - mark))
    gross += moved + abs(account.inventory * account.mark)
    new_trades = market.n_trades - trades
    fault = _state_fault(market, parameters, after, gross)
    if fault != SOUND:
        return fault, moved
    if kind == _TAKER or kind == _VALUE:
        fault = _account_fault(
            market, parameters, before, after, cash, inventory, fees, lots, gross
        )
        if fault != SOUND:
            return fault, moved
    elif kind == _QUOTES:
        fault = _take_fault(
            market, parameters, before, after, cash, inventory, fees, taken, trades, gross
        )
        if fault != SOUND:
            return fault, moved
        if features.step_flow != flow or features.step_volume != volume:
            return Fault.CHANGED, moved
    elif account.cash != cash or account.inventory != inventory or new_trades > 0:
        return Fault.CHANGED, moved
    if kind == _TAKER:
        fault = _trade_fault(market, parameters, before, after, new_trades, flow, volume)
        if fault != SOUND:
            return fault, moved
    changed_orders = 0
    for side in range(2):
        changed_orders += abs(after[_N_PUBLIC + side] - before[_N_PUBLIC + side])
        if kind == _MAKER and _own_part_changed(before, after, side):
            return Fault.CHANGED, moved
        if kind == _VALUE:
            best = public_level(market, side)
            value_key = market.efficient_price if side == BID else -market.efficient_price
            if best >= 0 and book.levels[side, best].key > value_key:
                return Fault.NOT_PULLED, moved
            if not parameters.sniping and _own_part_changed(before, after, side):
                return Fault.CHANGED, moved
    if kind == _MAKER and changed_orders > 1:
        return Fault.CHANGED, moved
    return SOUND, moved


@kernel
def _audited_until(market, parameters, end, before, after, progress, limits):
    """Process and check the events up to `end` [s]. Return the first fault."""
    while True:
        time = next_event_time(market)
        if parameters.variance_reduction:
            expect_fills(market, parameters, min(time, end) - market.time)
        if time > end:
            market.time = end
            return SOUND
        fault, moved = _audited_event(market, parameters, before, after, limits[0])
        limits[0] += moved
        progress[0] += 1
        if fault != SOUND:
            return fault


@kernel
def _recorded_until(market, parameters, recording, end, before, after, progress, limits):
    """Process and check the recorded events up to `end` [s]. Return the first fault."""
    book = market.book
    account = market.account
    while True:
        recorded_time = next_recorded_time(market, recording[0])
        time = min(recorded_time, market.quotes.arrival)
        if time > end:
            market.time = end
            see_touch(market, recording[1])
            return SOUND
        if not time >= market.time:
            return Fault.TIME
        cash, inventory, fees, mark = account.cash, account.inventory, account.fees, account.mark
        lots = account.n_lots
        _survey(book, before)
        let_recorded_happen(market, parameters, recording, time, recorded_time)
        _survey(book, after)
        progress[0] += 1
        limits[0] += abs(account.cash - cash) + abs(inventory * (account.mark - mark))
        gross = limits[0] + abs(account.inventory * account.mark)
        fault = _state_fault(market, parameters, after, gross)
        if fault != SOUND:
            return fault
        if recorded_time != time:
            if account.cash != cash or account.inventory != inventory:
                return Fault.CHANGED
        elif parameters.lot_size == 1:
            fault = _account_fault(
                market, parameters, before, after, cash, inventory, fees, lots, gross
            )
            if fault != SOUND:
                return fault
        for side in range(2):
            slot = market.quotes.slot[side]
            if slot == NO_ORDER:
                continue
            order = book.orders[slot]
            level = book.levels[side, find_level(book, side, order.key)]
            public = lots_at(recording, side, np.int64(order.key), market.recorded.cursor)
            if level.lots - np.int64(order.lots) != public:
                return Fault.LOTS_LOST


@kernel
def _step_fault(market, parameters, steps, objective, wealth, held_pnl, gross):
    """Check observation, outcome and reward of a step. The other values are those before it."""
    for column in range(_LOW.shape[0]):
        value = market.observation[column]
        if not _LOW[column] <= value <= _HIGH[column]:
            return Fault.OBSERVATION
    outcome, account = market.outcome, market.account
    for column in range(outcome.shape[0]):
        if not math.isfinite(outcome[column]):
            return Fault.OUTCOME
    ended = outcome[Outcome.TERMINATED] == 1.0
    if market.steps != steps + 1 or ended != (market.steps == parameters.session_steps):
        return Fault.END
    if (
        outcome[Outcome.CASH] != account.cash
        or outcome[Outcome.INVENTORY] != account.inventory
        or outcome[Outcome.MID] != market.mid
        or outcome[Outcome.OBJECTIVE] != account.objective
    ):
        return Fault.OUTCOME
    fault = _mid_fault(market, parameters)
    if fault != SOUND:
        return fault
    error = 1e-9 + _ROUNDING * (gross + abs(objective))
    now = account.cash + account.inventory * market.mid
    lots = abs(account.inventory)
    close_out = 0.0
    if ended:
        close_out = parameters.close_out_cost * lots + parameters.close_out_impact * lots * lots
    error += _ROUNDING * close_out
    final = account.spread_pnl + account.inventory_pnl - account.fees - account.close_out
    if not (
        abs(account.close_out - close_out) <= error
        and abs(outcome[Outcome.PNL] - (now - close_out)) <= error
        and abs(outcome[Outcome.PNL] - final) <= error
    ):
        return Fault.OUTCOME
    scale = parameters.reward_scale
    wealth_part = outcome[Outcome.REWARD_WEALTH]
    risk = outcome[Outcome.REWARD_RISK]
    closing = outcome[Outcome.REWARD_CLOSE_OUT]
    total = wealth_part + risk + closing
    of_total = scale * error + _ROUNDING * (abs(wealth_part) + abs(risk) + abs(closing))
    difference = scale * outcome[Outcome.CONTROL_VARIATE]
    if not (
        abs(outcome[Outcome.REWARD] + difference - total) <= of_total + _ROUNDING * abs(difference)
        and abs(scale * (account.objective - objective) - total) <= of_total
    ):
        return Fault.REWARD
    held = account.inventory_pnl - held_pnl
    if parameters.reward == RewardKind.CARA:
        return SOUND
    expected = 0.0
    if parameters.reward == RewardKind.INVENTORY_PENALTY:
        expected = parameters.inventory_penalty * float(lots) * lots * parameters.decision_interval
    elif parameters.reward == RewardKind.DAMPENED:
        expected = max(0.0, parameters.dampening * held)
    if not (
        abs(wealth_part - scale * (now - wealth)) <= of_total
        and abs(risk + scale * expected) <= of_total
        and abs(closing + scale * close_out) <= of_total
    ):
        return Fault.REWARD
    return SOUND


@kernel
def _lean(account, own, skew, action):
    """Move both offsets of an action by `skew` x inventory / position limit."""
    lean = skew * account.inventory / own.max_inventory
    action[0] += lean
    action[1] -= lean


@kernel
def _finish(market, own, steps, objective, wealth, held_pnl, limits):
    """Finish a step and check it. The other values are those before it."""
    finish_step(market, own)
    account = market.account
    gross = limits[0] + abs(account.inventory * account.mark) + abs(account.cash)
    return _step_fault(market, own, steps, objective, wealth, held_pnl, gross)


def _entry_points(fingerprint):
    @entry_point
    def audited_reset(markets, parameters, seed_words, progress, limits):
        """Reset the first market as `reset_many` does, with checks. Return the first fault."""
        fingerprint  # noqa: B018
        market = markets[0]
        own = parameters[market.configuration]
        before, after = np.zeros(SURVEY, np.int64), np.zeros(SURVEY, np.int64)
        begin_reset(market, own, seed_words)
        for step in range(own.warm_up_steps):
            end = (step + 1 - own.warm_up_steps) * own.decision_interval
            fault = _audited_until(market, own, end, before, after, progress, limits)
            if fault != SOUND:
                return fault
            update_features(market, own)
        finish_reset(market, own)
        return SOUND

    @entry_point
    def audited_steps(markets, parameters, actions, skew, budget, progress, limits):
        """Step the first market with checks until its session or the actions end.

        Offsets are moved by `skew` x inventory / position limit, and `actions` receives them.
        `progress` counts the events and the steps. Stops after `budget` events.
        """
        fingerprint  # noqa: B018
        market = markets[0]
        own = parameters[market.configuration]
        account = market.account
        before, after = np.zeros(SURVEY, np.int64), np.zeros(SURVEY, np.int64)
        for step in range(actions.shape[0]):
            _lean(account, own, skew, actions[step])
            objective, wealth, held = account.objective, account.wealth, account.inventory_pnl
            steps = market.steps
            cash, inventory, fees = account.cash, account.inventory, account.fees
            taken, trades = account.lots_taken, market.n_trades
            takes = actions[step, 2] > TAKE_ABOVE
            _survey(market.book, before)
            end = begin_step(market, own, actions[step, 0], actions[step, 1], takes)
            reschedule_makers(market, own)
            _survey(market.book, after)
            limits[0] += abs(account.cash - cash)
            gross = limits[0] + abs(account.inventory * account.mark)
            fault = _take_fault(
                market, own, before, after, cash, inventory, fees, taken, trades, gross
            )
            if fault != SOUND:
                return fault
            fault = _audited_until(market, own, end, before, after, progress, limits)
            if fault != SOUND:
                return fault
            progress[1] += 1
            fault = _finish(market, own, steps, objective, wealth, held, limits)
            if fault != SOUND:
                return fault
            if market.outcome[Outcome.TERMINATED] == 1.0 or progress[0] > budget:
                break
        return SOUND

    @entry_point
    def audited_recorded_steps(
        markets, parameters, actions, skew, budget, progress, limits, recording
    ):
        """Step the first market of recorded data with checks, as `audited_steps` does."""
        fingerprint  # noqa: B018
        market = markets[0]
        own = parameters[market.configuration]
        account = market.account
        before, after = np.zeros(SURVEY, np.int64), np.zeros(SURVEY, np.int64)
        for step in range(actions.shape[0]):
            _lean(account, own, skew, actions[step])
            objective, wealth, held = account.objective, account.wealth, account.inventory_pnl
            steps = market.steps
            end = begin_replay_step(market, own, recording, actions[step, 0], actions[step, 1])
            fault = _recorded_until(market, own, recording, end, before, after, progress, limits)
            if fault != SOUND:
                return fault
            progress[1] += 1
            fault = _finish(market, own, steps, objective, wealth, held, limits)
            if fault != SOUND:
                return fault
            if market.outcome[Outcome.TERMINATED] == 1.0 or progress[0] > budget:
                break
        return SOUND

    return audited_reset, audited_steps, audited_recorded_steps


audited_reset, audited_steps, audited_recorded_steps = _entry_points(FINGERPRINT)
