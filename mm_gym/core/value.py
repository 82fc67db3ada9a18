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
    market.efficient_price = market.parameters.initial_price
    market.signal, _ = normal_pair(market.value_words)
    market.decoy, _ = normal_pair(market.decoy_words)


@kernel
def advance_value(market):
    """Move V and s by one lattice interval."""
    parameters = market.parameters
    signal_shock, own_shock = normal_pair(market.value_words)
    market.efficient_price += (
        parameters.value_per_signal * market.signal
        + parameters.value_signal_noise * signal_shock
        + parameters.value_own_noise * own_shock
    )
    market.signal = parameters.signal_decay * market.signal + parameters.signal_noise * signal_shock


@kernel
def advance_decoy(market):
    """Move the decoy by one lattice interval: the signal's law, from a stream that V knows nothing
    of."""
    parameters = market.parameters
    shock, _ = normal_pair(market.decoy_words)
    market.decoy = parameters.signal_decay * market.decoy + parameters.signal_noise * shock
