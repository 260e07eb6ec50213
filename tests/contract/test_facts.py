"""Facts of this host that are read from its kernel's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tashid.driver import facts
from tashid.driver.facts import cpu_flags, firmware, host_facts
from tashid.driver.settings import DriverSettings

CPUINFO = """processor\t: 0
model name\t: Some Processor @ 2.80GHz
flags\t\t: fpu vme sse4_2 aes avx avx2 hypervisor vmx avx512f
vmx flags\t: vnmi

processor\t: 1
flags\t\t: fpu
"""
CAPABILITIES = "<capabilities><host><cpu><arch>x86_64</arch><model>Skylake-Server</model></cpu></host></capabilities>"


def test_flags_are_those_that_programs_are_built_for(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(CPUINFO)
    assert cpu_flags(str(cpuinfo)) == ("sse4_2", "aes", "avx", "avx2", "avx512f")
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd\n")
    assert cpu_flags(str(cpuinfo)) == (), "another architecture"


DOMAINS = """<domainCapabilities><os supported='yes'><enum name='firmware'>{}</enum><loader supported='yes'>
<enum name='type'><value>rom</value></enum></loader></os></domainCapabilities>"""


def test_guests_may_have_uefi_where_libvirt_finds_one() -> None:
    assert firmware(DOMAINS.format("<value>efi</value>")) == ("bios", "uefi")
    assert firmware(DOMAINS.format("")) == ("bios",)


def test_where_guests_run_in_emulation_their_processor_is_not_the_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "cpu_flags", lambda: ("avx2",))
    stated = DriverSettings(pool=str(tmp_path), state=str(tmp_path), address="h1")
    kvm, tcg = (host_facts(stated, accelerator, {}, CAPABILITIES) for accelerator in ("kvm", "tcg"))
    assert (kvm.cpu_model, kvm.cpu_flags) == ("Skylake-Server", ("avx2",))
    assert (tcg.cpu_model, tcg.cpu_flags) == ("", ())
