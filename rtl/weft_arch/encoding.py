# SPDX-License-Identifier: Apache-2.0
"""Instructions to and from their 32 bytes, and program images to and from files.

A program image is a header, the fields of `IMAGE_HEADER` one after the other in little endian,
followed by the instructions.
"""

import struct
import zlib
from collections.abc import Sequence

from weft_arch import isa
from weft_arch.config import Configuration
from weft_arch.isa import COMMON_FIELDS, INSTRUCTION_BYTES, INSTRUCTIONS, FieldSpec, Instruction

__all__ = [
    "IMAGE_HEADER",
    "IMAGE_MAGIC",
    "IMAGE_VERSION",
    "EncodingError",
    "decode",
    "encode",
    "encode_program",
    "read_image",
    "write_image",
]

IMAGE_MAGIC = b"WEFT"
IMAGE_VERSION = 1
IMAGE_HEADER = (
    ("magic", "4s", 'the letters "WEFT"'),
    ("version", "H", f"format version, {IMAGE_VERSION}"),
    ("header_bytes", "H", "size of this header, 32"),
    ("fingerprint", "Q", "fingerprint of the configuration that the program is for"),
    ("count", "I", "number of instructions"),
    ("checksum", "I", "CRC-32 of the instruction bytes"),
    ("reserved", "8x", "zero"),
)
"""Name, `struct` format and meaning of each field of an image's header."""
_HEADER = struct.Struct("<" + "".join(code for _, code, _ in IMAGE_HEADER))

_FIELDS: dict[type[Instruction], tuple[FieldSpec, ...]] = {
    c: COMMON_FIELDS + isa.field_specs(c) for c in INSTRUCTIONS.values()
}
_USED: dict[type[Instruction], int] = {
    c: sum(((1 << f.width) - 1) << f.offset for f in fields) for c, fields in _FIELDS.items()
}


class EncodingError(ValueError):
    """An instruction or image that cannot be encoded or decoded; the message says why."""


def encode(instruction: Instruction) -> bytes:
    """The 32 bytes of an instruction; an `EncodingError` names a field that does not fit."""
    word = 0
    for spec in _FIELDS[type(instruction)]:
        value = int(getattr(instruction, spec.name))
        if not 0 <= value <= spec.limit:
            raise EncodingError(
                f"{instruction.opcode.name} field {spec.name} is {value}; "
                f"it must be 0 to {spec.limit}"
            )
        word |= value << spec.offset
    return word.to_bytes(INSTRUCTION_BYTES, "little")


def decode(raw: bytes) -> Instruction:
    """The instruction in 32 bytes; an `EncodingError` for an unknown opcode, an enumeration out of
    range or a reserved bit that is set."""
    if len(raw) != INSTRUCTION_BYTES:
        raise EncodingError(f"an instruction has {INSTRUCTION_BYTES} bytes, not {len(raw)}")
    word = int.from_bytes(raw, "little")
    code = word & 63
    if code not in INSTRUCTIONS:
        raise EncodingError(f"opcode {code:#04x} is not an instruction")
    cls = INSTRUCTIONS[isa.Opcode(code)]
    if word & ~_USED[cls]:
        raise EncodingError(f"{cls.opcode.name} has reserved bits set: {word & ~_USED[cls]:#x}")
    values: dict[str, int] = {}
    for spec in _FIELDS[cls][1:]:
        value = word >> spec.offset & spec.limit
        if spec.kind is not None:
            try:
                value = spec.kind(value)
            except ValueError:
                raise EncodingError(
                    f"{cls.opcode.name} field {spec.name} has the undefined value {value}"
                ) from None
        values[spec.name] = value
    return cls(**values)


def encode_program(program: Sequence[Instruction]) -> bytes:
    """The instructions one after the other."""
    return b"".join(encode(i) for i in program)


def write_image(config: Configuration, program: Sequence[Instruction]) -> bytes:
    """A program image for ``config``."""
    if len(program) > config.instruction_words:
        raise EncodingError(
            f"the program has {len(program)} instructions; "
            f"preset {config.name} holds {config.instruction_words}"
        )
    body = encode_program(program)
    header = _HEADER.pack(
        IMAGE_MAGIC, IMAGE_VERSION, _HEADER.size, config.fingerprint, len(program), zlib.crc32(body)
    )
    return header + body


def read_image(config: Configuration, image: bytes) -> list[Instruction]:
    """The program in an image; an `EncodingError` if it is damaged or for another configuration."""
    if len(image) < _HEADER.size:
        raise EncodingError(
            f"the image has {len(image)} bytes; its header alone has {_HEADER.size}"
        )
    magic, version, header_bytes, fingerprint, count, checksum = _HEADER.unpack_from(image)
    if magic != IMAGE_MAGIC:
        raise EncodingError(f"the image starts with {magic!r} instead of {IMAGE_MAGIC!r}")
    if version != IMAGE_VERSION or header_bytes != _HEADER.size:
        raise EncodingError(
            f"the image has format version {version} and a header of {header_bytes} bytes; "
            f"this is version {IMAGE_VERSION} with {_HEADER.size}"
        )
    if fingerprint != config.fingerprint:
        raise EncodingError(
            f"the image is for configuration {fingerprint:016x}; "
            f"preset {config.name} is {config.fingerprint:016x}"
        )
    body = image[_HEADER.size :]
    if len(body) != count * INSTRUCTION_BYTES:
        raise EncodingError(
            f"the image has {len(body)} bytes of instructions; "
            f"{count} instructions take {count * INSTRUCTION_BYTES}"
        )
    if zlib.crc32(body) != checksum:
        raise EncodingError("the image's instructions do not match its checksum")
    return [decode(body[i : i + INSTRUCTION_BYTES]) for i in range(0, len(body), INSTRUCTION_BYTES)]
