"""Market making in a simulated limit order book, as a Gymnasium environment.

The information content of order flow is a parameter:

    import gymnasium, mm_gym
    env = gymnasium.make("MarketMaking-v0", regime="informed", p_informed=0.3)
"""

import gymnasium

from mm_gym.compilation import announce_compilation
from mm_gym.config import MarketConfig, configure
from mm_gym.core.layout import OBSERVATION_NAMES
from mm_gym.env import MarketMakingEnv
from mm_gym.errors import ConfigurationError
from mm_gym.order_book import LimitOrderBook, OrderBookError
from mm_gym.regimes import REGIMES
from mm_gym.tasks import TASKS, Task
from mm_gym.vector_env import MarketMakingVectorEnv

__version__ = "0.2.0"

__all__ = [
    "OBSERVATION_NAMES",
    "REGIMES",
    "TASKS",
    "ConfigurationError",
    "LimitOrderBook",
    "MarketConfig",
    "MarketMakingEnv",
    "MarketMakingVectorEnv",
    "OrderBookError",
    "Task",
    "configure",
]

announce_compilation()

ENVIRONMENT_ID = "MarketMaking-v0"

if ENVIRONMENT_ID not in gymnasium.registry:
    gymnasium.register(
        id=ENVIRONMENT_ID,
        entry_point="mm_gym.env:MarketMakingEnv",
        vector_entry_point="mm_gym.vector_env:MarketMakingVectorEnv",
    )
