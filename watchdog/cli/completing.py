"""What the shell offers behind a command: asked at each Tab, so it is light and never complains."""

from pathlib import Path

import typer


def workload_names(context: typer.Context, incomplete: str) -> list[str]:
    """Names as the commands take them; `group/name` where several groups have one of that name."""
    try:
        known = _names(context)
    except Exception:  # noqa: BLE001 - whatever is wrong, a traceback has no place at the prompt
        return []
    return sorted(name for name in known if name.startswith(incomplete))


def policy_names(incomplete: str) -> list[str]:
    """The packs, and the YAML files of the folder that is being typed."""
    from policies.pack_names import PACKS  # noqa: PLC0415 - not for --help

    folder, slash, begun = incomplete.rpartition("/")
    try:
        files = sorted(Path(folder + slash or ".").iterdir())
    except OSError:
        files = []
    found = [each for each in PACKS if each.startswith(incomplete)]
    for path in files:
        if path.name.startswith(begun) and not path.name.startswith("."):
            if path.suffix in {".yaml", ".yml"}:
                found.append(f"{folder}{slash}{path.name}")
            elif path.is_dir():
                found.append(f"{folder}{slash}{path.name}/")
    return found


def _names(context: typer.Context) -> set[str]:
    from watchdog.cli import reading  # noqa: PLC0415 - heavy, and not for --help

    config, ledger = context.params.get("config"), context.params.get("ledger")
    store = reading.opened(None if config is None else Path(config), ledger)
    rows = store.rows("workload_names")
    names = [str(row["workload"]) for row in rows]
    told = {name for name in names if names.count(name) == 1}
    several = [row for row in rows if row["workload"] not in told]
    return told | {
        f"{row['workload_group'] or ''}/{row['workload']}".lstrip("/") for row in several
    }
