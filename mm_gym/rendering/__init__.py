"""Pictures of a market: text ladder, image, window."""
