"""tashi-inventory: the virtual machines that the caller may see, as Ansible's dynamic inventory.

https://docs.ansible.com/ansible/latest/dev_guide/developing_inventory.html
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tashi.cli.call import Call
from tashi.cli.listing import PAGE, pages
from tashi.cli.output import Failure
from tashi.wire.errors import Code

GROUPED = ("state", "host", "owner", "image")  # a group for each value of these fields
OWN = "ansible_"  # hints that begin so are variables as they are

Record = dict[str, Any]


def print_inventory(call: Call, host: str | None) -> None:
    """All machines with their groups and variables, or the variables of one."""
    rows = b"".join(page.rows for page in pages(call.client, {"noun": "vm", "format": "json"}, None, PAGE))
    whole = inventory([json.loads(line) for line in rows.splitlines()])
    if host is None:
        call.output.text(json.dumps(whole, indent=1) + "\n")
    elif host in whole["_meta"]["hostvars"]:
        call.output.text(json.dumps(whole["_meta"]["hostvars"][host], indent=1) + "\n")
    else:
        call.fail(host, Failure(Code.NOT_FOUND, f"{host}: no such vm"))


def inventory(machines: Iterable[Record]) -> Record:
    """The document for these records. A machine goes by its name, or by its id where two have the same."""
    machines = list(machines)
    count = Counter(machine["name"] for machine in machines)
    groups: dict[str, dict[str, list[str]]] = {}
    variables: dict[str, Record] = {}
    for machine in machines:
        name = machine["name"] if count[machine["name"]] == 1 else machine["id"]
        for field in GROUPED:
            if machine[field]:
                groups.setdefault(group_name(field, machine[field]), {"hosts": []})["hosts"].append(name)
        hints = machine.get("hints") or {}
        variables[name] = {f"tashi_{key}": value for key, value in machine.items()} | {
            key: value for key, value in hints.items() if key.startswith(OWN)
        }
    children = {"children": ["ungrouped", *sorted(groups)]}
    return {"_meta": {"hostvars": variables}, "all": children} | {name: groups[name] for name in sorted(groups)}


def group_name(field: str, value: str) -> str:
    """A group's name, of letters, digits and underscores alone: ``state_shutting_down``."""
    return re.sub(r"[^A-Za-z0-9_]", "_", f"{field}_{value}")
