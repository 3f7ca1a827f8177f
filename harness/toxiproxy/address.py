"""Where a server or a proxy listens, and ports that are good to listen on."""

from __future__ import annotations

import ipaddress
import itertools
import os
import re
import socket
from dataclasses import dataclass
from typing import Self

__all__ = ["Address", "free_port"]

# Below the range from which kernels serve outgoing connections (from 32768 on Linux, 49152
# elsewhere): a proxy that is disabled gives its port back, and must get it again when enabled.
_FIRST_PORT = 20_000
_PORTS = 10_000
_turn = itertools.count()


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port; as text `host:port`, or `[host]:port` for IPv6."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `host:port`. `localhost` is taken as 127.0.0.1, so that equal places are equal.

        Raises:
            ValueError: It has another form, or the port is not between 0 and 65535.
        """
        match = re.fullmatch(r"(?:\[([0-9a-fA-F:.%\w]+)\]|([\w.-]+)):(\d{1,5})", text)
        if match is None or int(match[3]) > 65_535:
            raise ValueError(f"expected HOST:PORT, such as 127.0.0.1:8474, got {text!r}")
        host = match[1] or match[2]
        return cls("127.0.0.1" if host == "localhost" else host, int(match[3]))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        ip = self._ip()
        return ip is not None and ip.is_loopback

    def reached_from(self, server: Address) -> Address:
        """Where a client connects: an address that means "any" is the server's own host."""
        ip = self._ip()
        return Address(server.host, self.port) if ip is None or ip.is_unspecified else self

    def _ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def free_port(host: str = "127.0.0.1") -> int:
    """A port on which nobody listened a moment ago, between 20000 and 29999.

    Each call of a process gives another one, and processes start at different places.

    Raises:
        OSError: All of them are taken.
    """
    for _ in range(_PORTS):
        port = _FIRST_PORT + (os.getpid() * 61 + next(_turn)) % _PORTS
        if _is_free(host, port):
            return port
    raise OSError(f"expected a free port from {_FIRST_PORT} on at {host}, all {_PORTS} are taken")


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
