"""The dynamics of one market: the events, and the steps from decision to decision.

A step sends the quotes, processes all events until the next decision, marks the account, computes
the reward and observes. The code is for one market; `entry_points` loops over many. Units are those
of `layout`.
"""

import math

from mm_gym.core.account import close_position, mark_to, marked_wealth, open_account
from mm_gym.core.book import clear
from mm_gym.core.control_variate import (
    control_variate_since,
    count_fills,
    expect_fills,
    start_control_variate,
)
from mm_gym.core.kernel import hot_kernel, kernel
from mm_gym.core.layout import InformedKind, Makers, Outcome
from mm_gym.core.makers import maker_event, pull_crossed, reschedule_makers, start_makers
from mm_gym.core.messages import receive_message, send_messages, start_messages
from mm_gym.core.observe import observe, start_features, update_features
from mm_gym.core.quotes import (
    clear_quotes,
    public_mid,
    spend_time_at_touch,
)
from mm_gym.core.random import SEED_WORDS, seed_stream
from mm_gym.core.recorder import keep_fills, keep_path
from mm_gym.core.reward import close_out_part, risk_part, wealth_part
from mm_gym.core.scales import offset_kernel
from mm_gym.core.takers import snipe, start_takers, taker_event
from mm_gym.core.value import advance_decoy, advance_value, start_value


@kernel
def _value_event(market, parameters):
    """Move the efficient price by one interval. Background makers and snipers react at once."""
    advance_value(market, parameters)
    if market.flow.informed_kind == InformedKind.DECOY:
        advance_decoy(market, parameters)
    market.value_ticks += 1
    market.next_value = market.start + (market.value_ticks + 1) * parameters.value_interval
    pull_crossed(market)
    if parameters.sniping:
        snipe(market, parameters)


@hot_kernel
def next_event_time(market):
    """Return the time of the next event of any kind."""
    # The makers' clock comes last: it was set at the latest event, so the others are known earlier.
    others = min(min(market.next_value, market.next_taker), market.quotes.arrival)
    return min(others, market.next_maker)


@hot_kernel
def let_happen(market, parameters, time):
    """Move the clock to `time` and process the event that is due at that time."""
    market.time = time
    market.n_new_fills = 0
    if time == market.next_maker:
        maker_event(market, parameters)
    elif time == market.next_value:
        _value_event(market, parameters)
    elif time == market.next_taker:
        taker_event(market, parameters)
    else:
        receive_message(market, parameters)
    if parameters.variance_reduction:
        count_fills(market, parameters)
    if parameters.makers == Makers.ZERO_INTELLIGENCE:
        market.efficient_price = public_mid(market, parameters)
    reschedule_makers(market, parameters)


@kernel
def run_until(market, parameters, end):
    """Process all events up to and including time `end`."""
    while True:
        time = next_event_time(market)
        if parameters.variance_reduction:
            expect_fills(market, parameters, min(time, end) - market.time)
        if time > end:
            market.time = end
            return
        let_happen(market, parameters, time)


@kernel
def run_until_recording(market, parameters, end, fill_rows, path_rows):
    """Process all events up to `end` as `run_until` does, and record fills and the path."""
    keep_path(market, parameters, path_rows)
    while True:
        time = next_event_time(market)
        if parameters.variance_reduction:
            expect_fills(market, parameters, min(time, end) - market.time)
        spend_time_at_touch(market, min(time, end) - market.time)
        if time > end:
            market.time = end
            return
        let_happen(market, parameters, time)
        keep_fills(market, fill_rows)
        keep_path(market, parameters, path_rows)


@kernel
def _do_without_value(market):
    """Switch the price process off. With zero intelligence, the efficient price is the mid."""
    market.signal = 0.0
    market.next_value = math.inf


@kernel
def reset_one(market, parameters, seed_words):
    """Start a session: seed the streams, fill the book in a warm-up, open the account, observe.

    `seed_words` holds `SEED_WORDS` words for each of the four streams. The agent does not quote
    during the warm-up.
    """
    begin_reset(market, parameters, seed_words)
    for step in range(parameters.warm_up_steps):
        end = (step + 1 - parameters.warm_up_steps) * parameters.decision_interval
        run_until(market, parameters, end)
        update_features(market, parameters)
    finish_reset(market, parameters)


@kernel
def begin_reset(market, parameters, seed_words):
    """Seed the streams, and set everything to its state before the warm-up, with an empty book."""
    seed_stream(market.value_words, seed_words[:SEED_WORDS])
    seed_stream(market.taker_words, seed_words[SEED_WORDS : 2 * SEED_WORDS])
    seed_stream(market.maker_words, seed_words[2 * SEED_WORDS : 3 * SEED_WORDS])
    seed_stream(market.decoy_words, seed_words[3 * SEED_WORDS :])
    start_messages(market, seed_words[SEED_WORDS : 2 * SEED_WORDS])
    market.start = -parameters.warm_up_steps * parameters.decision_interval
    market.time = market.start
    market.steps = 0
    market.value_ticks = 0
    market.next_value = market.start + parameters.value_interval
    market.n_new_fills = 0
    market.n_fill_rows = 0
    market.n_path_rows = 0
    clear(market.book)
    clear_quotes(market.quotes)
    start_value(market, parameters)
    if parameters.makers == Makers.ZERO_INTELLIGENCE:
        _do_without_value(market)
    market.mid = market.efficient_price
    open_account(market.account, market.mid)
    start_features(market, parameters)
    start_takers(market, parameters)
    start_makers(market, parameters)


@kernel
def finish_reset(market, parameters):
    """Open the account after the warm-up, and observe."""
    market.n_trades = 0
    open_account(market.account, public_mid(market, parameters))
    observe(market, parameters)
    start_control_variate(market, parameters)
    _report(market, parameters, 0.0, 0.0, 0.0, False)


@kernel
def begin_step(market, parameters, bid_action, ask_action, takes):
    """Begin a decision: send quotes. Return the time of the next decision.

    Actions are clipped to [-1, 1] and converted to offsets by `scales`. `takes` asks for a
    market order that flattens the inventory.
    """
    start_control_variate(market, parameters)
    send_messages(
        market,
        parameters,
        offset_kernel(min(max(float(bid_action), -1.0), 1.0), parameters.max_offset),
        offset_kernel(min(max(float(ask_action), -1.0), 1.0), parameters.max_offset),
        takes,
    )
    market.steps += 1
    return market.steps * parameters.decision_interval


@kernel
def finish_step(market, parameters):
    """Finish a decision after its events: mark, compute the reward, observe.

    The observation and the outcome are written to the record.
    """
    account = market.account
    update_features(market, parameters)
    mark_to(account, market.mid)
    wealth = marked_wealth(account)
    paid_wealth = wealth_part(parameters, account.wealth, wealth)
    paid_risk = risk_part(
        parameters, account.inventory, account.inventory_pnl - account.inventory_pnl_at_decision
    )
    paid_close_out = 0.0
    terminated = market.steps >= parameters.session_steps
    if terminated:
        payment = close_position(account, parameters.close_out_cost, parameters.close_out_impact)
        paid_close_out = close_out_part(parameters, wealth, payment)
    account.wealth = wealth
    account.inventory_pnl_at_decision = account.inventory_pnl
    observe(market, parameters)
    _report(market, parameters, paid_wealth, paid_risk, paid_close_out, terminated)
    account.n_fills_at_decision = account.n_fills


@kernel
def _report(market, parameters, paid_wealth, paid_risk, paid_close_out, terminated):
    """Add the parts of the reward to the objective and write the outcome to the record."""
    account = market.account
    outcome = market.outcome
    scale = parameters.reward_scale
    earned = paid_wealth + paid_risk + paid_close_out
    account.objective += earned
    control_variate = control_variate_since(market, parameters, terminated)
    outcome[Outcome.REWARD.value] = scale * (earned - control_variate)
    outcome[Outcome.TERMINATED.value] = 1.0 if terminated else 0.0
    outcome[Outcome.PNL.value] = account.wealth - account.close_out
    outcome[Outcome.CASH.value] = account.cash
    outcome[Outcome.INVENTORY.value] = account.inventory
    outcome[Outcome.MID.value] = market.mid
    outcome[Outcome.SPREAD.value] = market.features.spread
    outcome[Outcome.EFFICIENT_PRICE.value] = market.efficient_price
    outcome[Outcome.SIGNAL.value] = market.signal
    outcome[Outcome.FILLS.value] = account.n_fills - account.n_fills_at_decision
    outcome[Outcome.REWARD_WEALTH.value] = scale * paid_wealth
    outcome[Outcome.REWARD_RISK.value] = scale * paid_risk
    outcome[Outcome.REWARD_CLOSE_OUT.value] = scale * paid_close_out
    outcome[Outcome.OBJECTIVE.value] = account.objective
    outcome[Outcome.CONTROL_VARIATE.value] = control_variate
