# SPDX-License-Identifier: Apache-2.0
"""The specification of level 3: the checker finds every token that is not there."""

import dataclasses
import re
from collections.abc import Sequence

import pytest

from tests.compiler.models import BERT, compiled, model_config, random_model
from weft.compiler import CompiledModel
from weft.compiler.conventions import Register, Token, chunk_scalars, encoder_scalars
from weft.compiler.hazards import check_hazards
from weft.compiler.walk import walk
from weft.errors import CompileError
from weft_arch import isa
from weft_arch.config import preset
from weft_arch.isa import Instruction

WAITS, SIGNALS = ("wait_a", "wait_b"), ("signal_a", "signal_b")
# A vocabulary of several segments, so that LOGITS_FREE is needed; heads that fill a slot, share
# one, or leave some of it empty; queries in the words of keys and values.
MODELS = {
    "whole": compiled(random_model(model_config(vocab_size=9000, head_dim=32))),
    "packed": compiled(
        random_model(model_config(vocab_size=9000, n_heads=8, head_dim=8, n_kv_heads=4))
    ),
    "padded": compiled(random_model(model_config(vocab_size=9000, n_kv_heads=2, head_dim=48))),
    "turns": compiled(
        random_model(model_config(vocab_size=9000, n_heads=6, n_kv_heads=2, head_dim=64))
    ),
    "scoring": compiled(random_model(model_config(vocab_size=9000)), all_logits=True),
    "learned": compiled(random_model(model_config(vocab_size=9000, positions="learned"))),
    "sandwich": compiled(random_model(model_config(vocab_size=9000, norm_order="sandwich"))),
    "encoder": compiled(random_model(model_config(**BERT)), chunk_rows=20),
}

DECODERS = [name for name, model in MODELS.items() if model.model.head == "lm"]


def check(model: CompiledModel, program: Sequence[Instruction]) -> None:
    """Runs with and without the head; a `CompileError` if either breaks a rule."""
    if model.model.head == "none":
        begins = [encoder_scalars(3 * model.chip.chunk_rows - 1, model.chip.chunk_rows)]
    else:
        rows, logit_rows = model.chip.chunk_rows, model.chip.logit_rows
        begins = [
            chunk_scalars(rows, 3, head=head, logit_rows=logit_rows) for head in (True, False)
        ]
    for scalars in begins:
        check_hazards(
            program,
            model.config,
            scalars=scalars,
            write_base=model.memory.read_only_end,
            write_limit=model.memory.size,
        )


def without(instruction: Instruction, token: int, fields: Sequence[str]) -> Instruction:
    gone = {f: 0 for f in fields if getattr(instruction, f) == token}
    return dataclasses.replace(instruction, **gone)


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("head", [0, 1])
@pytest.mark.parametrize("rows", [1, 2, 0], ids=["decode", "two", "chunk"])
def test_compiled_programs_are_free_of_hazards(name: str, head: int, rows: int) -> None:
    model = MODELS[name]
    rows = min(rows or model.chip.chunk_rows, model.chip.chunk_rows)
    for position in (0, 31, 80 - rows):
        check_hazards(
            model.program,
            model.config,
            scalars={Register.ROWS: rows, Register.POSITION: position, Register.HEAD: head},
            write_base=model.memory.read_only_end,
            write_limit=model.memory.size,
        )


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("token", Token)
def test_the_loss_of_a_token_is_found(name: str, token: Token) -> None:
    """All waits and signals of one token taken away together: no deadlock, but a hazard. (Not so
    for encoders, where the order of loads makes some redundant.)"""
    model = MODELS[name]
    program = [without(i, token, WAITS + SIGNALS) for i in model.program]
    used = {
        Token.KEYS_VALUES_FREE: not model.chip.queries_apart,
        Token.BRANCH_OUT: model.model.norm_order != "pre",
        Token.EMBEDDED: model.model.positions == "learned",
        Token.X_ATTENTION: model.model.norm_order == "pre",
        Token.X_FREE: False,
        Token.X_OUT: False,
        Token.HEADS_FREE: False,
        Token.X_STORED: False,
        Token.X_LOADED: False,
        Token.ROTATIONS: False,
        Token.HIDDEN_FREE: False,
        Token.LOW_RANK: False,  # test_adapters.py
        Token.LOW_RANK_CODES: False,
    }.get(token, True)
    assert (program != list(model.program)) == used, f"{token.name} should be used: {used}"
    if used:
        with pytest.raises(CompileError, match=r"which an earlier instruction of another engine"):
            check(model, program)


def pairs(program: Sequence[Instruction]) -> list[tuple[int, int, int]]:
    """(token, giver, taker) of each wait in program order, loops seen once."""
    found: list[tuple[int, int, int]] = []
    given: dict[int, list[int]] = {}
    for at, i in enumerate(program):
        for token in {getattr(i, f) for f in WAITS} - {0}:
            if given.get(token):
                found.append((token, given[token].pop(0), at))
        for f in SIGNALS:
            if getattr(i, f):
                given.setdefault(getattr(i, f), []).append(at)
    return found


@pytest.mark.parametrize("name", DECODERS)
def test_the_loss_of_any_single_pair_is_found(name: str) -> None:
    """One instruction's signal and the wait that takes it: either a hazard, or tokens that no
    longer match up. Only credits may go (those that the first segments of logits begin with, and
    those that the end takes back), and what an engine tells itself."""
    model = MODELS[name]
    found = pairs(model.program)
    for token, giver, taker in found:
        credit = not model.program[giver].wait_a or isinstance(model.program[taker], isa.Store)
        engines = {type(model.program[at]).engine for at in (giver, taker)}
        if (token == Token.LOGITS_FREE and credit) or len(engines) == 1:
            continue
        program = list(model.program)
        program[giver] = without(program[giver], token, SIGNALS)
        program[taker] = without(program[taker], token, WAITS)
        try:
            check(model, program)
        except CompileError:
            continue
        pytest.fail(f"nobody misses {Token(token).name} from {giver} to {taker}")


def test_with_one_segment_the_free_logits_are_redundant() -> None:
    model = compiled(random_model(model_config(vocab_size=100)))
    check(model, [without(i, Token.LOGITS_FREE, WAITS + SIGNALS) for i in model.program])


@pytest.mark.parametrize("name", MODELS)
def test_each_lost_signal_or_wait_is_found(name: str) -> None:
    model = MODELS[name]
    for at, i in enumerate(model.program):
        for field in WAITS + SIGNALS:
            if getattr(i, field):
                program = list(model.program)
                program[at] = dataclasses.replace(i, **{field: 0})
                with pytest.raises(
                    CompileError, match=r"nobody gives it|leaves the tokens|another"
                ):
                    check(model, program)


DEFAULT = preset("default")


def sentence(*program: Instruction) -> str:
    with pytest.raises(CompileError) as error:
        check_hazards([*program, isa.Halt()], DEFAULT, scalars={}, write_base=0, write_limit=4096)
    return str(error.value)


LOAD = isa.Load(count=1, words=4, destination=8)
ADD = isa.Vector(count=1, words=4, a=8, d=16)
LATE = "which an earlier instruction of another engine may still be using."


def test_sentences() -> None:
    assert sentence(LOAD, ADD) == f"instruction 1 (VECTOR) reads vector memory word 8, {LATE}"
    assert sentence(ADD, LOAD) == f"instruction 1 (LOAD) writes vector memory word 8, {LATE}"
    assert sentence(isa.Load(count=1, words=1, wait_b=5)) == (
        "instruction 0 (LOAD) waits for token 5: nobody gives it."
    )
    assert sentence(isa.Load(count=1, words=1, signal_b=5)) == (
        "the program leaves the tokens [5] behind."
    )
    assert sentence(isa.Load(count=1, words=4, destination=4094)) == (
        "instruction 0 (LOAD) touches vector memory word 4097 of 4096."
    )
    assert sentence(isa.StreamWeights(count=3)) == "the program leaves tiles in the weight stream."
    assert sentence(isa.Matmul(count=1, k_blocks=1, n_tiles=1)) == (
        "instruction 0 (MATMUL) does not find its tiles next in the stream."
    )
    keys = isa.Vector(count=1, words=4, to=isa.VectorDestination.KEYS, group_words=4)
    assert sentence(keys) == "the program leaves quantised groups behind."
    values = isa.StoreKV(count=1, k_blocks=1, slots=1, values=1)
    assert sentence(keys, values) == "instruction 1 (STORE_KV) does not find its 1 groups next."


def test_a_store_meets_a_product_and_a_stream() -> None:
    list_first = isa.Matmul(
        count=1, k_blocks=1, n_tiles=1, to_vector_memory=0, to_top_k=1, top_k_limit=9
    )
    assert sentence(isa.StreamWeights(count=1), list_first, isa.StoreTopK(address=0)) == (
        f"instruction 2 (STORE_TOP_K) reads top-k list 0, {LATE}"
    )
    kv = {"k_blocks": 1, "address": 0}
    keys = isa.Vector(count=1, words=4, to=isa.VectorDestination.KEYS, group_words=4)
    store = isa.StoreKV(count=1, slots=1, **kv)
    stream = isa.StreamKV(count=32, **kv)
    assert re.match(
        r"instruction 2 \(STREAM_KV\) reads memory beat \d+, which an earlier",
        sentence(keys, store, stream),
    )


def test_engines_that_wait_for_each_other_in_turn_are_in_order() -> None:
    """The order goes on through tokens of other engines."""
    load = dataclasses.replace(LOAD, signal_a=1)
    store = isa.Store(count=1, words=4, source=8, wait_a=1, signal_a=2)
    again = isa.Vector(count=1, words=4, a=100, d=8, wait_a=2)
    check_hazards(
        [load, store, again, isa.Halt()], DEFAULT, scalars={}, write_base=0, write_limit=4096
    )


def test_walking_a_program_that_goes_wrong() -> None:
    def walked(*program: Instruction) -> str:
        with pytest.raises(CompileError) as error:
            check_hazards(program, DEFAULT, scalars={}, write_base=0, write_limit=64)
        return str(error.value)

    assert walked(isa.Fence()) == "the program runs past its end without a HALT."
    deep = [isa.Loop(count=1, body_end=20 - i) for i in range(5)]
    assert walked(*deep) == "loops are nested more than 4 deep."
    same = [isa.Loop(count=1, body_end=3), isa.Loop(count=1, body_end=3), isa.Fence()]
    assert walked(*same) == "the loop at 1 does not end inside the loop around it."


def test_a_walk_that_does_not_end_is_given_up() -> None:
    endless = [isa.Loop(count=0xFFFFFF, body_end=2), isa.Fence(), isa.Halt()]
    with pytest.raises(CompileError, match=r"^the program runs more than 99 instructions\.$"):
        list(walk(endless, {}, limit=99))


def test_resident_places() -> None:
    """Kept tiles are not in the stream; replayed ones are, if their places are there."""
    config = preset("resident")
    keep = isa.StreamWeights(count=1280, resident=isa.Resident.KEEP)
    replay = isa.StreamWeights(address=2558, count=1, resident=isa.Resident.REPLAY)
    taken = isa.Matmul(count=1, k_blocks=1, n_tiles=1)

    def check_program(*program: Instruction) -> None:
        check_hazards((*program, isa.Halt()), config, scalars={1: 1}, write_base=0, write_limit=64)

    check_program(keep, replay, taken)
    with pytest.raises(CompileError, match="leaves tiles in the weight stream"):
        check_program(replay)
    with pytest.raises(CompileError, match="does not find its tiles next"):
        check_program(keep, taken)
    for wrong in (
        dataclasses.replace(keep, aux_a_reg=1),
        dataclasses.replace(replay, address=2559),
    ):
        sentence = r"^instruction 0 \(STREAM_WEIGHTS\) touches resident place 2560 of 2560\.$"
        with pytest.raises(CompileError, match=sentence):
            check_program(wrong)
