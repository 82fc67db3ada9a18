"""A second simulated market, simple enough to check by reading.

It has the rules of `mm_gym.core` in plain Python. The book is a list of orders, oldest first, and
the best one is found by looking at all of them. Every column of the observation is computed anew,
and clocks are rescaled by ratios of rates. Random numbers and parameters come from the package,
which tests them elsewhere. Prices are in ticks, times in seconds.
"""

import math
from typing import Any

import numpy as np

from mm_gym.core.layout import (
    ASK,
    BID,
    InformedKind,
    LatencyKind,
    Makers,
    Obs,
    Outcome,
    RewardKind,
    TakerKind,
)
from mm_gym.core.random import (
    exponential,
    geometric_size,
    normal,
    normal_pair,
    seed_stream,
    uniform,
)
from tests.reference_control_variate import ControlVariate
from tests.reference_records import SIGN, Account, Flow, Message, Order

ALMOST = 1e-4  # [ticks] a quote this close to a whole tick is on it


def stream(words: Any) -> Any:
    """The state of a random stream with this seed."""
    state = np.zeros(4, np.uint64)
    seed_stream(state, words)
    return state


class ReferenceMarket:
    """One market.

    Args:
        parameters: a record of `layout.PARAMETERS`.
        words: its seeds, three words for each stream.
    """

    def __init__(self, parameters: Any, words: Any) -> None:
        p = self.p = parameters
        self.value_words, self.taker_words, self.maker_words, self.decoy_words = (
            stream(words[3 * i : 3 * i + 3]) for i in range(4)
        )
        self.latency_words = stream(~words[3:6])
        self.has_value = p.makers != Makers.ZERO_INTELLIGENCE
        self.interval = float(p.decision_interval)
        self.start = self.time = -int(p.warm_up_steps) * self.interval
        self.orders: list[Order] = []
        self.n_events = 0  # additions, reductions, cancellations and fills
        self.pool: list[Order] = []  # in the order in which cancellations count the orders
        self.quotes: list[Order | None] = [None, None]
        self.placed_at, self.lots_ahead_at_arrival = [0.0, 0.0], [0, 0]
        self.time_at_touch, self.entered_lots = [0.0, 0.0], 0
        self.messages: list[Message] = []
        self.cancelled, self.last_arrival = False, -math.inf
        self.fills: list[dict[str, Any]] = []
        self.new_fills: list[dict[str, Any]] = []
        self.trades: list[tuple[Any, ...]] = []
        self.path: list[tuple[float, float, float, int]] = []
        self.recording = False
        self.steps = 0
        self.value, self.signal = float(p.initial_price), normal(self.value_words)
        self.decoy = normal(self.decoy_words)
        self.value_moves = 0
        if not self.has_value:
            self.signal = 0.0
        self.mid = self.value
        self.account = Account(self.mid)
        self.control_variate = ControlVariate(self)
        self.step_flow = self.step_volume = self.activity = 0.0
        self.flow_features = [0.0] * len(p.feature_decay)
        self.mean_mid = [self.mid] * len(p.feature_decay)
        self.variance, self.last_mid = float(p.volatility) ** 2, self.mid
        self._start_flow()
        self.next_maker, self.n_priced = math.inf, 0
        self._draw_maker()
        for step in range(int(p.warm_up_steps)):
            self._run_until((step + 1 - int(p.warm_up_steps)) * self.interval)
            self._update_features()
        self.trades.clear()
        self.account = Account(self._public_mid())
        self.objective = self.wealth = self.held = 0.0
        self.fills_before = 0
        self.control_variate.start()
        self.recording = True
        self._keep_path()
        self.results = self._observe(), self._outcome(0.0, 0.0, 0.0, False)

    # ------------------------------------------------------------------------------------ the book

    def queue(self, side: int, price: int) -> list[Order]:
        """The orders at a price, oldest first."""
        return [order for order in self.orders if (order.side, order.price) == (side, price)]

    def best(self, side: int, own: bool = False) -> int | None:
        """The best public price of a side, or the best one with the agent's orders too."""
        prices = [o.price for o in self.orders if o.side == side and (own or not o.own)]
        return max(prices, key=lambda price: SIGN[side] * price, default=None)

    def _add(self, side: int, price: int, lots: int, own: bool = False) -> Order:
        order = Order(side, price, lots, own)
        self.orders.append(order)
        self.pool.append(order)
        self.n_events += 1
        return order

    def _take_out(self, order: Order, lots: int) -> None:
        order.lots -= lots
        self.n_events += 1
        if order.lots == 0:
            self.orders.remove(order)
            self.pool[self.pool.index(order)] = self.pool[-1]
            self.pool.pop()
            self.quotes = [None if quote is order else quote for quote in self.quotes]

    def current_mid(self) -> float:
        if self.p.makers == Makers.NONE:
            return self.value
        bid, ask = self.best(BID), self.best(ASK)
        if bid is not None and ask is not None:
            return (bid + ask) / 2.0
        mid = self.mid if bid is None else max(self.mid, bid)
        return mid if ask is None else min(mid, ask)

    def _public_mid(self) -> float:
        self.mid = self.current_mid()
        return self.mid

    # ---------------------------------------------------------------------------------- the events

    def _run_until(self, end: float) -> None:
        self._keep_path()
        while True:
            due = {
                self._maker_event: self.next_maker,
                self._value_event: self.next_value,
                self._taker_event: self.next_taker,
                self._message_event: self._next_message(),
            }
            event = min(due, key=lambda event: due[event])  # the first one of equals
            time = due[event]
            seconds = min(time, end) - self.time
            self.control_variate.expect_fills(seconds)
            for side, quote in enumerate(self.quotes):
                if quote is not None and quote.price == self.best(side, own=True):
                    self.time_at_touch[side] += seconds
            if time > end:
                self.time = end
                return
            self.time, self.new_fills = time, []
            event()
            self.control_variate.count_fills()
            if not self.has_value:
                self.value = self._public_mid()
            self._reschedule()
            self.fills += self.new_fills
            self._keep_path()

    @property
    def next_value(self) -> float:
        if not self.has_value:
            return math.inf
        return self.start + (self.value_moves + 1) * float(self.p.value_interval)

    def _value_event(self) -> None:
        p = self.p
        of_signal, of_value = normal_pair(self.value_words)
        self.value += (
            p.value_per_signal * self.signal
            + p.value_signal_noise * of_signal
            + p.value_own_noise * of_value
        )
        self.signal = p.signal_decay * self.signal + p.signal_noise * of_signal
        if self.flow.kind == InformedKind.DECOY:
            self.decoy = p.signal_decay * self.decoy + p.signal_noise * normal(self.decoy_words)
        self.value_moves += 1
        for side in (BID, ASK):  # makers pull what V has crossed, the best price first
            crossed = [
                order
                for order in self.orders
                if order.side == side and not order.own and self._crossed(order)
            ]
            for order in sorted(crossed, key=lambda o: -SIGN[o.side] * o.price):
                self._take_out(order, order.lots)
        if p.sniping:
            for side in (BID, ASK):
                quote = self.quotes[1 - side]
                if quote is not None and self._crossed(quote):
                    mid = self._public_mid()
                    self._take(side, self.value, 2**61, TakerKind.SNIPER, mid)

    def _crossed(self, order: Order) -> bool:
        return SIGN[order.side] * order.price > SIGN[order.side] * self.value

    # ---------------------------------------------------------------------------------- the makers

    def _rate(self, n: int) -> float:
        return (self.p.maker_balance + n) / self.p.maker_lifetime

    def _draw_maker(self) -> None:
        self.n_priced = len(self.pool)
        if self.p.makers != Makers.NONE and self._rate(self.n_priced) > 0.0:
            gap = exponential(self.maker_words) / self._rate(self.n_priced)
            self.next_maker = self.time + gap

    def _reschedule(self) -> None:
        n = len(self.pool)
        if n == self.n_priced:
            return
        if self.next_maker == math.inf:
            self._draw_maker()
            return
        ratio = self._rate(self.n_priced) / self._rate(n) if self._rate(n) > 0.0 else math.inf
        self.next_maker = self.time + (self.next_maker - self.time) * ratio
        self.n_priced = n

    def _maker_event(self) -> None:
        p = self.p
        draw = uniform(self.maker_words) * (p.maker_balance + self.n_priced)
        if draw < p.maker_balance or self.n_priced == 0:
            self._place_order(BID if draw < p.maker_balance / 2.0 else ASK)
        else:
            place = min(int(draw - p.maker_balance), len(self.pool) - 1)
            order, rest = self.pool[place], draw - p.maker_balance - place
            share = 1.0
            if p.makers == Makers.ZERO_INTELLIGENCE:
                distance = self._opposite(order.side) - SIGN[order.side] * order.price
                share = p.cancel_share[min(distance, len(p.cancel_share)) - 1]
            if not order.own and rest < share:
                self._take_out(order, order.lots)
        self.next_maker = math.inf
        self._draw_maker()

    def _place_order(self, side: int) -> None:
        p = self.p
        if p.makers == Makers.ANCHORED:
            depth = exponential(self.maker_words) * p.maker_depth
            key = math.floor(SIGN[side] * self.value - depth)
        else:
            draw = uniform(self.maker_words)
            distance = int(np.searchsorted(p.limit_order_share, draw, side="right")) + 1
            key = self._opposite(side) - distance
        opposite = self.best(1 - side, own=True)
        if opposite is not None:
            key = min(key, SIGN[side] * opposite - 1)
        lots = geometric_size(self.maker_words, p.maker_size_scale) if p.maker_size_scale else 1
        self._add(side, SIGN[side] * key, int(lots))

    def _opposite(self, side: int) -> int:
        """The opposite best public price, as a signed price of this side."""
        best = self.best(1 - side)
        if best is not None:
            return SIGN[side] * best
        return math.floor(SIGN[side] * self.current_mid()) + 1

    # ---------------------------------------------------------------------------------- the takers

    def _start_flow(self) -> None:
        p, words = self.p, self.taker_words
        kind, informed, imbalance, bias = (float(uniform(words)) for _ in range(4))
        self.flow = flow = Flow(
            float(p.p_informed),
            float(p.imbalance),
            int(p.informed_kind),
            1.0 if bias < 0.5 else -1.0,
            self.time,
            [
                float(p.taker_rate * p.clustering[k] / p.clustering_decay[k])
                for k in range(p.n_clustering)
            ],
        )
        if p.mixed:  # noise, imbalanced, naive informed, informed
            number = int(4.0 * kind)
            flow.p_informed *= (0.0, 0.0, informed, informed)[number]
            flow.imbalance *= (0.0, imbalance, 0.0, 0.0)[number]
            flow.kind = InformedKind.NAIVE if number == 2 else InformedKind.SIGNAL
        self._draw_taker()

    def _draw_taker(self) -> None:
        p = self.p
        first = float(exponential(self.taker_words))
        if p.taker_rate == 0.0:
            self.next_taker = math.inf
            return
        gaps = [first / p.base_rate if p.base_rate > 0.0 else math.inf]
        for k, caused in enumerate(self.flow.excitation):
            # The compensator of this part, caused x (1 - exp(-decay t)), reaches the draw at t.
            draw = float(exponential(self.taker_words))
            if draw < caused:
                gaps.append(-math.log(1.0 - draw / caused) / p.clustering_decay[k])
        self.next_taker = self.time + min(gaps)

    def _taker_event(self) -> None:
        p, flow, words = self.p, self.flow, self.taker_words
        flip, kind, side_draw = (float(uniform(words)) for _ in range(3))
        tolerance = exponential(words) * p.taker_tolerance
        informed = kind < flow.p_informed
        naive = informed and flow.kind == InformedKind.NAIVE
        lots = int(geometric_size(words, p.naive_size_scale if naive else p.taker_size_scale))
        seconds, flow.last_arrival = self.time - flow.last_arrival, self.time
        # A telegraph process with rate r has changed an odd number of times.
        if flip < (1.0 - math.exp(-2.0 * p.imbalance_flip_rate * seconds)) / 2.0:
            flow.bias = -flow.bias
        flow.excitation = [
            rest * math.exp(-p.clustering_decay[k] * seconds) + p.clustering[k]
            for k, rest in enumerate(flow.excitation)
        ]
        length = self._metaorder_length()
        self._draw_taker()
        if informed and not naive:
            signal = self.decoy if flow.kind == InformedKind.DECOY else self.signal
            if abs(signal) > p.signal_threshold:
                side = BID if signal > 0.0 else ASK
                limit = self.value + p.edge_per_signal * signal
                if not p.informed_price_limit:
                    limit = SIGN[side] * math.inf
                is_decoy = flow.kind == InformedKind.DECOY
                label = TakerKind.DECOY_INFORMED if is_decoy else TakerKind.INFORMED
                self._take(side, limit, lots, label, self._public_mid())
            return
        if flow.orders_left == 0:
            flow.orders_left = length
            flow.side = BID if side_draw < (1.0 + flow.bias * flow.imbalance) / 2.0 else ASK
            flow.tolerance = tolerance
        flow.orders_left -= 1
        mid = self._public_mid()
        label = TakerKind.NAIVE_INFORMED if naive else TakerKind.NOISE
        self._take(flow.side, mid + SIGN[flow.side] * flow.tolerance, lots, label, mid)

    def _metaorder_length(self) -> int:
        """Draw from P(L >= l) = (l^-a - c) / (1 - c) with c = (longest + 1)^-a."""
        p = self.p
        if p.longest_metaorder == 1:
            return 1
        exponent, longest = float(p.metaorder_exponent), int(p.longest_metaorder)
        cut, draw = (longest + 1.0) ** -exponent, float(uniform(self.taker_words))
        at_least = [(n**-exponent - cut) / (1.0 - cut) for n in range(1, longest + 1)]
        return sum(share >= 1.0 - draw for share in at_least)

    def _take(self, side: int, limit: float, lots: int, kind: TakerKind, mid: float) -> None:
        """Match a taker's order, price by price and order by order."""
        p, account, other = self.p, self.account, 1 - side
        n_trades = len(self.trades)
        while lots > 0:
            price = self.best(other, own=True)
            if price is None or SIGN[side] * price > SIGN[side] * limit:
                break
            order = self.queue(other, price)[0]
            traded = min(lots, order.lots)
            lots -= traded
            if len(self.trades) == n_trades or self.trades[-1][1] != price:
                self.trades.append((self.time, price, 0, 0, side, int(kind)))
            time, _, at_price, own, *rest = self.trades[-1]
            self.trades[-1] = (time, price, at_price + traded, own + order.own * traded, *rest)
            if order.own:
                account.mark_to(mid)
                account.exchange(other, price, traded, self._maker_fee(price))
                account.n_fills += 1
                account.n_lots += traded
                self._note_fill(other, price, traded, mid, kind)
            elif kind == TakerKind.AGENT:
                account.mark_to(mid)
                account.exchange(side, price, traded, self._in_ticks(p.taker_fee, price))
                account.lots_taken += traded
            self._take_out(order, traded)
            if not order.own and p.refill and kind not in (TakerKind.AGENT, TakerKind.SNIPER):
                self._add(other, price, traded)
            if kind != TakerKind.AGENT:
                self.step_flow += SIGN[side] * traded
                self.step_volume += traded

    def _note_fill(self, side: int, price: int, lots: int, mid: float, kind: TakerKind) -> None:
        self.new_fills.append(
            {
                "time": self.time,
                "side": side,
                "price": price,
                "lots": lots,
                "mid": mid,
                "efficient_price": self.value,
                "signal": self.signal,
                "taker": int(kind),
                "lots_ahead_at_arrival": self.lots_ahead_at_arrival[side],
                "waited": self.time - self.placed_at[side],
                "inventory": self.account.inventory,
            }
        )

    def _maker_fee(self, price: int) -> float:
        p, volume = self.p, self.account.n_lots + self.account.lots_taken
        reached = [k for k in range(p.n_fee_tiers) if volume >= p.fee_tier_lots[k]]
        return self._in_ticks(p.fee_tier_fees[reached[-1]] if reached else p.maker_fee, price)

    def _in_ticks(self, fee: float, price: int) -> float:
        return float(fee * abs(price) if self.p.fee_of_notional else fee)

    # ----------------------------------------------------------------------------------- the agent

    def _next_message(self) -> float:
        if not self.messages:
            return math.inf
        message = self.messages[0]
        waits = self.p.separate_cancels and not self.cancelled
        return message.cancels_at if waits else message.arrives_at

    def _latency(self, mean: float, samples: Any, n: int) -> float:
        latency = mean
        if self.p.latency_kind == LatencyKind.EXPONENTIAL:
            latency = mean * exponential(self.latency_words)
        elif self.p.latency_kind == LatencyKind.EMPIRICAL:
            draw = uniform(self.latency_words)
            latency = samples[int(draw * n)] if n else mean
        return float(min(latency, self.p.longest_latency))

    def _send(self, prices: tuple[float, float], takes: bool) -> None:
        p = self.p
        if not p.delayed:
            self._arrive(prices, takes)
            return
        arrival = self.time + self._latency(p.latency, p.latency_samples, p.n_latency_samples)
        cancels_at = earliest = self.last_arrival
        if p.separate_cancels:
            cancel = self._latency(
                p.cancel_latency, p.cancel_latency_samples, p.n_cancel_latency_samples
            )
            cancels_at = earliest = max(earliest, self.time + cancel)
        self.last_arrival = max(earliest, arrival)
        self.messages.append(Message(prices, takes, cancels_at, self.last_arrival))

    def _message_event(self) -> None:
        message = self.messages[0]
        if self.p.separate_cancels and not self.cancelled:
            self.cancelled = True
            stays = self._stays(*self._targets(message.prices)[1])
            self._withdraw(stays)
            return
        self.cancelled = False
        self.messages.pop(0)
        self._arrive(message.prices, message.takes)

    def _arrive(self, prices: tuple[float, float], takes: bool) -> None:
        if takes:
            self._flatten()
            if not self.has_value:
                self.value = self._public_mid()
        targets, near = self._targets(prices)
        sizes = self._sizes()
        stays = self._stays(*near)
        self._withdraw(stays)
        for side in (BID, ASK):
            other = self.quotes[1 - side]
            if stays[1 - side] and not stays[side] and other is not None:
                beside = SIGN[side] * other.price - 1
                targets[side] = SIGN[side] * min(SIGN[side] * targets[side], beside)
        for side in (BID, ASK):
            if not stays[side] and sizes[side] > 0:
                ahead = sum(order.lots for order in self.queue(side, targets[side]))
                self.quotes[side] = self._add(side, targets[side], sizes[side], own=True)
                self.entered_lots += sizes[side]
                self.placed_at[side], self.lots_ahead_at_arrival[side] = self.time, ahead

    def _sizes(self) -> tuple[int, int]:
        p, inventory = self.p, self.account.inventory
        room = (int(p.max_inventory) - inventory, int(p.max_inventory) + inventory)
        return min(int(p.quote_size), room[BID]), min(int(p.quote_size), room[ASK])

    def _targets(self, prices: tuple[float, float]) -> tuple[list[int], list[float]]:
        """The prices of new quotes, and the same before rounding."""
        rounded = [math.floor(prices[BID] + ALMOST), math.ceil(prices[ASK] - ALMOST)]
        targets = list(rounded)
        if rounded[BID] >= rounded[ASK]:
            targets = [rounded[BID] - 1, rounded[ASK] + 1]
        for side in (BID, ASK):
            opposite = self.best(1 - side)
            if opposite is not None:
                targets[side] = SIGN[side] * min(
                    SIGN[side] * targets[side], SIGN[side] * opposite - 1
                )
        return targets, [prices[side] + targets[side] - rounded[side] for side in (BID, ASK)]

    def _stays(self, *near: float) -> list[bool]:
        """Whether some price within the threshold of the wanted one is rounded to the quote's."""
        stays = []
        for side, quote in enumerate(self.quotes):
            further = 0.0 if quote is None else SIGN[side] * (near[side] - quote.price)
            threshold = self.p.requote_threshold
            within = -threshold <= further + ALMOST < 1.0 + threshold
            stays.append(quote is not None and self._sizes()[side] > 0 and bool(within))
        return stays

    def _withdraw(self, stays: list[bool]) -> None:
        for quote, stay in zip(list(self.quotes), stays, strict=True):
            if quote is not None and not stay:
                self._take_out(quote, quote.lots)

    def _flatten(self) -> None:
        inventory = self.account.inventory
        if inventory == 0:
            return
        held, taker = (BID, ASK) if inventory > 0 else (ASK, BID)
        self._withdraw([held != BID, held != ASK])
        mid = self._public_mid()
        self._take(taker, SIGN[taker] * math.inf, abs(inventory), TakerKind.AGENT, mid)
        quote = self.quotes[taker]
        if quote is not None:
            room = int(self.p.max_inventory) - SIGN[taker] * self.account.inventory
            if quote.lots > room:
                self._take_out(quote, quote.lots - room)

    # ------------------------------------------------------------------------------- the decisions

    def step(self, action: Any) -> tuple[Any, Any]:
        """Simulate a decision interval. Return the observation and the outcome."""
        p, account = self.p, self.account
        self.control_variate.start()
        bid, ask = (
            p.max_offset * ((1.0 + min(1.0, max(-1.0, float(part)))) / 2.0) ** 3
            for part in action[:2]
        )
        self._send((self.mid - bid, self.mid + ask), len(action) > 2 and action[2] > 0.5)
        self._reschedule()
        self.steps += 1
        self._run_until(self.steps * self.interval)
        self._update_features()
        account.mark_to(self.mid)
        wealth, held = account.wealth, account.inventory_pnl - self.held
        ended = self.steps >= p.session_steps
        paid = 0.0
        if ended:
            lots = abs(account.inventory)
            paid = account.close_out = p.close_out_cost * lots + p.close_out_impact * lots**2
        earned, closing = wealth - self.wealth, -paid
        if p.reward == RewardKind.CARA:
            earned = self._utility(wealth) - self._utility(self.wealth)
            closing = self._utility(wealth - paid) - self._utility(wealth)
        risk = 0.0
        if p.reward == RewardKind.INVENTORY_PENALTY:
            risk = -p.inventory_penalty * account.inventory**2 * self.interval
        elif p.reward == RewardKind.DAMPENED:
            risk = -max(0.0, p.dampening * held)
        self.wealth, self.held = wealth, account.inventory_pnl
        self.results = self._observe(), self._outcome(earned, risk, closing, ended)
        self.fills_before = account.n_fills
        return self.results

    def _utility(self, wealth: float) -> float:
        exponent = min(-self.p.risk_aversion * wealth, 30.0)
        return float((1.0 - math.exp(exponent)) / self.p.risk_aversion)

    def _outcome(self, earned: float, risk: float, closing: float, ended: bool) -> Any:
        account, scale, outcome = self.account, self.p.reward_scale, np.zeros(len(Outcome))
        self.objective += earned + risk + closing
        reduction = self.control_variate.of_decision(ended)
        outcome[Outcome.REWARD] = scale * (earned + risk + closing - reduction)
        outcome[Outcome.TERMINATED] = ended
        outcome[Outcome.PNL] = self.wealth - account.close_out
        outcome[Outcome.CASH] = account.cash
        outcome[Outcome.INVENTORY] = account.inventory
        outcome[Outcome.MID] = self.mid
        outcome[Outcome.SPREAD] = self.spread
        outcome[Outcome.EFFICIENT_PRICE] = self.value
        outcome[Outcome.SIGNAL] = self.signal
        outcome[Outcome.FILLS] = account.n_fills - self.fills_before
        outcome[Outcome.REWARD_WEALTH] = scale * earned
        outcome[Outcome.REWARD_RISK] = scale * risk
        outcome[Outcome.REWARD_CLOSE_OUT] = scale * closing
        outcome[Outcome.OBJECTIVE] = self.objective
        outcome[Outcome.CONTROL_VARIATE] = reduction
        return outcome

    def _update_features(self) -> None:
        p, mid = self.p, self._public_mid()
        for k, decay in enumerate(p.feature_decay):
            self.flow_features[k] = decay * self.flow_features[k] + self.step_flow
            self.mean_mid[k] = decay * self.mean_mid[k] + (1.0 - decay) * mid
        self.activity = p.feature_decay[1] * self.activity + self.step_volume
        now = (mid - self.last_mid) ** 2 / self.interval
        self.variance = p.volatility_decay * self.variance + (1.0 - p.volatility_decay) * now
        self.last_mid, self.step_flow, self.step_volume = mid, 0.0, 0.0

    def _observe(self) -> Any:
        p, seen = self.p, np.zeros(len(Obs))
        bid, ask = self.best(BID), self.best(ASK)
        self.spread = 2.0 * float(p.max_offset) if bid is None or ask is None else float(ask - bid)
        if p.makers == Makers.NONE:
            self.spread = 0.0
        seen[Obs.INVENTORY] = np.clip(1.2 * math.asinh(self.account.inventory / 2.0), -25.0, 25.0)
        seen[Obs.SPREAD] = np.clip(self.spread * p.spread_scale, 0.0, 25.0)
        for k in range(len(p.feature_decay)):
            seen[Obs.FLOW_FAST + k] = self.flow_features[k] * p.flow_scale[k]
            seen[Obs.MID_MOVE_FAST + k] = (self.mid - self.mean_mid[k]) * p.move_scale[k]
        seen[Obs.FLOW_FAST : Obs.BOOK_IMBALANCE] = np.clip(
            seen[Obs.FLOW_FAST : Obs.BOOK_IMBALANCE], -10.0, 10.0
        )
        public = [
            sum(o.lots for o in self.orders if (o.side, o.price) == (side, best) and not o.own)
            for side, best in ((BID, bid), (ASK, ask))
        ]
        seen[Obs.BOOK_IMBALANCE] = (public[BID] - public[ASK]) / max(1, sum(public))
        activity = (self.activity - p.activity_mean) * p.activity_scale
        seen[Obs.ACTIVITY] = np.clip(activity, -25.0, 25.0)
        for side, quote in enumerate(self.quotes):
            offset, ahead, lots = float(p.max_offset), 0, 0
            if quote is not None:
                offset, lots = SIGN[side] * (self.mid - quote.price), quote.lots
                queue = self.queue(side, quote.price)
                ahead = sum(order.lots for order in queue[: queue.index(quote)])
            shown = 2.0 * np.cbrt(offset / p.max_offset) - 1.0
            seen[Obs.BID_OFFSET + side] = np.clip(shown, -10.0, 10.0)
            seen[Obs.BID_QUEUE_AHEAD + side] = np.clip(ahead * p.queue_scale, 0.0, 25.0)
            seen[Obs.BID_SIZE + side] = 2.0 * lots / p.quote_size
        volatility = (math.sqrt(self.variance) - p.volatility) * p.volatility_scale
        seen[Obs.VOLATILITY] = np.clip(volatility, -25.0, 25.0)
        seen[Obs.TIME_LEFT] = 1.0 - self.steps / p.session_steps
        return seen

    def _keep_path(self) -> None:
        if not self.recording:
            return
        row = (self.current_mid(), self.value, self.account.inventory)
        if not self.path or self.path[-1][1:] != row:
            self.path.append((self.time, *row))
