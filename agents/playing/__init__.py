"""Trading by hand: quotes moved by keys, a session in real time, and its scores."""
