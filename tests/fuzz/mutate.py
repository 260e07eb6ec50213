"""Changes that JSON survives: a value becomes another one, a key another key, a piece goes or comes twice.

What reads JSON here is compiled, and tells a fuzzer nothing of how far an input came; blind changes of bytes would
hardly ever get past it.
"""

from __future__ import annotations

import json
import random
from typing import Any

ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, 2**53, 2**53 + 1, 2**63, -(2**63), 1.5, 1e308, "", "-", "=", "v-1", "v-0",
    "h-1", "j-99999999999999999999", "\ud800", "\0", "\x1b[31m", "é", "x" * 64, "x" * 300, [], {}, [[]], {"a": {}},
    "state=running", "name=~(a+)+$", "cores>x", "host!=", "nothing=1", "name,state", "2:3,4",
]  # fmt: skip


def mutate(data: bytes, words: tuple[str, ...], seed: int) -> bytes:
    """One line of ``data`` changed in one to three places; a line that is no JSON is replaced by a word or two."""
    chance = random.Random(seed)
    lines = data.split(b"\n")
    at = chance.randrange(len(lines))
    try:
        value = json.loads(lines[at])
    except (ValueError, RecursionError):
        lines[at] = "".join(chance.choices(words, k=chance.randint(1, 3))).encode("latin-1", "replace")
        return b"\n".join(lines)
    for _ in range(chance.randint(1, 3)):
        value = _changed(value, words, chance)
    lines[at] = json.dumps(value, ensure_ascii=chance.random() < 0.5).encode(errors="replace")
    if chance.random() < 0.2:
        lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))
    return b"\n".join(lines)


def _changed(value: Any, words: tuple[str, ...], chance: random.Random) -> Any:
    """The value with one change somewhere in it."""
    if not value or not isinstance(value, dict | list) or chance.random() < 0.1:
        word = chance.choice(words).strip('":')
        return chance.choice([word, [word, word], chance.choice(ODD)])
    if isinstance(value, list):
        at = chance.randrange(len(value))
        match chance.randrange(4):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return value[: at + 1] + value[at:]
        return value[:at] + [_changed(value[at], words, chance)] + value[at + 1 :]
    key = chance.choice(list(value))
    match chance.randrange(6):
        case 0:
            return {each: value[each] for each in value if each != key}
        case 1:
            return value | {chance.choice(words).strip('":'): value[key]}
    return value | {key: _changed(value[key], words, chance)}
