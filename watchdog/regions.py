"""Regions that were asked for by name: a misspelt one must not be a place where nothing runs."""

from collections.abc import Sequence
from difflib import get_close_matches

from providers.base import Inventory, KnowsRegions
from watchdog.settings import SettingsError

NEAR = 3


def refuse_unknown_regions(asked: Sequence[str] | None, providers: Sequence[Inventory]) -> None:
    """Raises `SettingsError` for names that no provider has among its enabled regions.

    Nothing is refused where one of them cannot tell: then the region itself says what is wrong.
    """
    knowing = [each for each in providers if isinstance(each, KnowsRegions)]
    if not asked or not knowing:
        return
    enabled: list[str] = []
    for each in knowing:
        names = each.enabled_regions()
        if names is None:
            return
        enabled += names
    wrong = [name for name in dict.fromkeys(asked) if name not in enabled]
    if wrong:
        raise SettingsError(f"regions: {'; '.join(_no_such(name, enabled) for name in wrong)}")


def _no_such(name: str, enabled: Sequence[str]) -> str:
    close = get_close_matches(name, enabled, n=NEAR)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(enabled)}"
    return f"no region that is enabled is called {name}: {hint}"
