"""Where runs wait that could not be sent."""

from __future__ import annotations

from pathlib import Path

import platformdirs

APPLICATION = "spend-watchdog"
"""As the settings call it; those are too slow to be asked."""


def state_folder() -> Path:
    """Of this user on this machine."""
    return platformdirs.user_state_path(APPLICATION) / "record"
