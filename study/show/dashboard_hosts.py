"""Which requests the dashboard answers: those that were meant for it.

It has no password. A page of another site, open in the same browser, could point its own name at
this machine (DNS rebinding) and rename or delete studies. So a request must name this machine,
and one that comes from a page must come from a page of ours.
"""

import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def only_for(app: Application, host: str) -> Application:
    """Refuse requests that name another host, or come from a page of another one.

    Args:
        app: the dashboard.
        host: address or name it was asked to listen on.
    """

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        named = environ.get("HTTP_HOST", "")
        origin = environ.get("HTTP_ORIGIN")
        if is_ours(named, host) and (origin is None or is_ours(urlsplit(origin).netloc, host)):
            return app(environ, start_response)
        names = ", ".join(sorted(own_names(host)))
        text = (
            "This dashboard answers only for its own addresses: "
            f"{names}{' and IP addresses' if is_open(host) else ''}. Open one of them, or start it "
            "with --host and the name that you use.\n"
        ).encode()
        start_response(
            "403 Forbidden",
            [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(text)))],
        )
        return [text]

    return guarded


def is_ours(named: str, host: str) -> bool:
    """Whether a host as a browser names it, with or without port, is this machine.

    An IP address cannot be pointed elsewhere, so where the dashboard listens on all of them, all
    are its own.
    """
    try:
        name = (urlsplit(f"//{named}").hostname or "").lower()
        if "@" in named or any(character in named for character in "/\\?#, \t"):
            return False
    except ValueError:
        return False
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name in own_names(host)
    if address.is_loopback or is_open(host):
        return True
    return name in own_names(host)


def own_names(host: str) -> set[str]:
    """Return the names of this machine for which the dashboard answers, in lower case."""
    names = {"localhost", "127.0.0.1", "::1"}
    if is_open(host):
        machine = socket.gethostname().lower()
        return names | {machine, machine.partition(".")[0], f"{machine.partition('.')[0]}.local"}
    return names | {host.lower()}


def is_open(host: str) -> bool:
    """Whether an address to listen on stands for all addresses of this machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return not host
