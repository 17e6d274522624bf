"""Refusal of requests that were not meant for the dashboard.

The dashboard has no password. A page of another site, open in the same browser, could point its
own name at this machine (DNS rebinding) and rename or delete studies. So a request must name this
machine, and a request from a page must come from one of our pages.
"""

import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def only_for(app: Application, host: str) -> Application:
    """Refuse requests that name another host or come from a page of another host.

    Args:
        app: the dashboard.
        host: address or name that it was asked to listen on.
    """

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        named = environ.get("HTTP_HOST", "")
        origin = environ.get("HTTP_ORIGIN")
        if is_ours(named, host) and (origin is None or is_ours(urlsplit(origin).netloc, host)):
            return app(environ, start_response)
        names = ", ".join(sorted(own_names(host)))
        text = (
            "This dashboard answers only at its own addresses: "
            f"{names}{' and IP addresses' if is_open(host) else ''}. Open one of them, or restart "
            "it with --host and the name that you use.\n"
        ).encode()
        start_response(
            "403 Forbidden",
            [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(text)))],
        )
        return [text]

    return guarded


def is_ours(named: str, host: str) -> bool:
    """Return whether a host as a browser names it, with or without port, is this machine.

    Nobody can point an IP address elsewhere, so a dashboard that listens on all addresses accepts
    any of them.
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
    """Return the names of this machine that the dashboard answers to, in lower case."""
    names = {"localhost", "127.0.0.1", "::1"}
    if is_open(host):
        machine = socket.gethostname().lower()
        return names | {machine, machine.partition(".")[0], f"{machine.partition('.')[0]}.local"}
    return names | {host.lower()}


def is_open(host: str) -> bool:
    """Return whether an address to listen on means all addresses of this machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return not host
