"""The observation: the agent's position, its quotes, the public book and recent trades.

The efficient price V, the signal s and the kinds of takers are never observed. `layout.Obs` names
the columns. Each column is scaled by a constant from the configuration and clipped to
`layout.OBSERVATION_BOUNDS`, so a policy needs no running normalisation. Features are updated at
decisions.
"""

import math

from mm_gym.core.kernel import kernel
from mm_gym.core.layout import ASK, BID, OBSERVATION_CLIP, OBSERVATION_FAR, Obs
from mm_gym.core.quotes import (
    public_level,
    public_mid,
    quote_lots,
    quote_offset,
    quote_queue_ahead,
    spread_between,
    touch_lots,
)
from mm_gym.core.scales import action_kernel, inventory_kernel


@kernel
def start_features(market, parameters):
    """Start the features: no trades, a constant mid and the configured volatility."""
    features = market.features
    features.step_flow = 0.0
    features.step_volume = 0.0
    features.flow[:] = 0.0
    features.mean_mid[:] = market.mid
    features.activity = 0.0
    features.variance = parameters.volatility * parameters.volatility
    features.last_mid = market.mid
    features.shown_inventory = 0
    features.shown_offset[:] = math.nan
    market.observation[Obs.INVENTORY.value] = 0.0


@kernel
def update_features(market, parameters):
    """Update the features with the trades and the mid of one decision interval."""
    features = market.features
    mid = public_mid(market, parameters)
    for index in range(features.flow.shape[0]):
        decay = parameters.feature_decay[index]
        features.flow[index] = decay * features.flow[index] + features.step_flow
        features.mean_mid[index] = decay * features.mean_mid[index] + (1.0 - decay) * mid
    middle = parameters.feature_decay[1]
    features.activity = middle * features.activity + features.step_volume
    move = mid - features.last_mid
    features.variance += (1.0 - parameters.volatility_decay) * (
        move * move / parameters.decision_interval - features.variance
    )
    features.last_mid = mid
    features.step_flow = 0.0
    features.step_volume = 0.0


@kernel
def _clip(value, low, high):
    return min(max(value, low), high)


@kernel
def observe(market, parameters):
    """Write the observation to the record."""
    row = market.observation
    features = market.features
    clip = OBSERVATION_CLIP
    far = OBSERVATION_FAR
    inventory = market.account.inventory
    if inventory != features.shown_inventory:
        row[Obs.INVENTORY.value] = _clip(inventory_kernel(inventory), -far, far)
        features.shown_inventory = inventory
    bid_level = public_level(market, BID)
    ask_level = public_level(market, ASK)
    features.spread = spread_between(market, parameters, bid_level, ask_level)
    row[Obs.SPREAD.value] = _clip(features.spread * parameters.spread_scale, 0.0, far)
    for index in range(features.flow.shape[0]):
        flow = features.flow[index] * parameters.flow_scale[index]
        row[Obs.FLOW_FAST + index] = _clip(flow, -clip, clip)
        move = (market.mid - features.mean_mid[index]) * parameters.move_scale[index]
        row[Obs.MID_MOVE_FAST + index] = _clip(move, -clip, clip)
    bid_lots = touch_lots(market, BID, bid_level)
    ask_lots = touch_lots(market, ASK, ask_level)
    row[Obs.BOOK_IMBALANCE.value] = (bid_lots - ask_lots) / max(1.0, bid_lots + ask_lots)
    row[Obs.ACTIVITY.value] = _clip(
        (features.activity - parameters.activity_mean) * parameters.activity_scale, -far, far
    )
    for side in range(2):
        offset = quote_offset(market, parameters, side)
        if offset != features.shown_offset[side]:
            row[Obs.BID_OFFSET + side] = _clip(
                action_kernel(offset, parameters.max_offset, parameters.actions), -clip, clip
            )
            features.shown_offset[side] = offset
        ahead = quote_queue_ahead(market, side) * parameters.queue_scale
        row[Obs.BID_QUEUE_AHEAD + side] = _clip(ahead, 0.0, far)
        row[Obs.BID_SIZE + side] = (
            2.0 * quote_lots(market, side) / (parameters.quote_size * parameters.lot_size)
        )
    volatility = (
        math.sqrt(features.variance) - parameters.volatility
    ) * parameters.volatility_scale
    row[Obs.VOLATILITY.value] = _clip(volatility, -far, far)
    row[Obs.TIME_LEFT.value] = 1.0 - market.steps / parameters.session_steps
