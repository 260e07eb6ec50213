"""Atheris on one target: `python -m tests.fuzz.run TARGET SECONDS [FOLDER]`, from the checkout.

Coverage-guided, from the inputs that are kept; single-threaded and in a process of its own, because libFuzzer ends the
process. FOLDER gets the inputs that reached code which no kept one reaches; an input that fails is printed with its
trace and left there as crash-*. Status 0 is: nothing found.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tashi", "tashid", "zoni", "tomllib"]):
    from tests.fuzz.targets import TARGETS

from tests.fuzz.corpus import LONGEST, kept
from tests.fuzz.mutate import mutate


def main() -> None:
    name, seconds = sys.argv[1], int(sys.argv[2])
    target = TARGETS[name]
    folder = Path(sys.argv[3] if len(sys.argv) > 3 else tempfile.mkdtemp())
    start = folder / "kept"
    start.mkdir(parents=True)
    new = folder / "new"
    new.mkdir()
    for number, each in enumerate(kept(name)):
        (start / str(number)).write_bytes(each)
    words = folder / "words"
    words.write_text("".join(f'"{_escaped(each)}"\n' for each in target.words))
    flags = {
        "max_total_time": seconds, "max_len": LONGEST, "timeout": 10, "rss_limit_mb": 2048, "dict": words,
        "artifact_prefix": f"{folder}/", "verbosity": 0, "print_final_stats": 1,
    }  # fmt: skip

    def changed(data: bytes, longest: int, seed: int) -> bytes:
        """Every second time in a way that JSON survives."""
        other = mutate(data, target.words, seed) if target.json and seed % 2 else atheris.Mutate(data, longest)
        return bytes(other[:longest])

    options = [f"-{flag}={value}" for flag, value in flags.items()]
    atheris.Setup([sys.argv[0], *options, str(new), str(start)], target.run, custom_mutator=changed)
    atheris.Fuzz()


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode("latin-1", "replace"))


main()
