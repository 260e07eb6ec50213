"""tashi-inventory: the machines that the caller may see, virtual and physical, as Ansible's dynamic inventory.

https://docs.ansible.com/ansible/latest/dev_guide/developing_inventory.html
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tashi.cli.call import Call
from tashi.cli.listing import PAGE, pages
from tashi.cli.output import Failure
from tashi.wire.errors import Code

# A group for each value of these fields, of VMs and of physical machines; and one for each flag of those.
OF_VMS = ("state", "host", "owner", "image")
OF_MACHINES = ("state", "power", "domain", "reserved_by", "rack")
OWN = "ansible_"  # hints that begin so are variables as they are

Record = dict[str, Any]


def print_inventory(call: Call, host: str | None) -> None:
    """All machines with their groups and variables, or the variables of one."""
    whole = inventory(_records(call, "vm"), _records(call, "machine"))
    if host is None:
        call.output.text(json.dumps(whole, indent=1) + "\n")
    elif host in whole["_meta"]["hostvars"]:
        call.output.text(json.dumps(whole["_meta"]["hostvars"][host], indent=1) + "\n")
    else:
        call.fail(host, Failure(Code.NOT_FOUND, f"{host}: no such machine"))


def _records(call: Call, noun: str) -> list[Record]:
    rows = b"".join(page.rows for page in pages(call.client, {"noun": noun, "format": "json"}, None, PAGE))
    return [json.loads(line) for line in rows.splitlines()]


def inventory(vms: Sequence[Record], machines: Sequence[Record] = ()) -> Record:
    """The document for these records. A machine goes by its name, or by its id where two have the same."""
    count = Counter(record["name"] for record in (*vms, *machines))
    groups: dict[str, dict[str, list[str]]] = {}
    variables: dict[str, Record] = {}
    for kind, records, fields in (("vms", vms, OF_VMS), ("machines", machines, OF_MACHINES)):
        for record in records:
            name = record["name"] if count[record["name"]] == 1 else record["id"]
            words = [group_name(field, record[field]) for field in fields if record[field]]
            words += [group_name("flag", flag) for flag in record.get("flags") or ()]
            for group in (kind, *words):
                groups.setdefault(group, {"hosts": []})["hosts"].append(name)
            hints = record.get("hints") or {}
            variables[name] = {f"tashi_{key}": value for key, value in record.items()} | {
                key: value for key, value in hints.items() if key.startswith(OWN)
            }
    children = {"children": ["ungrouped", *sorted(groups)]}
    return {"_meta": {"hostvars": variables}, "all": children} | {name: groups[name] for name in sorted(groups)}


def group_name(field: str, value: str) -> str:
    """A group's name, of letters, digits and underscores alone: ``state_shutting_down``."""
    return re.sub(r"[^A-Za-z0-9_]", "_", f"{field}_{value}")
