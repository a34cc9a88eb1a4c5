"""Equal means unchanged; None that nobody can tell."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from watchdog.recording import fingerprints as prints
from watchdog.recording.fingerprints import Asked, fingerprints

WORDS = ["python3", "train.py", "--config", "small.yaml"]


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text("print(1)\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "train.py")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_code_is_the_commit_and_what_was_changed_since(repository: Path) -> None:
    clean = prints.code_of(WORDS, repository)
    assert clean is not None
    assert clean.startswith("git:")
    assert "dirty" not in clean
    (repository / "train.py").write_text("print(2)\n")
    dirty = prints.code_of(WORDS, repository)
    assert dirty is not None
    assert dirty.startswith(f"{clean}+dirty:")
    (repository / "train.py").write_text("print(3)\n")
    assert prints.code_of(WORDS, repository) not in {clean, dirty, None}
    (repository / "train.py").write_text("print(2)\n")
    assert prints.code_of(WORDS, repository) == dirty


def test_without_git_code_is_the_script(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print(1)\n")
    first = prints.code_of(WORDS, tmp_path)
    (tmp_path / "train.py").write_text("print(2)\n")
    assert first is not None
    assert prints.code_of(WORDS, tmp_path) not in {first, None}
    assert prints.code_of(["make"], tmp_path) is None


def test_the_environment_is_what_is_installed(tmp_path: Path) -> None:
    site = tmp_path / "env/lib/python3.11/site-packages"
    (site / "torch-2.6.0.dist-info").mkdir(parents=True)
    program = tmp_path / "env/bin/python"
    program.parent.mkdir()
    program.symlink_to("/bin/sh")
    words = [str(program), "train.py"]
    before = prints.environment_of(words, tmp_path, {})
    assert before is not None
    (site / "torch-2.6.0.dist-info").rename(site / "torch-2.7.0.dist-info")
    after = prints.environment_of(words, tmp_path, {})
    assert after not in {before, None}
    by_shell = prints.environment_of(
        ["sh", "run.sh"], tmp_path, {"VIRTUAL_ENV": str(tmp_path / "env"), "PATH": "/bin:/usr/bin"}
    )
    assert by_shell == after


def test_else_the_lock_file_above(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text("torch 2.6.0")
    inside = tmp_path / "src"
    inside.mkdir()
    words = [str(tmp_path / "program")]
    assert str(prints.environment_of(words, inside, {})).startswith("uv.lock:")
    (tmp_path / "uv.lock").unlink()
    (tmp_path / ".git").mkdir()
    assert prints.environment_of(words, inside, {}) is None


def test_data_is_names_sizes_and_times(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    part = tmp_path / "set/part-0"
    part.write_text("abc")
    first = prints.data_of(["set"], tmp_path)
    assert first == prints.data_of(["set"], tmp_path)
    os.utime(part, (1, 1))
    assert prints.data_of(["set"], tmp_path) not in {first, None}
    assert prints.data_of(["imagenet-v2"], tmp_path) == "id=imagenet-v2"
    assert prints.data_of([], tmp_path) is None


def test_data_of_too_many_files_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prints, "MOST_FILES", 1)
    (tmp_path / "a").write_text("")
    (tmp_path / "b").write_text("")
    assert prints.data_of(["."], tmp_path) is None


def test_config_is_the_words_and_the_files_that_they_name(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text("lr: 1")
    first = prints.config_of(WORDS, [], tmp_path)
    (tmp_path / "small.yaml").write_text("lr: 2")
    second = prints.config_of(WORDS, [], tmp_path)
    third = prints.config_of([*WORDS[:-1], "--config=small.yaml"], [], tmp_path)
    assert len({first, second, third, None}) == 4
    assert prints.config_of(WORDS, [Path("missing.yaml")], tmp_path) is None


def test_the_image_that_the_command_names(tmp_path: Path) -> None:
    digest = "sha256:" + "ab" * 32
    words = ["docker", "run", f"repo/train@{digest}"]
    assert fingerprints(words, folder=tmp_path, asked=Asked(), environ={}).image == digest
    told = fingerprints(words, folder=tmp_path, asked=Asked(image="sha256:x"), environ={})
    assert told.image == "sha256:x"
    assert fingerprints(["docker"], folder=tmp_path, asked=Asked(), environ={}).image is None
