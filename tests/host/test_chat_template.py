# SPDX-License-Identifier: Apache-2.0
"""Chat templates against the rendering of `transformers`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from weft.chat_template import ChatTemplate, read_chat_template, read_special_tokens
from weft.errors import FileError, ModelError, PromptError, TokenizerError
from weft.model import load_model

CHATML = """\
{%- for message in messages %}
    {%- if loop.first and message.role != 'system' %}
        {{- '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}
    {%- endif %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
LLAMA = """\
{{ bos_token }}
{% if messages[0]['role'] == 'system' %}
{% set system, messages = messages[0]['content'], messages[1:] %}
{% endif %}
{% for message in messages %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('roles must alternate user/assistant') }}
{% endif %}
{% if loop.index0 > 4 %}{% break %}{% endif %}
<|start_header_id|>{{ message.role }}<|end_header_id|>{{ message.content }}{{ eos_token }}
{% endfor %}
{% if tools %}{{ tools | tojson(indent=2) }}{% endif %}
{% if system is defined %}({{ system }}){% endif %}
"""
TALK = [
    {"role": "user", "content": " Grüße! 你好 <b>&\"'\n"},
    {"role": "assistant", "content": "🦊 Hi."},
    {"role": "user", "content": "{{ 1 + 1 }} {% raw %}"},
]
TOOLS = [{"name": "größe", "parameters": {"x": [1, None, True]}}]


@pytest.mark.parametrize("template", [CHATML, LLAMA], ids=["chatml", "llama"])
@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("tools", [None, TOOLS], ids=["plain", "tools"])
def test_prompts_are_those_of_transformers(
    byte_level_tokenizer: Tokenizer, template: str, opened: bool, tools: Any
):
    transformers = pytest.importorskip("transformers")
    special = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    judge = transformers.PreTrainedTokenizerFast(tokenizer_object=byte_level_tokenizer, **special)
    judge.chat_template = template
    ours = ChatTemplate(template, special)
    for talk in (TALK, [{"role": "system", "content": "Be brief."}, *TALK], TALK[:1]):
        expected = judge.apply_chat_template(
            talk, tools=tools, add_generation_prompt=opened, tokenize=False
        )
        assert ours.render(talk, tools=tools, add_generation_prompt=opened) == expected


def test_a_folder_and_a_gguf_file_bring_their_template(make_folder: Callable[..., Path]):
    folder = make_folder()
    assert (read_chat_template(folder), read_special_tokens(folder)) == (None, {})
    with pytest.raises(PromptError, match=r"tiny comes without a chat template\."):
        load_model(folder).chat_prompt(TALK)
    config = folder / "tokenizer_config.json"
    described = {"content": "<s>", "lstrip": False}
    templates = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": LLAMA}]
    config.write_text(json.dumps({"bos_token": described, "chat_template": templates}))
    assert load_model(folder).chat_prompt(TALK).startswith("<s>\n<|start_header_id|>user")
    (folder / "chat_template.jinja").write_text("{{ messages | length }}")
    assert load_model(folder).chat_prompt(TALK) == "3"
    (folder / "chat_template.jinja").unlink()
    config.write_text(json.dumps({"chat_template": 3}))
    with pytest.raises(FileError, match=r"tokenizer_config\.json: chat_template is 3, but must be"):
        load_model(folder)
    config.write_text(json.dumps({"bos_token": 3}))
    with pytest.raises(ModelError, match=r"tokenizer_config\.json: bos_token is 3, but must be a"):
        load_model(folder)


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{ raise_exception('no system turn\nhere') }}", r"template fails \(no system turn here"),
        ("{{ messages[9].content.x }}", r"the chat template fails \("),
        ("{{ ''.__class__.__mro__ }}", r"the chat template fails \("),
        ("{{ cycler.__init__.__globals__ }}", r"the chat template fails \("),
        ("{{ 'a' * 1000000000000 }}", r"a number in \* is too large"),
        ("{{ ('a' * 10000) * 10000 }}", r"a repeated text is too long"),
        ("{{ 10 ** 10 ** 10 }}", r"a number in \*\* is too large"),
        ("{{ 10 ** 60 ** 2 }}", r"a number in \*\* is too large"),
        ("{% for i in range(90000) %}{{ 'a' * 9000 }}{% endfor %}", r"writes more than 16777216"),
        ("{% for i in range(10000000000) %}a{% endfor %}", r"the chat template fails \("),
    ],
)
def test_a_hostile_template_gets_a_sentence(template: str, sentence: str):
    with pytest.raises(PromptError, match=sentence) as error:
        ChatTemplate(template).render(TALK)
    assert "\n" not in str(error.value)


def test_templates_and_messages_that_are_none_get_a_sentence():
    with pytest.raises(TokenizerError, match=r"the chat template cannot be parsed \("):
        ChatTemplate("{% if %}")
    with pytest.raises(PromptError, match=r"message 1 has the role None, but a role must be"):
        ChatTemplate("").render([TALK[0], {"content": "x"}])
