"""Fingerprints of what a run was made of: equal means unchanged, None that nobody can tell."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GIT_S = 10.0
"""How long git may take for one answer; a slow disk must not hold up a run's end."""
LOCKS = (
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "pixi.lock",
    "conda-lock.yml",
    "requirements.lock",
    "requirements.txt",
    "environment.yml",
)
"""The first that is found says which packages were meant."""
CONFIGS = frozenset({".yaml", ".yml", ".json", ".toml", ".ini", ".cfg", ".conf"})
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
SYSTEM = frozenset({Path("/"), Path("/usr"), Path("/usr/local")})
MOST_FILES = 100_000
"""Of one data folder. One with more is not walked to its end."""
MOST_BYTES = 16 * 1024 * 1024
"""Of one file whose content is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user says of the run's inputs."""

    data: tuple[str, ...] = ()
    """Paths; what is no path here is an id."""
    params: tuple[Path, ...] = ()
    image: str | None = None


NOTHING_SAID = Asked()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprints:
    code: str | None = None
    environment: str | None = None
    image: str | None = None
    data: str | None = None
    config: str | None = None


def fingerprints(
    words: Sequence[str], *, folder: Path, asked: Asked, environ: Mapping[str, str] = os.environ
) -> Fingerprints:
    return Fingerprints(
        code=code_of(words, folder),
        environment=environment_of(words, folder, environ),
        image=asked.image or _image(words),
        data=data_of(asked.data, folder),
        config=config_of(words, asked.params, folder),
    )


def code_of(words: Sequence[str], folder: Path) -> str | None:
    """`git:COMMIT`, with `+dirty:` and a digest of the changes where there are some.

    Files that git does not know are no part of it. Without git: the scripts' own content.
    """
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if commit is not None:
        changes = _git(folder, "diff", "--no-ext-diff", "--no-color", "--binary", "HEAD")
        if changes is None:
            return None
        name = f"git:{commit.decode('ascii').strip()}"
        return f"{name}+dirty:{_digest([changes])}" if changes else name
    scripts = [_content(path) for path in _files_among(words, folder, suffixes={".py", ".sh"})]
    if not scripts or None in scripts:
        return None
    return f"files:{_digest(each for each in scripts if each is not None)}"


def environment_of(words: Sequence[str], folder: Path, environ: Mapping[str, str]) -> str | None:
    """The distributions that the command's interpreter has installed, else the lock file."""
    for prefix in _prefixes(words, environ):
        names = sorted(
            {path.stem for place in _site_packages(prefix) for path in place.glob("*.dist-info")}
        )
        if names:
            return f"installed:{_digest(name.encode() for name in names)}"
    for place in (folder, *folder.parents):
        for lock in LOCKS:
            content = _content(place / lock)
            if content is not None:
                return f"{lock}:{_digest([content])}"
        if (place / ".git").exists():
            return None
    return None


def data_of(told: Iterable[str], folder: Path) -> str | None:
    """Of paths their sizes and times, of anything else the word itself."""
    parts: list[str] = []
    for word in told:
        path = folder / word
        if not path.exists():
            parts.append(f"id={word}")
            continue
        found = _sizes_and_times(path)
        if found is None:
            return None
        parts += found
    if not parts:
        return None
    if len(parts) == 1 and parts[0].startswith("id="):
        return parts[0]
    return f"files:{_digest(part.encode() for part in parts)}"


def config_of(words: Sequence[str], params: Iterable[Path], folder: Path) -> str | None:
    """The command's words, and the content of the settings files that they or the user name."""
    files = [*(folder / each for each in params), *_files_among(words, folder, suffixes=CONFIGS)]
    contents = [_content(file) for file in files]
    if None in contents:
        return None
    told = [each for each in contents if each is not None]
    return f"words:{_digest([*(word.encode(errors='replace') for word in words), *told])}"


def _image(words: Sequence[str]) -> str | None:
    """Where the command itself starts a container by its digest."""
    found = [match[0] for word in words for match in DIGEST.finditer(word)]
    return found[0] if found else None


def _git(folder: Path, *words: str) -> bytes | None:
    """None: no repository, no git, or it takes too long. Nothing there is changed."""
    try:
        done = subprocess.run(  # noqa: S603 - the words are ours
            ["git", *words],  # noqa: S607 - the user's own git
            cwd=folder,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=GIT_S,
            check=False,
            start_new_session=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def _prefixes(words: Sequence[str], environ: Mapping[str, str]) -> list[Path]:
    """Where the program is installed, links not followed, for an environment is one of links.

    A program of the system's, such as a shell, runs what the active environment has.
    """
    program = shutil.which(words[0], path=environ.get("PATH"))
    own = [] if program is None else [Path(program).absolute().parent.parent]
    names = ("VIRTUAL_ENV", "CONDA_PREFIX")
    active = [Path(environ[name]) for name in names if environ.get(name)]
    by_system = program is not None and own[0] in SYSTEM and "python" not in Path(program).name
    return [*active, *own] if by_system else [*own, *active]


def _site_packages(prefix: Path) -> list[Path]:
    return [
        *prefix.glob("lib/python3*/site-packages"),
        *prefix.glob("lib/python3*/dist-packages"),
        *prefix.glob("lib/python3/dist-packages"),
    ]


def _files_among(words: Sequence[str], folder: Path, *, suffixes: Iterable[str]) -> list[Path]:
    """Files that the words name, by themselves or as `--option=FILE`."""
    names = [word.rpartition("=")[2] for word in words]
    wanted = set(suffixes)
    paths = [folder / name for name in names if name and Path(name).suffix in wanted]
    return [path for path in paths if _is_file(path)]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _content(path: Path) -> bytes | None:
    """None: it cannot be read, or is too large to be what it is called."""
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        return path.read_bytes()
    except OSError:
        return None


def _sizes_and_times(path: Path) -> list[str] | None:
    """One line a file. None: there are too many, or one cannot be looked at."""
    files = [path] if path.is_file() else _below(path)
    if files is None:
        return None
    lines = []
    try:
        for file in files:
            seen = file.stat()
            name = file.relative_to(path).as_posix()
            lines.append(f"{path.name}/{name} {seen.st_size} {seen.st_mtime_ns}")
    except OSError:
        return None
    return lines


def _below(folder: Path) -> list[Path] | None:
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        found += [Path(place, name) for name in sorted(names)]
        if len(found) > MOST_FILES:
            return None
    return found


def _digest(parts: Iterable[bytes]) -> str:
    """Of the parts and where each ends."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
