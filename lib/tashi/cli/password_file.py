"""Passwords that a command is given: the one line of a file, or of standard input. Never an argument."""

from __future__ import annotations

import click

from tashi.cli.standard_input import read_standard_input

MOST = 128  # characters


def password_file(path: str) -> str:
    """A click type: the password in a file, or in standard input for ``-``.

    Raises click.BadParameter, which shows nothing of it.
    """
    context = click.get_current_context(silent=True)
    if context is not None and context.resilient_parsing:
        return ""  # a shell that completes the line: nothing is read yet
    try:
        if path == "-":
            data = read_standard_input(4096)
        else:
            with open(path, "rb") as file:
                data = file.read(4096)
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}") from error
    except click.UsageError as error:
        raise click.BadParameter(error.message) from None  # of which option
    except UnicodeDecodeError:
        raise click.BadParameter(f"{path}: not text in UTF-8") from None
    if why := why_no_password(text):
        raise click.BadParameter(f"{path}: {why}")
    return text


def why_no_password(text: str) -> str:
    """What is wrong with a password; empty when nothing is."""
    if not text:
        return "no password in it"
    if not text.isprintable():
        return "more than one line, or a control character in it"
    return f"a password of more than {MOST} characters" if len(text) > MOST else ""
