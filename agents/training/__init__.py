"""Training by PPO with stable-baselines3 or RLlib: trainers, callbacks and hyperparameters."""
