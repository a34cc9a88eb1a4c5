"""The shape that must not bend: which folder may import what, and where SDKs may live."""

import ast
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "policies": {"policies"},
    "providers": {"providers", "policies"},
    "watchdog": {"watchdog", "providers", "policies"},
}
OURS = set(MAY_IMPORT)
SDK_HOMES = {
    "boto3": "providers/aws/",
    "botocore": "providers/aws/",
    "google": "providers/gcp/",
    "azure": "providers/azure/",
    "pynvml": "providers/local/",
    "slack_sdk": "watchdog/alerts/",
    "moto": "providers/aws/",
    "deltalake": "watchdog/ledger/",
    "obstore": "watchdog/ledger/",
}
PURE = {"os", "io", "pathlib", "time", "random", "socket", "subprocess", "requests", "logging"}
"""What the judgement must not reach for: no input, no output, no clock, no chance."""


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""


def against_the_direction(root: Path) -> list[str]:
    found = []
    for package, allowed in MAY_IMPORT.items():
        for path in sorted((root / package).rglob("*.py")):
            for line, name in imports(path):
                top = name.split(".")[0]
                if top in OURS and top not in allowed:
                    found.append(f"{path.relative_to(root)}:{line} imports {name}")
    return found


def sdks_out_of_place(root: Path) -> list[str]:
    found = []
    for package in MAY_IMPORT:
        for path in sorted((root / package).rglob("*.py")):
            where = str(path.relative_to(root))
            for line, name in imports(path):
                home = SDK_HOMES.get(name.split(".")[0])
                if home is not None and not where.startswith(home):
                    found.append(f"{where}:{line} imports {name}")
    return found


def impure(root: Path) -> list[str]:
    found = []
    for path in sorted((root / "policies").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found += [f"{path.name}:{line}" for line, name in imports(path) if name in PURE]
        found += [
            f"{path.name}: asks for the time" for word in (".now(", ".today(") if word in text
        ]
    return found


def test_imports_go_one_way() -> None:
    assert against_the_direction(ROOT) == []


def test_sdks_stay_in_their_adapters() -> None:
    assert sdks_out_of_place(ROOT) == []


def test_the_judgement_is_pure() -> None:
    assert impure(ROOT) == []


def test_these_guards_bite(tmp_path: Path) -> None:
    for package in MAY_IMPORT:
        (tmp_path / package).mkdir()
    bad = "from watchdog import patrol\nimport boto3\nimport time\nx = datetime.now()\n"
    (tmp_path / "policies" / "bad.py").write_text(bad)
    assert against_the_direction(tmp_path) == ["policies/bad.py:1 imports watchdog"]
    assert sdks_out_of_place(tmp_path) == ["policies/bad.py:2 imports boto3"]
    assert len(impure(tmp_path)) == 2


@pytest.mark.parametrize("package", ["watchdog", "providers", "policies"])
def test_no_other_distribution_owns_our_packages(package: str) -> None:
    owners = set(importlib.metadata.packages_distributions().get(package, []))
    assert owners <= {"cloud-spend-watchdog"}


def test_help_imports_no_sdk_and_no_pandas() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['spend-watchdog', '--help']\n"
        "from watchdog.cli.main import app\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\n"
        "heavy = {'pandas', 'numpy', 'boto3', 'deltalake', 'duckdb', 'slack_sdk', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stderr.strip() == "[]"
