"""Makes the guests' files from their sources and from Debian packages; nothing is installed.

The result is kept in ~/.cache/tashi/guests under a digest of everything that it was made from, and made aside and
renamed: what is there is whole. A build takes about 6 s, most of it the compression's and the download's.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import tempfile
from pathlib import Path

from tashi.lab.call import call
from tashi.wire.errors import Unavailable

HERE = Path(__file__).parent
SOURCES = ("tiny.S", "metal.S", "beat.c", "init", "modules.txt", "build.py")
KERNEL = "linux-image-cloud-amd64"
# A BIOS boots from nothing smaller than a few sectors; the Linux guest's disk is empty.
TINY_BYTES, LINUX_BYTES = 2**20, 16 * 2**20

# The files of a build; all but the machines' boot disk lie in the pool's images/.
TINY, LINUX, VMLINUZ, INITRD = IMAGES = ("tiny.raw", "linux.raw", "linux.vmlinuz", "linux.initrd")
METAL = "metal.raw"


def built(cache: Path | None = None) -> Path:
    """The folder with these files, built if it is not there. Raises Unavailable with the failing tool's words."""
    cache = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tashi" / "guests"
    folder = cache / _digest()
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="making-") as aside:
        work, out = Path(aside) / "work", Path(aside) / "out"
        work.mkdir()
        out.mkdir()
        _boot_sector("tiny.S", work, out / TINY)
        _boot_sector("metal.S", work, out / METAL)
        _linux(work, out)
        try:
            out.rename(folder)
        except OSError:
            if not folder.is_dir():  # somebody else's build was quicker: as good as ours
                raise
    return folder


def placeholders(folder: Path) -> None:
    """Files of the same names for fake hosts, which run nothing."""
    for name, size in ((TINY, TINY_BYTES), (LINUX, LINUX_BYTES), (VMLINUZ, 512), (INITRD, 512)):
        _sparse(folder / name, size)


def _digest() -> str:
    made_of = hashlib.sha256()
    for name in SOURCES:
        made_of.update(name.encode() + b"\0" + (HERE / name).read_bytes() + b"\0")
    return made_of.hexdigest()[:16]


def _sparse(file: Path, size: int) -> None:
    with file.open("ab") as stream:
        stream.truncate(size)


def _boot_sector(source: str, work: Path, disk: Path) -> None:
    """A disk that boots this sector and holds nothing else."""
    assembled, linked = work / "sector.o", work / "sector.bin"
    call(["as", "--32", "-o", str(assembled), str(HERE / source)])
    call(["ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o", str(linked), str(assembled)])
    sector = linked.read_bytes()
    if len(sector) != 512 or sector[-2:] != b"\x55\xaa":
        raise Unavailable(f"{source}: made {len(sector)} bytes that are no boot sector")
    disk.write_bytes(sector)
    _sparse(disk, TINY_BYTES)


def _linux(work: Path, out: Path) -> None:
    packages = work / "packages"
    _unpack(work, packages)
    version = next((packages / "lib" / "modules").iterdir()).name
    root = work / "root"
    for folder in ("bin", "dev", "proc", "sys", "modules"):
        (root / folder).mkdir(parents=True)
    shutil.copy(packages / "bin" / "busybox", root / "bin" / "busybox")
    shutil.copy(HERE / "init", root / "init")
    (root / "init").chmod(0o755)
    call(["gcc", "-O2", "-Wall", "-static", "-o", str(root / "bin" / "beat"), str(HERE / "beat.c")])
    _modules(packages, version, root)
    archive = work / "initrd"
    pack = 'cd "$1" && find . | sort | cpio -o -H newc -R 0:0 --quiet --reproducible >"$2"'
    call(["sh", "-c", pack, "sh", str(root), str(archive)])
    # Not compressed: an emulated processor takes longer to unpack it than to read it.
    shutil.move(archive, out / INITRD)
    shutil.copy(packages / "boot" / f"vmlinuz-{version}", out / VMLINUZ)
    _sparse(out / LINUX, LINUX_BYTES)


def _unpack(work: Path, packages: Path) -> None:
    """The newest kernel and a static busybox, from the archive that apt is set up for."""
    depends = call(["apt-cache", "depends", KERNEL]).split()
    kernel = next((word for word in depends if word.startswith("linux-image-") and word != KERNEL), None)
    if kernel is None:
        raise Unavailable(f"{KERNEL}: apt knows no such package", "apt-get update")
    fetch = ["sh", "-c", 'cd "$1" && shift && exec apt-get -qq -o APT::Sandbox::User=root download "$@"', "sh"]
    call([*fetch, str(work), kernel, "busybox-static"], seconds=300)
    for file in work.glob("*.deb"):
        call(["dpkg", "-x", str(file), str(packages)], seconds=60)


def _modules(packages: Path, version: str, root: Path) -> None:
    """The modules that the guest needs with all that those need, in the order to load them."""
    call(["depmod", "-b", str(packages), version])
    order: dict[str, Path] = {}
    for name in (HERE / "modules.txt").read_text().split():
        shown = call(["modprobe", "-d", str(packages), "-S", version, "--show-depends", name])
        for verb, file, *_ in (line.split() for line in shown.splitlines()):
            if verb == "insmod":  # "builtin" needs no loading
                order.setdefault(Path(file).name.split(".")[0], Path(file))
    for name, path in order.items():
        packed = path.read_bytes()
        (root / "modules" / f"{name}.ko").write_bytes(lzma.decompress(packed) if path.suffix == ".xz" else packed)
    (root / "modules.list").write_text("".join(f"{name}\n" for name in order))
