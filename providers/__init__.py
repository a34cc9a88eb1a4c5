"""The outside world: what runs, what it used, what it costs, and how to stop it."""
