"""What made-up inputs are made of, for each target: nobody comes upon `"memory_bytes":` by chance."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import msgspec.inspect

from tashi.cli.machine_rows import COLUMNS
from tashi.config import Config
from tashi.core.verbs import VERBS
from tashi.model.machine_words import PATHS
from tashi.wire import agents, messages, zoni
from tashi.wire.stream import FromClient
from tashid.driver.domain_xml import NAMESPACE
from zoni.power.calls import CALLS
from zoni.power.paths import AnyPath
from zoni.switch.paths import AnyPath as AnySwitch


def spoken(*types: Any) -> list[str]:
    """Every key and every choice of these types, as JSON has them."""
    found: dict[str, None] = {}
    pending: list[Any] = list(msgspec.inspect.multi_type_info(types))
    seen: set[type] = set()
    while pending:
        match pending.pop():
            case msgspec.inspect.StructType(cls=cls, fields=fields, tag_field=tag_field, tag=tag) if cls not in seen:
                seen.add(cls)
                found |= dict.fromkeys(f'"{each.encode_name}":' for each in fields)
                found |= {f'"{tag_field}":"{tag}"': None} if tag_field else {}
                pending += [each.type for each in fields]
            case msgspec.inspect.LiteralType(values=choices):
                found |= dict.fromkeys(f'"{each}"' for each in choices)
            case msgspec.inspect.UnionType(types=several):
                pending += several
            case msgspec.inspect.ListType(item_type=item) | msgspec.inspect.VarTupleType(item_type=item):
                pending.append(item)
            case msgspec.inspect.DictType(value_type=value):
                pending.append(value)
    return list(found)


def several(text: str) -> tuple[str, ...]:
    return tuple(text.split())


JSON = (*several('{ } [ ] , : null true -1 1 9007199254740993 1e308 "\\ud800" ""'), "\n", "[" * 40)
OURS = several('"web" "far" "h1" "h2" "tiny" "anna" "v-1" "v-2" "h-1" "i-1" "j-1" "vm"')
BODIES = [verb.body for verb in VERBS.values()]

VALUES = several("0 1 9 . - G GiB kb m s h d 2026-11 2026-11-31 _ .. v- \xe9")
OPERANDS = (*JSON, *OURS, *several('"id": "name": "error": - = =~ != <'), "\0")
RACK = (
    *JSON, *OURS, *(f'"{column}":' for column in COLUMNS), *COLUMNS, *PATHS, *(form for form, _, _ in PATHS.values()),
    *several(", ; \t \" =: /r7/1 ,port= ,user= ,uri= ,plain 52:54:00:00:00:01 nvme: \xef\xbb\xbf \r\n"),
)  # fmt: skip
REPLY = (*JSON, *spoken(messages.Reply))
SETTINGS = (
    *JSON,
    *several('[client] [controller] [agent] [pool] [network] [network.a] [[agent]] = " """ "1G" [] inf nan'),
    *(f"{key} = " for section in Config()[:4] for key in section._fields),
)
IMAGE = (
    "QFI\xfb", "\0\0\0\2", "\0\0\0\3", "\0\0\0\0", "\0\0\0\x10", "\0\0\0\x68", "\0" * 8, "\xff" * 8, "DATA",
    "\7", "\x28",
)  # fmt: skip
DOMAIN = (
    *several(
        '<domain> </domain> <metadata> </metadata> <vm </vm> id="v-1" generation="1" > /> <guest> </guest> &lt; ]]>'
    ),
    f'xmlns="{NAMESPACE}"',
)
REQUEST = (*JSON, *OURS, *(f'"{verb}"' for verb in VERBS), *spoken(messages.Request, *BODIES))
REPORT = (*JSON, *OURS, *spoken(*get_args(agents.AgentMessage)))
ORDER = (*JSON, *OURS, *spoken(*get_args(agents.ControllerMessage)))
STREAM = (*JSON, *spoken(*get_args(FromClient)), "x" * 4096, "262144")
METAL = several('"m-1" "m-2" "j-5" "z-1" "10.0.0.1" "s1" "1" "p1" "red" 100 4095 "" "on" "off" "admin"')
METAL_REPORT = (*JSON, *METAL, *spoken(*get_args(zoni.MetalMessage)))
METAL_ORDER = (
    *JSON, *METAL, *spoken(*get_args(zoni.MetalOrder), AnyPath, AnySwitch), *(f'"{verb}"' for verb in CALLS),
)  # fmt: skip
