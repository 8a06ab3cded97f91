# SPDX-License-Identifier: Apache-2.0
"""How a sentence-transformers folder makes one embedding of a text's hidden states."""

from pathlib import Path

from weft.errors import ModelError, shown
from weft.files import in_file, read_json_object
from weft.model.config_words import Pooling
from weft.model.fields import Fields

__all__ = ["read_pooling"]

FILE = "1_Pooling/config.json"
FLAGS: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
}


def read_pooling(folder: Path) -> Pooling | None:
    """What `1_Pooling/config.json` says; None where there is no such file.

    Raises `ModelError` for a way of pooling that weft does not compute.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    values = read_json_object(path)
    with in_file(path):
        fields = Fields(values)
        chosen = [
            name for name in values if name.startswith("pooling_mode_") and fields.boolean(name)
        ]
        if len(chosen) == 1 and chosen[0] in FLAGS:
            return FLAGS[chosen[0]]
        word = fields.text("pooling_mode", "")
        if not chosen and word in ("mean", "cls"):
            return word
        raise ModelError(
            f"the pooling is {shown(', '.join(chosen) or word)}, but weft knows mean and cls."
        )
