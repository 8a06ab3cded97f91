# SPDX-License-Identifier: Apache-2.0
"""Chat templates: the prompt that a model's own Jinja template makes of a conversation.

Templates come with models, so they are not trusted: they run in Jinja's sandbox, which reaches
nothing outside, and what they write is limited.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, cast

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from weft.errors import FileError, PromptError, TokenizerError, shown
from weft.files import as_list, as_object, in_file, read_json_object, read_text
from weft.model.fields import Fields

__all__ = ["ChatTemplate", "read_chat_template", "read_special_tokens"]

FILE_LIMIT_BYTES = 1 << 20
OUTPUT_LIMIT = 1 << 24
SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")

Message = Mapping[str, Any]


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, in which products and powers cannot grow beyond all bounds either."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        small = all(
            not isinstance(item, int) or abs(item) <= OUTPUT_LIMIT for item in (left, right)
        )
        whole = all(isinstance(item, int | float) for item in (left, right))
        length = max((len(item) for item in (left, right) if hasattr(item, "__len__")), default=1)
        factor = max((item for item in (left, right) if isinstance(item, int)), default=1)
        if not small or (operator == "**" and not (whole and abs(right) <= 64)):
            raise TemplateError(f"a number in {operator} is too large")
        if not whole and length * factor > OUTPUT_LIMIT:
            raise TemplateError("a repeated text is too long")
        return super().call_binop(context, operator, left, right)


class ChatTemplate:
    """A template in Jinja's language, and the texts of special tokens that it may name.

    Raises `TokenizerError` when the template cannot be parsed.
    """

    def __init__(self, source: str, special_tokens: Mapping[str, str] | None = None) -> None:
        environment = _Sandbox(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        filters = cast(dict[str, Any], environment.filters)  # pyright: ignore[reportUnknownMemberType]
        filters["tojson"] = _to_json
        names = cast(dict[str, Any], environment.globals)  # pyright: ignore[reportUnknownMemberType]
        names |= {"raise_exception": _refuse, "strftime_now": _now}
        self._special_tokens = dict(special_tokens or {})
        try:
            self._template = environment.from_string(source)
        except (TemplateError, RecursionError) as error:
            raise TokenizerError(
                f"the chat template cannot be parsed ({_reason(error)})."
            ) from error

    def render(
        self, messages: Sequence[Message], *, add_generation_prompt: bool = True, **variables: Any
    ) -> str:
        """The prompt of a conversation; with `add_generation_prompt` the model's turn is opened.

        A message has at least `role` and `content`; `variables` are what else the template knows,
        such as `tools`. Raises `PromptError` when the template refuses the conversation or fails.
        """
        for index, message in enumerate(messages):
            if not isinstance(message.get("role"), str):
                raise PromptError(
                    f"message {index} has the role {shown(message.get('role'))}, but a role must "
                    f"be a string."
                )
        values = {"tools": None, "documents": None} | self._special_tokens | variables
        parts: list[str] = []
        length = 0
        try:
            for part in self._template.generate(
                messages=list(messages), add_generation_prompt=add_generation_prompt, **values
            ):
                parts.append(part)
                length += len(part)
                if length > OUTPUT_LIMIT:
                    raise TemplateError(f"it writes more than {OUTPUT_LIMIT} characters")
        except (KeyboardInterrupt, SystemExit):
            raise
        except Exception as error:  # a template can raise whatever Python can
            raise PromptError(f"the chat template fails ({_reason(error)}).") from error
        return "".join(parts)


def read_chat_template(folder: Path) -> str | None:
    """The template of a model folder, or None: `chat_template.jinja`, else the one in
    `tokenizer_config.json`, where there may be several, of which `default` is meant."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return read_text(file, limit_bytes=FILE_LIMIT_BYTES)
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return None
    value = read_json_object(path).get("chat_template")
    for item in as_list(value) or []:
        named = as_object(item) or {}
        if named.get("name") == "default":
            value = named.get("template")
    if value is None or isinstance(value, str):
        return value
    raise FileError(f"{path}: chat_template is {shown(value)}, but must be a string.")


def read_special_tokens(folder: Path) -> dict[str, str]:
    """The texts of special tokens that `tokenizer_config.json` names."""
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return {}
    fields = Fields(read_json_object(path))
    found: dict[str, str] = {}
    with in_file(path):
        for name in SPECIAL_TOKENS:
            described = as_object(fields.raw(name))
            source = Fields({name: described.get("content")}) if described else fields
            if name in source:
                found[name] = source.text(name, "")
    return found


def _to_json(value: object, indent: int | None = None, **options: Any) -> str:
    options.setdefault("ensure_ascii", False)
    return json.dumps(value, indent=indent, **options)


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
