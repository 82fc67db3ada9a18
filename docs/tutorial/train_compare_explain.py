# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Train, compare, explain
#
# A score says that a maker is good. It does not say why. In this tutorial you train a maker by PPO,
# compare it with rules on the same sessions, and then find out what it does differently.
#
# The training here takes less than a minute on an idle core. A longer one gives a better maker.
#
# This page is a script in the repository, `docs/tutorial/train_compare_explain.py`. Every figure on
# it comes from running it. If adverse selection is new to you, start with
# [Adverse selection in ten minutes](adverse_selection_in_ten_minutes.py).

# %%
import torch
from stable_baselines3 import PPO

from agents import name_agent
from mm_gym import configure
from mm_gym.evaluation.plans import plan_markets, run_grid
from mm_gym.evaluation.policy_map import map_policy
from mm_gym.evaluation.replays import record_sessions
from mm_gym.evaluation.statistics import difference
from mm_gym.rendering.replay import replay_html
from mm_gym.reporting import figures
from mm_gym.sb3 import MarketMakingVecEnv

torch.set_num_threads(1)  # faster than more threads for a small network

# %% [markdown]
# ## 1. Train
#
# `MarketMakingVecEnv` runs 64 markets at once. In each of them, 40 % of the takers are informed.
# `variance_reduction=True` removes noise that no maker can control from the reward. The expected
# reward of every policy stays the same, and learning is much faster.

# %%
markets = MarketMakingVecEnv(64, regime="informed", p_informed=0.4, variance_reduction=True)
model = PPO(
    "MlpPolicy",
    markets,
    n_steps=64,
    batch_size=1024,
    n_epochs=6,
    learning_rate=lambda left: 0.002 * left,
    gae_lambda=0.6,
    policy_kwargs={"log_std_init": -0.5},
    seed=0,
)
model.learn(150_000)
print(f"{model.num_timesteps:,} decisions")

# %% [markdown]
# Two choices matter most. A small `gae_lambda` suits a task in which an action shows its effect
# within seconds. A small `log_std_init` starts with quotes near those that the network asks for.

# %% [markdown]
# ## 2. Compare
#
# A score needs something to be compared with. `inventory_skew:tuned` is a rule whose parameters
# were searched for in this very market. All three makers trade the same 64 sessions.


# %%
def makers(name):
    """The function that makes an agent: the model of this page, or an agent by its name."""
    return (lambda config: model) if name == "ppo" else name_agent(name)


names = ["inventory_skew", "inventory_skew:tuned", "ppo"]
here = plan_markets(["informed"], p_informed=0.4)
results = run_grid(makers, names, here, episodes=64, seed=0)
results

# %% [markdown]
# Do not compare the intervals of two rows. The makers faced the same prices and the same arrivals
# of takers, so compare them session by session:

# %%
skew, tuned, ppo = (entry.sessions for entry in results.entries)
print("PnL, ppo less inventory_skew:      ", difference(ppo.final_pnl, skew.final_pnl))
print("PnL, ppo less inventory_skew:tuned:", difference(ppo.final_pnl, tuned.final_pnl))
print("objective, ppo less tuned:         ", difference(ppo.objective, tuned.objective))

# %% [markdown]
# The trained maker earns more than both rules: the first two intervals lie above zero. The
# *objective* is the PnL less a penalty for holding inventory. On it, the lead over the tuned rule
# is smaller, because the trained maker carries more inventory. Read the third interval before you
# say that it is better.

# %% [markdown]
# ## 3. Explain: where does the money come from?

# %%
config = configure("informed", p_informed=0.4)
policies = {"ppo": map_policy(model, config)}
pictures = figures(results.entries, policies)
pictures["pnl_decomposition"]

# %% [markdown]
# Compare the parts, not the sums. The trained maker captures *less* spread than the rules. It also
# loses less to informed takers, although it trades more often than `inventory_skew`. And on the
# fills with all others, its inventory gains most. So it has learned something about the next move
# of the price: it buys before a rise more often than chance would.

# %% [markdown]
# ## 4. Explain: what are its fills worth?

# %%
pictures["markout_by_regime"]

# %% [markdown]
# The curves of the rules fall: after a fill, the price moves against the maker. The curve of the
# trained maker rises. It starts lower, because it trades at a smaller half-spread, and then the
# price moves its way.

# %% [markdown]
# ## 5. Explain: how does it quote?
#
# The next picture asks the policy directly. It shows where the maker wants to bid and to ask, for
# each inventory and for each recent order flow.

# %%
pictures["quotes_1"]

# %% [markdown]
# From left to right the maker bids less eagerly, because it holds more. A rule does that too. The
# new part is the other direction: the colours also change from bottom to top. When takers have been
# buying, the maker steps back with its ask and moves forward with its bid. It reads the flow,
# because informed takers trade in runs.

# %% [markdown]
# ## 6. Watch it
#
# The replay shows the tuned rule and the trained maker on the same session.

# %%
recordings = record_sessions({name: makers(name) for name in names[1:]}, config, seed=3)
replay_html(recordings, "The tuned rule and the trained maker")

# %% [markdown]
# ## Where to go next
#
# | question | page |
# |---|---|
# | How do I train longer, and keep the result? | [Training](../how-to/train-on-your-own-flow.md) |
# | How do I use another learner? | [Other people's learners](../how-to/other-learners.md) |
# | How do I judge a model of my own? | [Judge your own model](../how-to/judge-your-own-model.md) |
# | How good can a maker be? | [Results](../explanation/results.md) |
