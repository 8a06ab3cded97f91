# SPDX-License-Identifier: Apache-2.0
"""`weft verilog`, `weft asm` and `weft disasm`."""

from pathlib import Path
from typing import Annotated

import typer

from weft.cli.console import errors, write_file
from weft.cli.options import PresetName
from weft.devices import find_preset
from weft.errors import FileError, WeftError
from weft.tools import find_tool
from weft_arch.assembler import assemble, disassemble
from weft_arch.encoding import EncodingError, read_image, write_image

__all__ = ["asm", "disasm", "verilog"]

Output = Annotated[Path | None, typer.Option("-o", "--output", help="File; default: stdout.")]


def verilog(preset: PresetName = "default", output: Output = None) -> None:
    """Write the accelerator's Verilog: module `weft_top`."""
    config = find_preset(preset)
    text: str = find_tool("verilog", "no installed package generates Verilog.")(config)
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_file(output, text.encode())
        errors.print(
            f"{output}: {text.count(chr(10)):,} lines, preset {config.name}", soft_wrap=True
        )


def asm(
    source: Annotated[Path, typer.Argument(help="Assembly text.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Program image to write.")],
    preset: PresetName = "default",
) -> None:
    """Assemble a program image."""
    config = find_preset(preset)
    try:
        image = write_image(config, assemble(_read(source).decode("utf-8", "replace")))
    except EncodingError as error:
        raise WeftError(f"{source}: {error}.") from None
    write_file(output, image)


def disasm(
    image: Annotated[Path, typer.Argument(help="Program image.")],
    preset: PresetName = "default",
    output: Output = None,
) -> None:
    """Print the assembly text of a program image."""
    config = find_preset(preset)
    try:
        text = disassemble(read_image(config, _read(image)))
    except EncodingError as error:
        raise WeftError(f"{image}: {error}.") from None
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_file(output, text.encode())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from error
