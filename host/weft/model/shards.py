# SPDX-License-Identifier: Apache-2.0
"""The safetensors files of a folder: one, or several with an index."""

from pathlib import Path

from weft.errors import FileError, shown
from weft.files import as_object, read_json_object
from weft.model.safetensors_file import SafetensorsFile

__all__ = ["open_shards"]

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def open_shards(folder: Path) -> dict[str, SafetensorsFile]:
    """The file that holds each tensor, by the tensor's name."""
    weights = folder / WEIGHTS
    index = folder / INDEX
    if weights.is_file() or not index.is_file():
        if not weights.exists() and any(folder.glob("*.bin")):
            raise FileError(
                f"{weights} does not exist; weft reads safetensors files, not pickled .bin files."
            )
        file = SafetensorsFile(weights)
        return dict.fromkeys(file.entries, file)
    files: dict[str, SafetensorsFile] = {}
    shards: dict[str, SafetensorsFile] = {}
    field = read_json_object(index).get("weight_map")
    weight_map = as_object(field)
    if not weight_map:
        raise FileError(f"{index}: weight_map is {shown(field)}, which maps no tensor.")
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or not _is_plain(shard):
            raise FileError(
                f"{index}: weight_map sends {shown(name)} to {shown(shard)}, "
                f"which is no file name in the folder."
            )
        if shard not in files:
            files[shard] = SafetensorsFile(folder / shard)
        if name not in files[shard].entries:
            raise FileError(f"{index}: tensor {shown(name)} is not in {shown(shard)}.")
        shards[name] = files[shard]
    return shards


def _is_plain(name: str) -> bool:
    """Whether `name` can only mean a file in the same folder."""
    return name not in ("", ".", "..") and not set(name) & set("/\\\0") and len(name) <= 255
