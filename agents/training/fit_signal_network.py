"""Fit the signal network of the history features (`agents.learned.signal_network`).

python -m agents.training.fit_signal_network

The network learns by supervised regression: its inputs are observations of sessions in many
markets, with shares of informed takers up to 1, and its targets are computed from hidden state.
`glosten_milgrom` quotes in these sessions. In half of them its quotes have random noise, so that
the network also fits the observations of other makers. The command prints the share of variance
that the network explains on held-out sessions.
"""

from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from mm_gym import MarketConfig, configure
from mm_gym.actions import from_ticks, to_ticks
from mm_gym.files import replace_file
from mm_gym.sb3 import MarketMakingVecEnv

from ..base import AgentError
from ..invocation import run_module
from ..learned.history_features import empty_means, update_means
from ..learned.signal_network import BELIEF_NAMES, NETWORK_FILE, SignalNetwork
from ..registry import make_agent
from ..rules.glosten_milgrom import GlostenMilgromAgent

MARKETS = {
    **{
        f"informed, p = {share:g}": configure("informed", p_informed=share)
        for share in (0.2, 0.4, 0.6, 0.8, 1.0)
    },
    "mixed, p to 1": configure("mixed", p_informed=1.0),
}
"""The markets of the training sessions."""

_HELD_OUT = 64  # sessions of each market
_JITTER = 0.5  # [ticks] standard deviation of the noise in the quotes
_WINDOW, _BURN_IN = 128, 48  # [decisions] the burn-in fills the sums and has no loss
_WINDOWS = 32  # in a batch
_LEARNING_RATE = 2e-3
_HALF_LIVES = (1.5, 40.0)  # [decisions] initial ones of the sums, evenly spaced in their logarithm
_EVIDENCE, _SUMS, _HIDDEN = 48, 16, (64, 32)


@dataclass(frozen=True)
class Arguments:
    """Fit the signal network of the history features, and print the variance it explains."""

    sessions: int = 640
    """Sessions of each market. 64 of them are held out."""
    epochs: int = 12
    """Approximate number of times that each decision is learned from."""
    seed: int = 0
    """Seed of the sessions and of the fit."""
    out: Path = NETWORK_FILE
    """File to write."""


class Recorded(NamedTuple):
    """Recorded sessions, arrays of shape (decisions, sessions, ...)."""

    observations: npt.NDArray[np.float32]
    means: npt.NDArray[np.float32]
    """Means of the history features."""
    targets: npt.NDArray[np.float32]
    """From hidden state, in the columns of `BELIEF_NAMES`, not standardised."""
    exact: npt.NDArray[np.float32]
    """[ticks] Posterior mean of V + edge - mid by the exact filter, which knows the market."""


def main(arguments: Arguments) -> None:
    """Record sessions, fit the network, write it, and print its explained variance."""
    if arguments.sessions <= _HELD_OUT:
        raise AgentError(
            f"--sessions {arguments.sessions} is out of range: expected more than the {_HELD_OUT} "
            f"sessions that are held out, got {arguments.sessions}"
        )
    if not arguments.out.parent.is_dir():
        raise AgentError(
            f"--out {arguments.out} cannot be written: expected an existing folder, "
            f"got {arguments.out.parent}"
        )
    torch.set_num_threads(1)
    markets = [
        record(config, arguments.sessions, [arguments.seed, number])
        for number, config in enumerate(
            track(MARKETS.values(), "recording", console=Console(stderr=True))
        )
    ]
    fitted = fit(
        [_sessions(market, slice(_HELD_OUT, None)) for market in markets],
        arguments.epochs,
        arguments.seed,
    )
    weights = BytesIO()
    np.savez_compressed(weights, **fitted._asdict())
    replace_file(arguments.out, weights.getvalue())
    print_shares(
        fitted,
        {
            name: _sessions(market, slice(_HELD_OUT))
            for name, market in zip(MARKETS, markets, strict=True)
        },
    )


def record(config: MarketConfig, sessions: int, seed: list[int]) -> Recorded:
    """Record sessions of a market in which the exact filter quotes."""
    agent = make_agent(f"{GlostenMilgromAgent.name}:tuned", config)
    assert isinstance(agent, GlostenMilgromAgent)
    generator = np.random.default_rng(seed)
    jitter = np.where(np.arange(sessions) % 2, _JITTER, 0.0)[:, None]
    markets = MarketMakingVecEnv(sessions, **config.to_dict())
    markets.seed(int(generator.integers(2**31)))
    observations, means, belief = (
        np.asarray(markets.reset(), np.float32),
        empty_means(sessions),
        None,
    )
    rows: list[tuple[npt.NDArray[Any], ...]] = []
    for _ in range(config.session_steps):
        signal, gap = markets.privileged_state()
        means = update_means(means, observations)
        worth = gap + agent.edge_left(observations) * signal
        acting = [signal > config.signal_threshold, signal < -config.signal_threshold]
        actions, belief = agent.predict(observations, belief)
        exact = agent.expected_worth(belief)
        rows.append(
            (
                observations,
                means[:, 1:],
                np.stack([worth, signal, *acting], axis=1, dtype=np.float32),
                exact,
            )
        )
        offsets = (
            to_ticks(actions, config.max_offset) + generator.normal(size=actions.shape) * jitter
        )
        sent = from_ticks(offsets, config.max_offset)
        bid, ask = to_ticks(sent, config.max_offset).T
        belief = agent.filter.send(belief, bid, ask, agent.inventory(observations))
        observations = np.asarray(markets.step(sent)[0], np.float32)
    return Recorded(*(np.stack(column).astype(np.float32) for column in zip(*rows, strict=True)))


def _sessions(recorded: Recorded, chosen: slice) -> Recorded:
    return Recorded(*(column[:, chosen] for column in recorded))


class _Network(nn.Module):
    """A trainable `SignalNetwork` for standardised columns."""

    def __init__(self, n_columns: int, n_means: int) -> None:
        super().__init__()
        self.evidence = nn.Sequential(
            nn.Linear(2 * n_columns, _EVIDENCE), nn.Tanh(), nn.Linear(_EVIDENCE, _SUMS)
        )
        half_lives = torch.from_numpy(np.geomspace(*_HALF_LIVES, _SUMS, dtype=np.float32))
        self.decay = nn.Parameter(torch.logit(torch.exp2(-1.0 / half_lives)))
        widths = (_SUMS + n_columns + n_means, *_HIDDEN)
        layers = [module for pair in pairwise(widths) for module in (nn.Linear(*pair), nn.Tanh())]
        self.perceptron = nn.Sequential(*layers, nn.Linear(_HIDDEN[-1], len(BELIEF_NAMES)))

    def forward(self, pairs: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        """Beliefs over a window that starts with sums of zero.

        A product with a triangular matrix of powers of the decay computes the sums at all
        decisions.

        Args:
            pairs: shape (decisions, n, 2 x columns).
            shown: shape (decisions, n, columns + means).
        """
        decay = torch.sigmoid(self.decay)
        times = torch.arange(len(pairs))
        age = (times[:, None] - times[None, :])[..., None]
        left = torch.where(age >= 0, decay ** age.clamp(min=0), 0.0) * torch.sqrt(1.0 - decay**2)
        sums = torch.einsum("tsh,snh->tnh", left, self.evidence(pairs))
        beliefs: torch.Tensor = self.perceptron(torch.cat([sums, shown], dim=-1))
        return beliefs


def fit(markets: list[Recorded], epochs: int, seed: int) -> SignalNetwork:
    """Fit the network to all markets together, in windows that start anywhere in a session."""
    observations, means, unscaled_targets, _ = (
        np.concatenate(columns, axis=1) for columns in zip(*markets, strict=True)
    )
    before = np.concatenate([np.zeros_like(observations[:1]), observations[:-1]])
    # Changes of observations are standardised separately. Those of slow columns are small, but
    # informative.
    shown = _scaled(np.concatenate([observations, means], axis=-1))
    change = _scaled(observations - before, centred=False)
    target = _scaled(unscaled_targets)
    n_columns = observations.shape[-1]
    pairs = torch.from_numpy(
        np.concatenate([shown.columns[..., :n_columns], change.columns], axis=-1)
    )
    inputs, targets = torch.from_numpy(shown.columns), torch.from_numpy(target.columns)
    torch.manual_seed(seed)
    network = _Network(n_columns, means.shape[-1])
    groups: list[dict[str, Any]] = [
        {"params": [network.decay], "lr": 5.0 * _LEARNING_RATE},
        {"params": [*network.evidence.parameters(), *network.perceptron.parameters()]},
    ]
    optimizer = torch.optim.Adam(groups, lr=_LEARNING_RATE)
    n_decisions, n_sessions = unscaled_targets.shape[:2]
    n_batches = max(1, epochs * n_decisions * n_sessions // (_WINDOWS * (_WINDOW - _BURN_IN)))
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, n_batches)
    for _ in track(range(n_batches), "fitting", console=Console(stderr=True)):
        session = torch.randint(0, n_sessions, (_WINDOWS,))
        # Clamping makes some windows start with the session. These have no burn-in.
        start = torch.randint(-_BURN_IN, n_decisions - _WINDOW + 1, (_WINDOWS,)).clamp(min=0)
        decision = start + torch.arange(_WINDOW)[:, None]
        counts = ((torch.arange(_WINDOW)[:, None] >= _BURN_IN) | (start == 0)).float()[..., None]
        errors = (
            network(pairs[decision, session], inputs[decision, session])
            - targets[decision, session]
        )
        loss = (counts * errors**2).sum() / (counts.sum() * len(BELIEF_NAMES))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return _unscaled(network, shown, change)


class _Scaled(NamedTuple):
    columns: npt.NDArray[np.float32]
    centre: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]


def _scaled(columns: npt.NDArray[np.float32], centred: bool = True) -> _Scaled:
    flat = columns.reshape(-1, columns.shape[-1])
    centre = flat.mean(axis=0, dtype=np.float64) * centred
    deviation = flat.std(axis=0, dtype=np.float64) + 1e-3
    return _Scaled(((columns - centre) / deviation).astype(np.float32), centre, deviation)


def _unscaled(network: _Network, shown: _Scaled, change: _Scaled) -> SignalNetwork:
    """The network for unscaled columns: the scales become part of the weights."""
    state = {name: value.numpy().astype(np.float64) for name, value in network.state_dict().items()}
    n_columns = len(change.deviation)
    evidence = state["evidence.0.weight"].T
    of_columns = evidence[:n_columns] / shown.deviation[:n_columns, None]
    of_change = evidence[n_columns:] / change.deviation[:, None]
    decay = 1.0 / (1.0 + np.exp(-state["decay"]))
    gain = np.sqrt(1.0 - decay**2)
    first = state["perceptron.0.weight"].T
    of_shown = first[_SUMS:] / shown.deviation[:, None]
    arrays = {
        "evidence_weights": np.concatenate([of_columns + of_change, -of_change]),
        "evidence_biases": state["evidence.0.bias"] - shown.centre[:n_columns] @ of_columns,
        "sum_weights": state["evidence.2.weight"].T * gain,
        "sum_biases": state["evidence.2.bias"] * gain,
        "decay": decay,
        "weights_0": np.concatenate([first[:_SUMS], of_shown]),
        "biases_0": state["perceptron.0.bias"] - shown.centre @ of_shown,
        "weights_1": state["perceptron.2.weight"].T,
        "biases_1": state["perceptron.2.bias"],
        "weights_2": state["perceptron.4.weight"].T,
        "biases_2": state["perceptron.4.bias"],
    }
    return SignalNetwork(**{name: array.astype(np.float32) for name, array in arrays.items()})


def print_shares(learned: SignalNetwork, markets: dict[str, Recorded]) -> None:
    """Print the explained share of the variance of V + edge - mid in held-out sessions."""
    table = Table(title="Explained variance of V + edge - mid")
    table.add_column("market")
    for header in ("signal network", "exact filter (knows the market)"):
        table.add_column(header, justify="right")
    for name, market in markets.items():
        sums = np.zeros((market.targets.shape[1], learned.n_sums), np.float32)
        before, believed = np.zeros_like(market.observations[0]), []
        for observations, means in zip(market.observations, market.means, strict=True):
            beliefs, sums = learned.believe(observations, before, means, sums)
            before = observations
            believed.append(beliefs[:, 0])
        table.add_row(
            name,
            *(
                f"{_explained(market.targets[..., 0], what):.1%}"
                for what in (np.stack(believed), market.exact)
            ),
        )
    Console(width=80).print(table)


def _explained(target: npt.NDArray[np.float32], believed: npt.NDArray[np.float32]) -> float:
    """The share of the target's variance that a linear regression on the belief explains."""
    return float(np.corrcoef(target.ravel(), believed.ravel())[0, 1] ** 2)


if __name__ == "__main__":
    run_module("training.fit_signal_network", main, Arguments)
