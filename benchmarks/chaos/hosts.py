"""Several hosts on one machine: network namespaces joined by a switch. Certificates and clocks for them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.chaos.processes import ChaosError

__all__ = ["Hosts", "certificate", "faked_clock", "joined_hosts", "set_clock"]

NETWORK = "192.0.2"  # reserved for documentation (RFC 5737)


class Hosts:
    """So many hosts, each with a cable to one switch. Named by their number, from 0."""

    def __init__(self, count: int) -> None:
        name = f"chaos{os.getpid()}-"
        self.names = [f"{name}{number}" for number in range(count)]
        self.switch = f"{name}s"
        self.addresses = [f"{NETWORK}.{number + 1}" for number in range(count)]

    def prefix(self, host: int) -> tuple[str, ...]:
        """What runs a command there."""
        return ("ip", "netns", "exec", self.names[host])

    def set_cable(self, state: str, host: int = 1) -> None:
        """Unplug a host's cable ("down"), or plug it in again ("up")."""
        _ip("-n", self.names[host], "link", "set", "cable", state)


@contextmanager
def joined_hosts(count: int) -> Iterator[Hosts]:
    """Set so many hosts up, and take them away in the end.

    Raises:
        ChaosError: this machine or user cannot.
    """
    if not shutil.which("ip"):
        raise ChaosError("needs the command ip (Debian: iproute2)")
    made = Hosts(count)
    try:
        for name in (made.switch, *made.names):
            _ip("netns", "add", name)
        _ip("-n", made.switch, "link", "add", "name", "switch", "up", "type", "bridge")
        for number, (name, address) in enumerate(zip(made.names, made.addresses, strict=True)):
            socket = f"port{number}"
            peer = ("peer", "name", "cable", "netns", name)
            _ip("-n", made.switch, "link", "add", socket, "type", "veth", *peer)
            _ip("-n", made.switch, "link", "set", socket, "master", "switch", "up")
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                _ip("-n", name, "link", "set", device, "up")
        yield made
    finally:
        for name in (made.switch, *made.names):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def certificate(folder: Path, *addresses: str) -> Path:
    """Make a certificate for these addresses, signed by an authority of its own; return the folder."""
    folder.mkdir()
    key = ("-newkey", "rsa:2048", "-nodes", "-days", "2")
    authority = ("-addext", "basicConstraints=critical,CA:TRUE", "-keyout", "ca.key", "-out", "ca.crt")
    _openssl(folder, "req", "-x509", *key, "-subj", "/CN=chaos", *authority)
    _openssl(folder, "req", *key, "-subj", "/CN=broker", "-keyout", "server.key", "-out", "server.csr")
    names = ",".join(f"IP:{address}" for address in addresses)
    (folder / "extensions").write_text(f"subjectAltName={names}\n")
    signed_by = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
    _openssl(
        folder,
        "x509",
        "-req",
        "-in",
        "server.csr",
        *signed_by,
        "-extfile",
        "extensions",
        "-out",
        "server.crt",
    )
    return folder


def faked_clock(file: Path) -> dict[str, str]:
    """Variables that show a process the time that `set_clock` says. The monotonic clock is as it is.

    Raises:
        ChaosError: libfaketime is not installed.
    """
    return {
        "LD_PRELOAD": _faketime_library(),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def set_clock(file: Path, step_seconds: int) -> None:
    """Shift the time of the processes that run with `faked_clock` of this file."""
    new = file.with_suffix(".new")
    new.write_text(f"{step_seconds:+d}\n")
    new.replace(file)


def _faketime_library() -> str:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise ChaosError("needs libfaketime (Debian: libfaketime)")
    return str(found[0])


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChaosError(f"needs network namespaces (root): ip {' '.join(arguments)}: {done.stderr.strip()}")


def _openssl(folder: Path, *arguments: str) -> None:
    try:
        subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=True)
    except FileNotFoundError:
        raise ChaosError("needs openssl") from None
