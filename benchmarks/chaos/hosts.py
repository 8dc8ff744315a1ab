"""Two hosts on one machine: network namespaces joined by a cable, and a certificate for the first."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.chaos.processes import ChaosError

__all__ = ["Hosts", "certificate", "faketime_library", "two_hosts"]

FIRST_ADDRESS, SECOND_ADDRESS = "192.0.2.1", "192.0.2.2"  # reserved for documentation (RFC 5737)


class Hosts:
    """The first has the broker, one worker and the publisher; the second the other workers."""

    def __init__(self, name: str) -> None:
        self.first, self.second = f"{name}a", f"{name}b"
        self.address = FIRST_ADDRESS

    def prefix(self, host: str) -> tuple[str, ...]:
        """What runs a command there."""
        return ("ip", "netns", "exec", host)

    def set_cable(self, state: str) -> None:
        """Unplug the cable of the second host ("down"), or plug it in again ("up")."""
        _ip("-n", self.second, "link", "set", "cable", state)


@contextmanager
def two_hosts() -> Iterator[Hosts]:
    """Set the hosts up, and take them away in the end.

    Raises:
        ChaosError: this machine or user cannot.
    """
    if not shutil.which("ip"):
        raise ChaosError("needs the command ip (Debian: iproute2)")
    hosts = Hosts(f"chaos{os.getpid()}")
    pair = ((hosts.first, FIRST_ADDRESS), (hosts.second, SECOND_ADDRESS))
    try:
        for host, _ in pair:
            _ip("netns", "add", host)
        peer = ("peer", "name", "cable", "netns", hosts.second)
        _ip("-n", hosts.first, "link", "add", "cable", "type", "veth", *peer)
        for host, address in pair:
            _ip("-n", host, "address", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                _ip("-n", host, "link", "set", device, "up")
        yield hosts
    finally:
        for host, _ in pair:
            subprocess.run(["ip", "netns", "delete", host], capture_output=True, check=False)


def certificate(folder: Path, address: str) -> Path:
    """Make a certificate for an address, signed by an authority of its own; return the folder."""
    folder.mkdir()
    key = ("-newkey", "rsa:2048", "-nodes", "-days", "2")
    authority = ("-addext", "basicConstraints=critical,CA:TRUE", "-keyout", "ca.key", "-out", "ca.crt")
    _openssl(folder, "req", "-x509", *key, "-subj", "/CN=chaos", *authority)
    _openssl(folder, "req", *key, "-subj", f"/CN={address}", "-keyout", "server.key", "-out", "server.csr")
    (folder / "extensions").write_text(f"subjectAltName=IP:{address}\n")
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


def faketime_library() -> str:
    """The library that shows a process another time.

    Raises:
        ChaosError: it is not installed.
    """
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
