"""The agent: its parts, and the real process beside stand-ins of what surrounds it."""
