"""What the flow lets one believe of the signal, as a small recurrent network has learned to infer
from examples.

`agents.rules.signal_filter` is told every parameter of the market and applies Bayes' rule. This is
told nothing. It was fitted (`python -m agents.training.fit_signal_network`) to sessions of many
markets with anything from nobody to everybody informed, and has to find out from the tape itself in
which kind of market it is. One network serves all makers.

Evidence is what one observation and the one before it say together; it is summed up with a memory
that fades, each column at a pace of its own, as the logarithm of a posterior is the sum of
log-likelihoods. A perceptron tells from the sums, the observation and the session's means what is
to be believed.
"""

import functools
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from ..base import AgentError

_Array = npt.NDArray[np.float32]

NETWORK_FILE = Path(__file__).with_name("signal_network.npz")

BELIEF_NAMES = (
    "believed_worth",
    "believed_signal",
    "believed_informed_buying",
    "believed_informed_selling",
)
"""What is believed: the mean of V + edge - mid, of the signal, and of whether it is beyond the
threshold on which the informed buy, or sell; each less its mean over all markets, in standard
deviations."""


class SignalNetwork(NamedTuple):
    """The network's weights: applied to columns as they come, whatever their scale."""

    evidence_weights: _Array
    """Shape (2 x columns, width): of an observation, then of the one before it."""
    evidence_biases: _Array
    sum_weights: _Array
    """Shape (width, sums)."""
    sum_biases: _Array
    decay: _Array
    """Shape (sums,): what of each is left a decision later."""
    weights_0: _Array
    """Shape (sums + columns + means, width): of the perceptron's first layer."""
    biases_0: _Array
    weights_1: _Array
    biases_1: _Array
    weights_2: _Array
    """Shape (width, beliefs)."""
    biases_2: _Array

    @property
    def n_sums(self) -> int:
        return len(self.decay)

    def believe(
        self, observations: _Array, before: _Array, means: _Array, sums: _Array
    ) -> tuple[_Array, _Array]:
        """Beliefs, shape (n, len(BELIEF_NAMES)), and the sums of evidence to hand in at the next
        decision.

        Args:
            observations: shape (n, columns).
            before: those of the decision before; zeros at the start of a session.
            means: of the session, as `agents.learned.history_features` has them, shape (n, means).
            sums: as handed back before, shape (n, sums); zeros at the start.
        """
        # Too small a task for a second thread, which would wait for more in the way of torch's own.
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
    """The one in `NETWORK_FILE`.

    Raises:
        AgentError: if it is missing or damaged.
    """
    return read_signal_network(NETWORK_FILE)


def read_signal_network(path: Path) -> SignalNetwork:
    """The filter that `agents.training.fit_signal_network` has written to this file.

    Raises:
        AgentError: if there is none that can be read.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return SignalNetwork(
                **{name: arrays[name].astype(np.float32) for name in SignalNetwork._fields}
            )
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise AgentError(
            f"{path} cannot be read ({error}); take it from the repository, or write it anew with "
            "python -m agents.training.fit_signal_network"
        ) from error
