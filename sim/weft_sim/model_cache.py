# SPDX-License-Identifier: Apache-2.0
"""A folder of built artifacts, each named by a digest of everything that went into it.

An entry is a folder that is built elsewhere and renamed into place, with a manifest of the digests
of its files. An entry whose manifest is missing or does not match is treated as absent and is
replaced, so a stale, half-written or damaged entry is never used. Two processes may want the same
entry at once: the second waits for the first (a file lock, released by the system if the first
dies), and where locks do not work the renames race harmlessly.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from weft_arch.device import DeviceError

__all__ = ["ArtifactCache", "CacheError", "digest_of", "user_cache_dir"]

_MANIFEST = "manifest.json"
_UNUSED_ENTRY_DAYS = 90
_ABANDONED_BUILD_DAYS = 1
_WORK_PREFIX = ".weft-work-"


class CacheError(DeviceError):
    """The cache folder cannot be used. The message is a whole sentence for the user."""


def user_cache_dir() -> Path:
    """The cache folder: ``WEFT_CACHE_DIR``, else ``weft`` in ``XDG_CACHE_HOME`` or ``~/.cache``."""
    if override := os.environ.get("WEFT_CACHE_DIR"):
        return Path(override).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    if base and Path(base).is_absolute():
        return Path(base) / "weft"
    return Path("~/.cache/weft").expanduser().absolute()


def digest_of(*parts: str | bytes) -> str:
    """A sha256 (hexadecimal) of `parts`; each is preceded by its length, so joins differ."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


class ArtifactCache:
    """Entries under `root`, built on demand.

    Args:
        root: the folder that holds the entries; created when the first one is built.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = user_cache_dir() if root is None else root

    def get(self, name: str) -> Path | None:
        """The folder of the entry `name` if it is complete and undamaged, else None."""
        entry = self.root / name
        try:
            manifest = json.loads((entry / _MANIFEST).read_text())
            if manifest["name"] != name:
                return None
            for file, digest in manifest["files"].items():
                if hashlib.sha256((entry / file).read_bytes()).hexdigest() != digest:
                    return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        with contextlib.suppress(OSError):
            os.utime(entry)  # marks the entry as used, which keeps it from being pruned
        return entry

    def get_or_build(self, name: str, build: Callable[[Path], None]) -> Path:
        """The folder of the entry `name`; `build` fills a new folder if there is none yet.

        Args:
            name: the digest of everything the entry depends on, with an optional readable prefix.
            build: called with an empty folder; what it leaves there becomes the entry. Its
                exceptions pass through and leave no entry behind.

        Raises:
            CacheError: the folder cannot be written, or its disk is full.
        """
        if (entry := self.get(name)) is not None:
            return entry
        try:
            with self._lock(name):
                if (entry := self.get(name)) is not None:
                    return entry
                return self._build(name, build)
        except OSError as error:
            raise self._explain(error) from error

    def explain_if_full(self) -> CacheError | None:
        """The sentence to give when a build failed because the disk is full, else None."""
        with contextlib.suppress(OSError):
            status = os.statvfs(self.root)
            if status.f_bavail * status.f_frsize < 1 << 20:
                return self._explain(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        return None

    def _explain(self, error: OSError) -> CacheError:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return CacheError(
                f"The cache folder {self.root} is on a full disk ({reason}); free some space or "
                "name another folder in WEFT_CACHE_DIR."
            )
        return CacheError(
            f"The cache folder {self.root} cannot be written ({reason}); name a writable folder "
            "in WEFT_CACHE_DIR."
        )

    def _build(self, name: str, build: Callable[[Path], None]) -> Path:
        work = Path(tempfile.mkdtemp(prefix=_WORK_PREFIX, dir=self.root))
        try:
            work.chmod(0o755)
            build(work)
            files = {
                str(path.relative_to(work)): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(work.rglob("*"))
                if path.is_file()
            }
            (work / _MANIFEST).write_text(json.dumps({"name": name, "files": files}, indent=1))
            self._install(work, name)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        self._prune()
        entry = self.get(name)
        if entry is None:
            raise OSError(errno.EIO, "an entry that was just written does not read back")
        return entry

    def _install(self, work: Path, name: str) -> None:
        for _ in range(10):
            try:
                work.rename(self.root / name)
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
            if self.get(name) is not None:
                return  # another process was faster; its entry is as good
            damaged = Path(tempfile.mkdtemp(prefix=_WORK_PREFIX, dir=self.root))
            with contextlib.suppress(FileNotFoundError):
                (self.root / name).rename(damaged / "entry")
            shutil.rmtree(damaged, ignore_errors=True)
        raise OSError(errno.EBUSY, f"the entry {name} cannot be replaced")

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / f"{_WORK_PREFIX}{name}.lock").open("w") as file:
            with contextlib.suppress(OSError):  # some network file systems have no locks
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _prune(self) -> None:
        """Remove entries nobody used for long, and builds that died half-way; nothing else."""
        now = time.time()
        with contextlib.suppress(OSError):
            for path in self.root.iterdir():
                age_days = (now - path.stat().st_mtime) / 86_400
                if path.name.startswith(_WORK_PREFIX):
                    if age_days > _ABANDONED_BUILD_DAYS:
                        _remove(path)
                elif age_days > _UNUSED_ENTRY_DAYS and self.get(path.name) is not None:
                    _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
