"""What a lab host's libvirtd is told: no systemd, no security driver; TLS between the hosts, as anywhere else.

Hosts of a lab that has no controller have nobody who certifies them, so theirs is plain TCP. That has no
authentication: whoever reaches the port is root on the host. The lab's network leads nowhere.
"""

from __future__ import annotations

from pathlib import Path

TCP_PORT, TLS_PORT = 16509, 16514

# Where libvirtd keeps things: the host's own folder -> what is mounted over it.
FOLDERS = {
    "etc-libvirt": "/etc/libvirt",
    "lib-libvirt": "/var/lib/libvirt",
    "log-libvirt": "/var/log/libvirt",
    "cache-libvirt": "/var/cache/libvirt",
    "pki": "/etc/pki",
}

_LIBVIRTD = {
    "listen_addr": "0.0.0.0",
    "auth_tcp": "none",
    "auth_unix_rw": "none",
    "unix_sock_group": "root",
    "max_clients": 200,
    "max_workers": 20,
    "keepalive_interval": 2,  # a dead peer is noticed after 2 s x 3
    "keepalive_count": 3,
    "log_outputs": "2:file:/var/log/libvirt/libvirtd.log",
}
_QEMU = {
    "user": "root",
    "group": "root",
    "dynamic_ownership": 0,
    "remember_owner": 0,
    "security_driver": "none",
    "namespaces": [],
    "stdio_handler": "file",  # no virtlogd here
    "cgroup_controllers": ["cpu", "cpuacct", "cpuset", "memory", "devices", "blkio"],
    "cgroup_device_acl": [
        "/dev/null",
        "/dev/full",
        "/dev/zero",
        "/dev/random",
        "/dev/urandom",
        "/dev/ptmx",
        "/dev/kvm",
        "/dev/userfaultfd",
        "/dev/net/tun",
    ],
    "migration_address": "0.0.0.0",
    "keepalive_interval": 2,
    "keepalive_count": 3,
}


def argv() -> list[str]:
    return ["/usr/sbin/libvirtd", "--listen", "--pid-file", "/run/libvirtd.pid"]


def configure(host: Path, uuid: str, address: str, certified: bool) -> list[tuple[str, str]]:
    """Write the files of a host; return what is to be bound over what. ``uuid``: libvirt refuses twins to migrate.

    ``certified``: its certificate comes from a controller.
    """
    for name in FOLDERS:
        (host / name).mkdir(parents=True, exist_ok=True)
    etc = host / "etc-libvirt"
    (etc / "qemu").mkdir(exist_ok=True)
    doors = {"listen_tls": int(certified), "listen_tcp": int(not certified)}
    (etc / "libvirtd.conf").write_text(_lines(_LIBVIRTD | doors | {"host_uuid": uuid}))
    (etc / "qemu.conf").write_text(_lines(_QEMU | {"migration_host": address}))
    return [(str(host / name), target) for name, target in FOLDERS.items()]


def _lines(settings: dict[str, object]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in settings.items())


def _value(value: object) -> str:
    if isinstance(value, list):
        return "[ " + ", ".join(_value(each) for each in value) + " ]"
    return str(value) if isinstance(value, int) else f'"{value}"'
