"""The price process: the efficient price V [ticks] and the latent signal s, on a time grid.

    ds = -kappa s dt + sqrt(2 kappa) dB        stationary, unit variance
    dV = beta s dt + sigma dW

Over one interval of the grid, (s, V) is jointly normal. Two normals per interval move both by their
exact transition, without a discretisation error; `mm_gym.parameters` computes its parameters. The
process has its own random stream and a fixed number of draws per interval. The same seed therefore
gives the same path in every regime, whatever anyone trades.
"""

from mm_gym.core.kernel import kernel
from mm_gym.core.random import normal, normal_pair


@kernel
def start_value(market, parameters):
    """Set V to the configured price and draw s from its stationary distribution."""
    market.efficient_price = parameters.initial_price
    market.signal = normal(market.value_words)
    market.decoy = normal(market.decoy_words)


@kernel
def advance_value(market, parameters):
    """Move V and s by one interval of the time grid."""
    signal_shock, own_shock = normal_pair(market.value_words)
    market.efficient_price += (
        parameters.value_per_signal * market.signal
        + parameters.value_signal_noise * signal_shock
        + parameters.value_own_noise * own_shock
    )
    market.signal = parameters.signal_decay * market.signal + parameters.signal_noise * signal_shock


@kernel
def advance_decoy(market, parameters):
    """Move the decoy by one interval: the process of the signal, with random numbers of its own."""
    shock = normal(market.decoy_words)
    market.decoy = parameters.signal_decay * market.decoy + parameters.signal_noise * shock
