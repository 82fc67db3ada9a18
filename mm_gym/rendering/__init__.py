"""Rendering of a market: the order book as text, an image, and a window on the screen."""
