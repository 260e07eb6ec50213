"""Programs that power drivers speak to in the tests: started once for a file of tests, set to rights for each test."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tashi.lab import control
from tests.house.tree import HERE

ADDRESS = "127.0.0.1"
UUID = "12345678-9abc-def0-1234-56789abcdef0"
SERIAL = "SN-0815"


class Program:
    """A process of ours that ends with the tests, whatever ends them."""

    def __init__(self, command: list[str], **more: Any) -> None:
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=HERE,
            text=True,
            **more,
        )

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=20)


class Peer(Program):
    """One of the laboratory's own peers."""

    def __init__(self, name: str, folder: Path, plan: dict[str, Any]) -> None:
        self.socket = str(folder / f"{name}.sock")
        file = folder / f"{name}.json"
        file.write_text(json.dumps({"control": self.socket, "address": ADDRESS, "port": 0} | plan))
        super().__init__([sys.executable, "-m", f"tashi.lab.peers.{name}", str(file)])
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready"), line + self.process.stdout.read()
        self.port = int(line.removeprefix("ready").strip() or 0)

    def ask(self, **request: Any) -> dict[str, Any]:
        return control.ask(self.socket, request)


class IpmiSim(Program):
    """OpenIPMI's simulator, its machine's power a file, its serial line a connection to a ``line`` of ours."""

    def __init__(self, folder: Path, line: int = 0) -> None:
        self.folder, self.port = folder, free_port()
        script = folder / "chassis"
        script.write_text(CHASSIS.replace("@DIR@", str(folder)))
        script.chmod(0o755)
        sol = f'  sol "tcp:{ADDRESS}:{line}" 115200\n' if line else ""
        (folder / "lan.conf").write_text(LAN.replace("@DIR@", str(folder)).replace("@PORT@", str(self.port)) + sol)
        (folder / "emu").write_text(EMULATED)
        (folder / "state").mkdir()
        program = shutil.which("ipmi_sim")
        assert program
        super().__init__([program, "-c", "lan.conf", "-f", "emu", "-s", "state", "-n"], cwd=folder)

    def power(self) -> str:
        file = self.folder / "power"
        return "on" if file.exists() and file.read_text().strip() == "1" else "off"

    def set_power(self, power: str) -> None:
        (self.folder / "power").write_text("1\n" if power == "on" else "0\n")

    def asked(self, what: str) -> int:
        """How often it was asked this, like ``set reset``."""
        log = self.folder / "log"
        return sum(f" {what}" in line for line in log.read_text().splitlines()) if log.exists() else 0


class Emulator(Program):
    """sushy-emulator with machines that are nothing; its power changes within 11 seconds."""

    def __init__(self, program: str, folder: Path, certificate: Path, key: Path) -> None:
        self.port = free_port()
        code = "import bcrypt; print(bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode())"
        python = str(Path(program).with_name("python"))
        hashed = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True, timeout=60).stdout
        (folder / "htpasswd").write_text(f"admin:{hashed}")
        settings = {
            "SUSHY_EMULATOR_FAKE_DRIVER": True,
            "SUSHY_EMULATOR_LISTEN_IP": ADDRESS,
            "SUSHY_EMULATOR_LISTEN_PORT": self.port,
            "SUSHY_EMULATOR_SSL_CERT": str(certificate),
            "SUSHY_EMULATOR_SSL_KEY": str(key),
            "SUSHY_EMULATOR_AUTH_FILE": str(folder / "htpasswd"),
            "SUSHY_EMULATOR_STATE_DIR": str(folder),
            "SUSHY_EMULATOR_FAKE_SYSTEMS": [
                {"uuid": UUID, "name": "m1", "power_state": "Off", "external_notifier": False, "nics": []}
            ],
        }
        file = folder / "emulator.conf"
        file.write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
        super().__init__([program, "--config", str(file)])
        wait_for_port(self.port)


def free_port() -> int:
    """A port that was free just now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind((ADDRESS, 0))
        port: int = door.getsockname()[1]
        return port


def wait_for_port(port: int, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((ADDRESS, port), 1.0).close()
            return
        except OSError:
            assert time.monotonic() < end, f"nobody listens on port {port}"
            time.sleep(0.05)


def make_certificate(folder: Path) -> tuple[Path, Path, Path]:
    """A certificate of 127.0.0.1 that signed itself, its key, and both in one file."""
    certificate, key, both = folder / "bmc.pem", folder / "bmc.key", folder / "both.pem"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=bmc"]
    names = ["-addext", f"subjectAltName=IP:{ADDRESS}", "-out", str(certificate), "-keyout", str(key)]
    subprocess.run(["openssl", *words, *names], check=True, capture_output=True, timeout=60)
    both.write_text(certificate.read_text() + key.read_text())
    return certificate, key, both


def fingerprint(certificate: Path) -> str:
    """SHA-256 of it, as a path's ``trust`` wants it; openssl's word, not ours."""
    words = ["openssl", "x509", "-in", str(certificate), "-noout", "-fingerprint", "-sha256"]
    said = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout
    return "sha256:" + said.strip().partition("=")[2].replace(":", "")


def ipmitool(port: int, user: str, password: str, *words: str) -> str:
    """What ipmitool is told. Cipher suite 3, which all BMCs of the tests have."""
    command = ["ipmitool", "-I", "lanplus", "-C", "3", "-H", ADDRESS, "-p", str(port), "-U", user, "-E", *words]
    environment = os.environ | {"IPMI_PASSWORD": password}
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def snmpget(port: int, words: list[str], oid: str) -> str:
    """What net-snmp's snmpget is told."""
    command = ["snmpget", "-Oqv", *words, f"{ADDRESS}:{port}", oid]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=os.environ | {"MIBS": ""})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


CHASSIS = """#!/bin/sh
# told "ADDRESS get NAME..." or "ADDRESS set NAME VALUE...": a file for each name
echo "$@" >>@DIR@/log
verb=$2
shift 2
while [ $# -gt 0 ]; do
  if [ "$verb" = get ]; then
    echo "$1:$(cat @DIR@/"$1" 2>/dev/null || echo 0)"
    shift
  else
    case $1 in
      shutdown) echo 0 >@DIR@/power ;;
      power | boot) echo "$2" >@DIR@/"$1" ;;
    esac
    shift 2
  fi
done
"""

LAN = """name "lab"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 @PORT@
    priv_limit admin
    allowed_auths_callback md5
    allowed_auths_user md5
    allowed_auths_operator md5
    allowed_auths_admin md5
    guid 78563412bc9af0de123456789abcdef0
  endlan
  chassis_control "@DIR@/chassis 0x20"
  user 2 true "admin" "secret" admin 10 md5
"""

EMULATED = """mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02
sel_enable 0x20 1000 0x0a
mc_enable 0x20
"""
