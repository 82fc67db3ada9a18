"""What a trained policy is made of: run folders, networks, history features, hyperparameters."""
