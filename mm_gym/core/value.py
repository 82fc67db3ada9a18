"""The efficient price V and the latent signal s, on a lattice of time, by exact transitions.

    ds = -kappa s dt + sqrt(2 kappa) dB        stationary, unit variance
    dV = beta s dt + sigma dW

Over one lattice interval (s, V) is jointly normal, so two normals per interval move both without
any error of discretisation; `mm_gym.config` works out the coefficients. The path uses its own
random stream and a fixed number of draws per interval: the same seed gives the same path in every
regime, whatever anybody trades.
"""

from mm_gym.core.kernel import kernel
from mm_gym.core.random import normal_pair


@kernel
def start_value(market):
    """Put V at the configured price and draw s from its stationary law."""
    market.efficient_price = market.rules.initial_price
    market.signal, _ = normal_pair(market.value_words)
    market.decoy, _ = normal_pair(market.decoy_words)


@kernel
def advance_value(market):
    """Move V and s by one lattice interval."""
    rules = market.rules
    signal_shock, own_shock = normal_pair(market.value_words)
    market.efficient_price += (
        rules.value_per_signal * market.signal
        + rules.value_signal_noise * signal_shock
        + rules.value_own_noise * own_shock
    )
    market.signal = rules.signal_decay * market.signal + rules.signal_noise * signal_shock


@kernel
def advance_decoy(market):
    """Move the decoy by one lattice interval: the signal's law, from a stream that V knows nothing
    of."""
    rules = market.rules
    shock, _ = normal_pair(market.decoy_words)
    market.decoy = rules.signal_decay * market.decoy + rules.signal_noise * shock
