"""Training: PPO with stable-baselines3 or RLlib, its callbacks and its hyperparameters."""
