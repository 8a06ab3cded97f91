# SPDX-License-Identifier: Apache-2.0
"""Typed access to the fields of a JSON object that nobody vouches for."""

from collections.abc import Mapping

from weft.errors import ModelError, shown
from weft.files import as_list, as_object

__all__ = ["Fields"]

MOST_ITEMS = 1 << 16


class Fields:
    """The fields of an object; each lookup raises `ModelError` naming the field and its value.

    A field that is null counts as absent. Without a default, an absent one is refused.
    """

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def is_null(self, name: str) -> bool:
        """Whether the field is there and null, where that means something else than absent."""
        return name in self._values and self._values[name] is None

    def raw(self, name: str) -> object:
        """The value as it is; None where there is none."""
        return self._values.get(name)

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer."""
        value = self._values.get(name)
        if value is None and default is not None:
            return default
        if name not in self._values:
            raise ModelError(f"{name} is missing.")
        if isinstance(value, bool) or not isinstance(value, int):
            raise ModelError(f"{name} is {shown(value)}, but must be an integer.")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """A number that is finite."""
        value = self._values.get(name)
        if value is None and default is not None:
            return default
        if name not in self._values:
            raise ModelError(f"{name} is missing.")
        return _number(name, value)

    def positive(self, name: str, default: float | None = None) -> float:
        """A number above 0."""
        value = self.number(name, default)
        if not value > 0:
            raise ModelError(f"{name} is {shown(value)}, but must be greater than 0.")
        return value

    def boolean(self, name: str, default: bool = False) -> bool:
        """True or false."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise ModelError(f"{name} is {shown(value)}, but must be true or false.")
        return value

    def text(self, name: str, default: str) -> str:
        """A string."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise ModelError(f"{name} is {shown(value)}, but must be a string.")
        return value

    def inner(self, name: str) -> "Fields":
        """An object; an empty one where it is absent."""
        value = self._values.get(name)
        found = {} if value is None else as_object(value)
        if found is None:
            raise ModelError(f"{name} is {shown(value)}, but must be an object or null.")
        return Fields(found)

    def items(self, name: str) -> list[object]:
        """A list; an empty one where it is absent."""
        value = self._values.get(name)
        found = [] if value is None else as_list(value)
        if found is None or len(found) > MOST_ITEMS:
            raise ModelError(
                f"{name} is {shown(value)}, but must be a list of at most {MOST_ITEMS} items."
            )
        return found

    def positives(self, name: str, count: int) -> tuple[float, ...]:
        """A list of `count` numbers above 0."""
        numbers = tuple(_number(f"an item of {name}", item) for item in self.items(name))
        if len(numbers) != count:
            raise ModelError(f"{name} has {len(numbers)} numbers, but must have {count}.")
        for index, number in enumerate(numbers):
            if not number > 0:
                raise ModelError(f"{name}[{index}] is {number:g}, but must be greater than 0.")
        return numbers

    def refuse(self, name: str, *neutral: object) -> None:
        """Refuse a field that changes what a model computes: with other values than `neutral`,
        which change nothing, and null."""
        value = self._values.get(name)
        if value is not None and not any(value is item or value == item for item in neutral):
            accepted = " or ".join(shown(item) for item in neutral)
            raise ModelError(
                f"{name} is {shown(value)}, but weft runs models where it is {accepted}."
            )


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ModelError(f"{name} is {shown(value)}, but must be a number.")
    if not abs(value) < 1e300:
        raise ModelError(f"{name} is {shown(value)}, which is no usable number.")
    return float(value)
