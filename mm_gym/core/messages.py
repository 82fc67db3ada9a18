"""The agent's messages to the exchange: new quotes, cancellations and market orders, with latency.

A decision sends one message: new quotes, which replace the old ones when they arrive. With
`separate_cancels` it sends a cancellation before them. A market order that flattens the inventory
travels with the quotes and trades just before they are placed.

All messages travel in one session, in order: none arrives before an earlier one. So new quotes wait
for a slow cancellation, and a cancellation waits for slow quotes of the decision before.
"""

import math

from mm_gym.core.kernel import kernel
from mm_gym.core.layout import ASK, BID, QUOTES_IN_FLIGHT, LatencyKind, Makers
from mm_gym.core.quotes import place_quotes, public_mid, withdraw_quotes
from mm_gym.core.random import exponential, seed_stream, uniform
from mm_gym.core.takers import flatten


@kernel
def start_messages(market, seed_words):
    """Seed the stream of latencies. The complement differs from the words of any other stream."""
    seed_stream(market.latency_words, ~seed_words)


@kernel
def send_messages(market, parameters, bid_offset, ask_offset, takes):
    """Send quotes at these offsets from the public mid [ticks]. They arrive after the latency."""
    # `market.mid` is current: no event has happened since it was stored at the last decision.
    bid = market.mid - bid_offset
    ask = market.mid + ask_offset
    if not parameters.delayed:
        _arrive(market, parameters, bid, ask, takes)
        return
    quotes = market.quotes
    message = market.messages[market.steps % QUOTES_IN_FLIGHT]
    message.price[BID] = bid
    message.price[ASK] = ask
    message.takes = takes
    latency = _latency(
        market,
        parameters,
        parameters.latency,
        parameters.latency_samples,
        parameters.n_latency_samples,
    )
    earliest = quotes.last_arrival
    if parameters.separate_cancels:
        cancel_latency = _latency(
            market,
            parameters,
            parameters.cancel_latency,
            parameters.cancel_latency_samples,
            parameters.n_cancel_latency_samples,
        )
        earliest = max(earliest, market.time + cancel_latency)
        message.cancel_arrival = earliest
    message.arrival = max(earliest, market.time + latency)
    quotes.last_arrival = message.arrival
    if quotes.n_in_flight == 0:
        quotes.arrival = _first_arrival(parameters, message)
    quotes.n_in_flight += 1


@kernel
def _latency(market, parameters, mean, samples, n_samples):
    """Draw a latency [s]. Kinds other than `CONSTANT` use one word, whatever the agent does."""
    latency = mean
    if parameters.latency_kind == LatencyKind.EXPONENTIAL:
        latency = mean * exponential(market.latency_words)
    elif parameters.latency_kind == LatencyKind.EMPIRICAL:
        draw = uniform(market.latency_words)
        latency = samples[int(draw * n_samples)] if n_samples > 0 else mean
    return min(latency, parameters.longest_latency)


@kernel
def _first_arrival(parameters, message):
    """Return when the first message of a decision arrives [s]."""
    return message.cancel_arrival if parameters.separate_cancels else message.arrival


@kernel
def receive_message(market, parameters):
    """Let the oldest message under way arrive at the exchange."""
    quotes = market.quotes
    # There are messages of every decision, and the latest are of decision `steps - 1`.
    sent = market.steps - quotes.n_in_flight
    message = market.messages[sent % QUOTES_IN_FLIGHT]
    bid = message.price[BID]
    ask = message.price[ASK]
    if parameters.separate_cancels and not quotes.cancelled:
        quotes.cancelled = 1
        quotes.arrival = message.arrival
        withdraw_quotes(market, parameters, bid, ask)
        return
    quotes.cancelled = 0
    quotes.n_in_flight -= 1
    quotes.arrival = math.inf
    if quotes.n_in_flight > 0:
        following = market.messages[(sent + 1) % QUOTES_IN_FLIGHT]
        quotes.arrival = _first_arrival(parameters, following)
    _arrive(market, parameters, bid, ask, message.takes)


@kernel
def _arrive(market, parameters, bid, ask, takes):
    """Let quotes at these prices [ticks] arrive, and a market order before them."""
    if takes:
        flatten(market, parameters)
        if parameters.makers == Makers.ZERO_INTELLIGENCE:
            market.efficient_price = public_mid(market, parameters)
    place_quotes(market, parameters, bid, ask)
