"""Builds the catalogue from a folder of price sources, and says where they disagree.

python -m providers.catalog.build --from DIR [--check]
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from providers.catalog.accelerator_rows import AcceleratorRow, accelerator_rows, count_conflicts
from providers.catalog.choosing import Conflict, choose, doubts
from providers.catalog.coverage import coverage_table
from providers.catalog.offers import FOLDER, NOTES
from providers.catalog.origins import SOURCES
from providers.catalog.quotes import Key, Quote, quotes
from providers.catalog.reading import CatalogueError

DIFFERS = 1
SOURCE_FIELDS = ("id", "name", "origin", "licence", "as_of", "covers", "leaves_out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What the sources add up to."""

    chosen: tuple[Quote, ...]
    conflicts: tuple[Conflict, ...]
    doubts: Mapping[Key, str]
    accelerators: tuple[AcceleratorRow, ...]


def assemble(folder: Path) -> Catalogue:
    chosen, conflicts = choose(quotes(folder))
    return Catalogue(
        chosen=chosen,
        conflicts=conflicts,
        doubts=doubts(chosen, conflicts),
        accelerators=accelerator_rows(folder),
    )


def files(catalogue: Catalogue) -> Mapping[str, str]:
    """The text of every file that is built, by its name. `board_power.csv` is kept by hand."""
    return {
        "accelerators.csv": _csv(
            "provider,machine_type,manufacturer,model,kind,count,memory_mib,vcpus,local_disk_gib,source",
            (row.cells() for row in catalogue.accelerators),
        ),
        "conflicts.csv": _csv(
            "provider,region,machine_type,purchase,"
            "chosen_usd_per_hour,chosen_source,other_usd_per_hour,other_source,difference_pct",
            (_conflict_cells(conflict) for conflict in catalogue.conflicts),
        ),
        "prices.csv": _csv(
            "provider,region,machine_type,purchase,usd_per_hour,source,note",
            (
                (*quote.key, quote.usd, quote.source, catalogue.doubts.get(quote.key, ""))
                for quote in catalogue.chosen
            ),
        ),
        "sources.csv": _csv(
            ",".join(SOURCE_FIELDS),
            (tuple(getattr(source, field) or "" for field in SOURCE_FIELDS) for source in SOURCES),
        ),
    }


def report(folder: Path, catalogue: Catalogue) -> Iterator[str]:
    """What a person should know of the build, line by line."""
    yield "prices"
    for source, number in sorted(Counter(quote.source for quote in catalogue.chosen).items()):
        yield f"  {source}: {number}"
    yield f"conflicts: {len(catalogue.conflicts)} prices contradicted by over 1 %"
    for conflict in catalogue.conflicts:
        yield "  " + " ".join(_conflict_cells(conflict))
    for code, meaning in NOTES.items():
        marked = sorted(key for key, note in catalogue.doubts.items() if note == code)
        yield f"doubtful, {code}: {len(marked)} prices, {meaning}"
        yield from ("  " + " ".join(key) for key in marked)
    yield "accelerator counts that differ from the clouds' own pages"
    yield from (f"  {line}" for line in count_conflicts(folder))
    yield "AWS accelerator types where they are offered"
    yield coverage_table(folder, catalogue.chosen)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options().parse_args(arguments)
    try:
        catalogue = assemble(options.folder)
        lines = list(report(options.folder, catalogue))
    except CatalogueError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write("\n".join(lines) + "\n")
    return _check(files(catalogue)) if options.check else _write(files(catalogue))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m providers.catalog.build", description=__doc__)
    parser.add_argument(
        "--from", dest="folder", type=Path, required=True, help="the folder of the price sources"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 where a file would change"
    )
    return parser


def _write(texts: Mapping[str, str]) -> int:
    for name, text in texts.items():
        (FOLDER / name).write_text(text, encoding="utf-8", newline="")
    return 0


def _check(texts: Mapping[str, str]) -> int:
    differing = [name for name, text in texts.items() if _present(name) != text]
    for name in differing:
        sys.stderr.write(f"{name} differs from what the sources give: run without --check\n")
    return DIFFERS if differing else 0


def _present(name: str) -> str | None:
    path = FOLDER / name
    return path.read_bytes().decode("utf-8") if path.exists() else None


def _conflict_cells(conflict: Conflict) -> tuple[str, ...]:
    chosen, other = conflict.chosen, conflict.other
    difference = f"{conflict.difference * 100:+.1f}"
    return (*chosen.key, chosen.usd, chosen.source, other.usd, other.source, difference)


def _csv(header: str, rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header.split(","))
    writer.writerows(rows)
    return text.getvalue()


if __name__ == "__main__":
    sys.exit(main())
