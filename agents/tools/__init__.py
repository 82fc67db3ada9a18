"""Further commands, beside training and tuning: `python -m agents.tools.NAME`."""
