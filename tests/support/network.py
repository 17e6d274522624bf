"""Machines of a test: network and host-name namespaces on one bridge, whose links can be cut.

Linux and root only. Closing the network removes everything that was made.
"""

import os
import shutil
import subprocess
from types import TracebackType
from typing import Self

from tests.support.crash import Server

PREFIX = "10.77.0."  # addresses inside the namespaces; nothing outside sees them
TOOLS = ("ip", "unshare", "runuser")


def missing() -> str:
    """Return why this system cannot have such a network; empty if it can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    if lacking := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"no {lacking[0]} on this system"
    probe = f"ecg{os.getpid()}-probe"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode:
        return "this system allows no network namespaces"
    ip("netns", "del", probe)
    return ""


class Network:
    """A bridge in a namespace, and machines linked to it."""

    def __init__(self, *names: str) -> None:
        """Make the machines; the first has the address 10.77.0.1, the second 10.77.0.2, ..."""
        self._tag = f"ecg{os.getpid()}"
        self._made: list[str] = []
        self.addresses = {name: f"{PREFIX}{number}" for number, name in enumerate(names, 1)}
        try:
            self._build()
        except subprocess.CalledProcessError:
            self.close()
            raise

    def _build(self) -> None:
        self._switch = self._namespace("switch")
        ip("-n", self._switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", self._switch, "link", "set", "bridge", "up")
        for name, address in self.addresses.items():
            namespace = self._namespace(name)
            ip(
                "-n", self._switch, "link", "add", "name", name, "type", "veth",
                "peer", "name", "eth0", "netns", namespace,
            )  # fmt: skip
            ip("-n", self._switch, "link", "set", "dev", name, "master", "bridge", "up")
            ip("-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
            ip("-n", namespace, "link", "set", "eth0", "up")
            ip("-n", namespace, "link", "set", "lo", "up")

    def command(self, name: str) -> list[str]:
        """Return the words to put before a command, so that it runs on the machine."""
        renamed = ["unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', name]
        return ["ip", "netns", "exec", f"{self._tag}-{name}", *renamed]

    def cut(self, name: str) -> None:
        """Drop every packet from and to the machine; neither side is notified."""
        ip("-n", self._switch, "link", "set", "dev", name, "down")

    def restore(self, name: str) -> None:
        """Restore the link of the machine."""
        ip("-n", self._switch, "link", "set", "dev", name, "up")

    def close(self) -> None:
        """Remove the machines."""
        for namespace in self._made:
            ip("netns", "del", namespace)

    def __enter__(self) -> Self:
        """Return the network."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Remove the machines."""
        self.close()

    def _namespace(self, name: str) -> str:
        namespace = f"{self._tag}-{name}"
        ip("netns", "add", namespace)
        self._made.append(namespace)
        return namespace


def serve_on(server: Server, network: Network, name: str) -> str:
    """Move a PostgreSQL server to a machine of the network.

    Returns:
        The URL under which the other machines find it.
    """
    address = network.addresses[name]
    folder = server.note.parent
    with (folder / "pg_hba.conf").open("a") as rules:
        rules.write(f"host all all {PREFIX}0/24 trust\n")
    user = ["runuser", "-u", server.server.system_user, "--"]
    program = [*user, str(server.server.bin_path / "pg_ctl"), "-w", "-D", str(folder)]
    # Its files must not be those of the tests: the server outlives this command.
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "timeout": 60}
    subprocess.run([*program, "-m", "fast", "stop"], check=True, **quiet)  # type: ignore[call-overload]
    options = f"-h {address} -p 5432 -k {server.socket}"
    start = [*program, "-o", options, "-l", str(folder / "log"), "start"]
    subprocess.run([*network.command(name), *start], check=True, **quiet)  # type: ignore[call-overload]
    server.pid = int(server.note.read_text().split()[0])
    return f"postgresql+psycopg://postgres@{address}:5432/postgres"


def ip(*words: str) -> None:
    """Run the command `ip`."""
    subprocess.run(["ip", *words], check=True, capture_output=True)
