"""The signal network: a small recurrent network that infers the signal from observations.

Unlike `agents.rules.signal_filter`, which applies Bayes' rule with known market parameters, the
network knows no parameters. `python -m agents.training.fit_signal_network` fits it to sessions of
many markets, with shares of informed takers from 0 to 1. One network serves all makers.

A layer turns each pair of consecutive observations into evidence. Evidence is summed over time with
exponential decay, and each sum has a decay of its own. The sums correspond to a log-posterior,
which is a sum of log-likelihoods. A perceptron maps the sums, the observation and the means of the
session to beliefs.
"""

import functools
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from ..base import AgentError
from ..invocation import module_command

_Array = npt.NDArray[np.float32]

NETWORK_FILE = Path(__file__).with_name("signal_network.npz")

BELIEF_NAMES = (
    "believed_worth",
    "believed_signal",
    "believed_informed_buying",
    "believed_informed_selling",
)
"""The beliefs: conditional means of V + edge - mid, of the signal, and of whether it is beyond the
threshold for informed buying or selling. Each is standardised over all markets."""


class SignalNetwork(NamedTuple):
    """The weights of the network. They apply to unscaled columns."""

    evidence_weights: _Array
    """Shape (2 x columns, width). The first half applies to an observation, the second half to the
    previous one."""
    evidence_biases: _Array
    sum_weights: _Array
    """Shape (width, sums)."""
    sum_biases: _Array
    decay: _Array
    """Shape (sums,): the factor of each sum per decision."""
    weights_0: _Array
    """Shape (sums + columns + means, width): first layer of the perceptron."""
    biases_0: _Array
    weights_1: _Array
    biases_1: _Array
    weights_2: _Array
    """Shape (width, beliefs)."""
    biases_2: _Array

    @property
    def n_sums(self) -> int:
        """Number of sums of evidence."""
        return len(self.decay)

    def believe(
        self, observations: _Array, before: _Array, means: _Array, sums: _Array
    ) -> tuple[_Array, _Array]:
        """Beliefs after one more observation.

        Args:
            observations: shape (n, columns).
            before: those of the previous decision. Zeros at the start of a session.
            means: of the session, from `agents.learned.history_features`, shape (n, means).
            sums: returned by the previous call, shape (n, sums). Zeros at the start.

        Returns:
            Beliefs, shape (n, len(BELIEF_NAMES)), and the sums of evidence for the next call.
        """
        # More threads would not make products this small faster, and would compete with torch's.
        with _thread_pools().limit(limits=1, user_api="blas"):
            pairs = np.concatenate([observations, before], axis=1)
            evidence = np.tanh(pairs @ self.evidence_weights + self.evidence_biases)
            sums = self.decay * sums + (evidence @ self.sum_weights + self.sum_biases)
            hidden = np.tanh(
                np.concatenate([sums, observations, means], axis=1) @ self.weights_0 + self.biases_0
            )
            hidden = np.tanh(hidden @ self.weights_1 + self.biases_1)
            return hidden @ self.weights_2 + self.biases_2, sums


@functools.cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()


@functools.cache
def shipped_signal_network() -> SignalNetwork:
    """The signal network that comes with the code, `NETWORK_FILE`.

    Raises:
        AgentError: if the file is missing or damaged.
    """
    return read_signal_network(NETWORK_FILE)


def read_signal_network(path: Path) -> SignalNetwork:
    """Read a signal network that `agents.training.fit_signal_network` wrote.

    Raises:
        AgentError: if the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return SignalNetwork(
                **{name: arrays[name].astype(np.float32) for name in SignalNetwork._fields}
            )
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise AgentError(
            f"{path} cannot be read: expected a signal network, "
            f"got {type(error).__name__} ({error}) (restore the file from the repository, or write "
            f"it again with {module_command('training.fit_signal_network')})"
        ) from error
