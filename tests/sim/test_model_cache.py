# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from weft_sim import model_cache
from weft_sim.model_cache import ArtifactCache, CacheError, digest_of, user_cache_dir


def write_one(work: Path) -> None:
    (work / "file").write_text("content")


def must_not_build(work: Path) -> None:
    raise AssertionError("built although the entry is there")


def test_an_entry_is_built_once(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path / "new" / "folder")
    entry = cache.get_or_build("name", write_one)
    assert (entry / "file").read_text() == "content"
    assert cache.get_or_build("name", must_not_build) == entry
    assert [p.name for p in cache.root.iterdir() if p.is_dir()] == ["name"]


@pytest.mark.parametrize("damage", ["truncate", "remove", "manifest", "rename", "not a folder"])
def test_a_damaged_entry_is_built_again(tmp_path: Path, damage: str) -> None:
    cache = ArtifactCache(tmp_path)
    entry = cache.get_or_build("name", write_one)
    if damage == "truncate":
        (entry / "file").write_text("cont")
    elif damage == "remove":
        (entry / "file").unlink()
    elif damage == "manifest":
        (entry / "manifest.json").write_text('{"name": "name", "fil')
    elif damage == "rename":  # an entry under a name that is not its own
        manifest = json.loads((entry / "manifest.json").read_text())
        (entry / "manifest.json").write_text(json.dumps(manifest | {"name": "other"}))
    else:
        for path in entry.iterdir():
            path.unlink()
        entry.rmdir()
        entry.write_text("a file where the folder should be")
    assert cache.get("name") is None
    assert (cache.get_or_build("name", write_one) / "file").read_text() == "content"


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path)

    def fail(work: Path) -> None:
        write_one(work)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.get_or_build("name", fail)
    assert cache.get("name") is None
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def _build_slowly(root: Path, counter: Path) -> None:
    def build(work: Path) -> None:
        with counter.open("a") as file:
            file.write("x")
        time.sleep(0.3)
        write_one(work)

    ArtifactCache(root).get_or_build("name", build)


@pytest.mark.parametrize("locks", [True, False])
def test_two_processes_may_build_at_once(
    tmp_path: Path, locks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = tmp_path / "count"
    if not locks:  # as on a file system that has none; forked processes inherit this

        def no_lock(*_: object) -> None:
            raise OSError(errno.ENOLCK, "no locks")

        monkeypatch.setattr(model_cache.fcntl, "flock", no_lock)
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_build_slowly, args=(tmp_path / "cache", counter)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert ArtifactCache(tmp_path / "cache").get("name") is not None
    if locks:
        assert counter.read_text() == "x"


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "is on a full disk .*free some space or name another folder in WEFT_CACHE"),
        (errno.EROFS, "cannot be written .*name a writable folder in WEFT_CACHE_DIR"),
        (errno.EACCES, "cannot be written"),
    ],
)
def test_an_unusable_folder_is_one_sentence(
    tmp_path: Path, number: int, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(model_cache.tempfile, "mkdtemp", refuse)
    with pytest.raises(CacheError, match=sentence) as error:
        ArtifactCache(tmp_path).get_or_build("name", write_one)
    assert "\n" not in str(error.value)


def test_a_file_in_the_way_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    with pytest.raises(CacheError, match="cannot be written"):
        ArtifactCache(tmp_path / "cache").get_or_build("name", write_one)


def test_a_read_only_cache_with_the_entry_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ArtifactCache(tmp_path)
    cache.get_or_build("name", write_one)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "read-only")

    for function in ("utime", "mkdir", "rename"):
        monkeypatch.setattr(model_cache.os, function, refuse)
    assert cache.get_or_build("name", must_not_build) == tmp_path / "name"


def test_pruning_touches_only_old_entries_of_its_own(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path)
    old = cache.get_or_build("old", write_one)
    foreign, abandoned = tmp_path / "photos", tmp_path / ".weft-work-abandoned"
    foreign.mkdir()
    abandoned.mkdir()
    a_year_ago = time.time() - 365 * 86_400
    for path in (old, foreign, abandoned):
        os.utime(path, (a_year_ago, a_year_ago))
    cache.get_or_build("new", write_one)
    assert not old.exists()
    assert not abandoned.exists()
    assert foreign.exists()


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEFT_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert user_cache_dir() == Path("/somewhere/weft")
    monkeypatch.setenv("WEFT_CACHE_DIR", "~/mine")
    assert user_cache_dir() == Path("~/mine").expanduser()


def test_digests_tell_joins_apart() -> None:
    assert digest_of("ab", "c") != digest_of("a", "bc") != digest_of("abc")
