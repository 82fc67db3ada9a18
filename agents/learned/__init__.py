"""The parts of a trained policy: run folder, network, history features, hyperparameters."""
