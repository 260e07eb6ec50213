"""Ansible's view of the machines."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tashi.cli.inventory import inventory


def vm(number: int, name: str, state: str = "running", **more: Any) -> dict[str, Any]:
    usual = {"host": "h1", "owner": "ann", "image": "debian.12", "cores": 2, "hints": {}}
    return {"id": f"v-{number}", "name": name, "state": state} | usual | more


MACHINES = [
    vm(1, "web", hints={"ansible_host": "10.0.0.5", "rack": "3"}),
    vm(2, "db", "shutting-down", host=None),
    vm(3, "twin"),
    vm(4, "twin", owner="uid:7"),
]


def test_groups_and_variables() -> None:
    made = inventory(MACHINES)
    assert made["state_running"] == {"hosts": ["web", "v-3", "v-4"]}
    assert made["state_shutting_down"] == {"hosts": ["db"]}
    assert made["host_h1"] == {"hosts": ["web", "v-3", "v-4"]}
    assert made["owner_uid_7"] == {"hosts": ["v-4"]}
    assert made["image_debian_12"] == {"hosts": ["web", "db", "v-3", "v-4"]}
    assert made["vms"] == {"hosts": ["web", "db", "v-3", "v-4"]} and "machines" not in made
    assert set(made["all"]["children"]) == made.keys() - {"all", "_meta"} | {"ungrouped"}
    web = made["_meta"]["hostvars"]["web"]
    assert web["ansible_host"] == "10.0.0.5" and "rack" not in web
    assert (web["tashi_id"], web["tashi_cores"]) == ("v-1", 2)
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", each) for each in made)


def machine(number: int, name: str, **more: Any) -> dict[str, Any]:
    usual = {"state": "free", "power": "on", "domain": None, "reserved_by": None, "rack": "r1", "flags": ["gpu"]}
    return {"id": f"m-{number}", "name": name} | usual | more


def test_physical_machines_are_in_it() -> None:
    metal = [machine(1, "m1"), machine(2, "web", state="allocated", domain="red", reserved_by="ann", power="off")]
    made = inventory(MACHINES, metal)
    assert (made["vms"]["hosts"], made["machines"]["hosts"]) == (["v-1", "db", "v-3", "v-4"], ["m1", "m-2"])
    assert made["domain_red"] == {"hosts": ["m-2"]} and made["power_on"] == {"hosts": ["m1"]}
    assert made["reserved_by_ann"] == {"hosts": ["m-2"]} and made["rack_r1"] == {"hosts": ["m1", "m-2"]}
    assert made["flag_gpu"] == {"hosts": ["m1", "m-2"]}
    assert made["_meta"]["hostvars"]["m1"]["tashi_state"] == "free"


def test_nothing_is_an_inventory_too() -> None:
    assert inventory([]) == {"_meta": {"hostvars": {}}, "all": {"children": ["ungrouped"]}}


def test_ansible_takes_it(tmp_path: Path) -> None:
    if shutil.which("ansible-inventory") is None:
        pytest.skip("there is no ansible on this machine")
    script = tmp_path / "machines"
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(inventory(MACHINES))}\nEND\n")
    script.chmod(0o755)
    words = ["ansible-inventory", "-i", str(script), "--list"]
    said = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout
    taken = json.loads(said)
    assert taken["state_running"]["hosts"] == ["web", "v-3", "v-4"]
    assert taken["_meta"]["hostvars"]["web"]["ansible_host"] == "10.0.0.5"
