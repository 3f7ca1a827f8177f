"""One proxy: the faults on its way, imposed, changed and lifted, each verified by asking back."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from harness.toxiproxy.address import Address
from harness.toxiproxy.errors import ToxiproxyMismatchError, ToxiproxyRefusedError
from harness.toxiproxy.toxics import Disabled, Imposable, Toxic
from harness.toxiproxy.transport import Transport

__all__ = ["Imposed", "InstalledToxic", "Proxy", "ProxyState"]


@dataclass(frozen=True, slots=True)
class InstalledToxic:
    """A toxic as the server has it, in the server's names and units."""

    name: str
    type: str
    stream: str
    toxicity: float
    attributes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ProxyState:
    """A proxy as the server has it."""

    is_enabled: bool
    listen: str
    upstream: str
    toxics: tuple[InstalledToxic, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing stands between client and upstream."""
        return self.is_enabled and not self.toxics


@dataclass(frozen=True, slots=True)
class Imposed:
    """A fault on a proxy: what lifts it again. Stays good when its settings are changed."""

    serial: int
    fault: Imposable = field(compare=False)
    names: tuple[str, ...] = field(compare=False)


class Proxy:
    """One way through the server. Made by `Toxiproxy.create`; safe to use from threads.

    Attributes:
        name: Its name on the server, unique to this run.
        address: Where clients connect.
        upstream: Where their connections lead.
    """

    def __init__(self, raw: Any, server: Address, transport: Transport) -> None:
        self._raw = raw  # Any: the library comes without types
        self._transport = transport
        self._url = f"http://{server}/proxies/{raw.name}"
        self._listen = str(raw.listen)
        self._lock = threading.RLock()
        self._serial = itertools.count(1)
        self._imposed: list[Imposed] = []
        self.name = str(raw.name)
        self.address = Address.parse(self._listen).reached_from(server)
        self.upstream = Address.parse(raw.upstream)

    def impose(self, fault: Imposable) -> Imposed:
        """Put a fault on the way; return what lifts it.

        Raises:
            ToxiproxyError: It is not there as asked; whatever of it was there is gone again.
        """
        with self._lock, ExitStack() as undo:
            serial = next(self._serial)
            names = _names(serial, fault)
            imposed = Imposed(serial, fault, tuple(names))
            # Registered before the call: one that timed out may have been carried out.
            undo.callback(self.lift, imposed)
            self._imposed.append(imposed)
            if isinstance(fault, Disabled):
                self._set_enabled(False)
            else:
                for name, stream in names.items():
                    self._add(name, stream, fault)
            undo.pop_all()
        return imposed

    def change(self, imposed: Imposed, fault: Toxic) -> Imposed:
        """Give a toxic other settings, in place: no connection notices but by what it does.

        Raises:
            ValueError: `fault` is another type or direction, or `imposed` is not on this proxy.
            ToxiproxyError: The server does not have it as asked.
        """
        names = _names(imposed.serial, fault)
        if tuple(names) != imposed.names:
            raise ValueError(f"expected other settings for {imposed.fault!r}, got {fault!r}")
        with self._lock:
            if imposed not in self._imposed:
                raise ValueError(f"expected a fault imposed on {self.name}, got {imposed!r}")
            for name, stream in names.items():
                settings = {"attributes": fault.attributes(), "toxicity": fault.toxicity}
                self._transport.patch(self._toxic_url(name), settings)
                self._verify(name, stream, fault)
        return Imposed(imposed.serial, fault, imposed.names)

    def lift(self, imposed: Imposed) -> None:
        """Take a fault off. Does nothing when it is gone already.

        The proxy is enabled again when its last `Disabled` is lifted.

        Raises:
            ToxiproxyError: It is, or may be, still there.
        """
        with self._lock:
            if imposed not in self._imposed:
                return
            for name in reversed(imposed.names):
                self._remove(name)
            if isinstance(imposed.fault, Disabled):
                self._set_enabled(self._downs() == 1)
            self._imposed.remove(imposed)

    @contextmanager
    def imposing(self, fault: Imposable) -> Iterator[Imposed]:
        """A fault for as long as the context lasts."""
        imposed = self.impose(fault)
        try:
            yield imposed
        finally:
            self.lift(imposed)

    def drop_connections(self) -> None:
        """Close every open connection, and go on.

        Raises:
            ToxiproxyError: The proxy is not back, or was not gone.
        """
        with self.imposing(Disabled()):
            pass

    def heal(self) -> None:
        """Take off whatever the server has on this proxy, last imposed first, and enable it.

        Goes by what the server says, not by what was imposed here, so that a call that timed out
        or was cancelled leaves nothing behind.

        Raises:
            ToxiproxyError: It is not clean afterwards.
        """
        with self._lock:
            names = [toxic.name for toxic in self.state().toxics]
            for name in sorted(names, reverse=True):
                self._remove(name)
            self._set_enabled(True)
            self._imposed.clear()
            state = self.state()
            if not state.is_clean:
                raise ToxiproxyMismatchError(f"expected {self.name} clean, the server has {state}")

    def state(self) -> ProxyState:
        """What the server has. Never what we believe.

        Raises:
            ToxiproxyError: It does not answer, or has no such proxy.
        """
        found = self._transport.get(self._url).json()
        return ProxyState(
            is_enabled=found["enabled"],
            listen=found["listen"],
            upstream=found["upstream"],
            toxics=tuple(_installed(each) for each in found["toxics"]),
        )

    def toxic(self, name: str) -> InstalledToxic | None:
        """One toxic as the server has it; None if it has none of that name."""
        try:
            return _installed(self._transport.get(self._toxic_url(name)).json())
        except ToxiproxyRefusedError as error:
            if error.status == 404:
                return None
            raise

    def _add(self, name: str, stream: str, fault: Toxic) -> None:
        self._raw.add_toxic(
            type=fault.type,
            stream=stream,
            name=name,
            toxicity=fault.toxicity,
            attributes=fault.attributes(),
        )
        self._verify(name, stream, fault)

    def _verify(self, name: str, stream: str, fault: Toxic) -> None:
        found = self.toxic(name)
        if found is None or not _is_as_asked(found, stream, fault):
            raise ToxiproxyMismatchError(
                f"expected {fault!r} on {stream} of {self.name}, the server has {found!r}"
            )

    def _remove(self, name: str) -> None:
        try:
            self._raw.destroy_toxic(name)
        except ToxiproxyRefusedError as error:
            if error.status != 404:
                raise
        found = self.toxic(name)
        if found is not None:
            raise ToxiproxyMismatchError(f"expected {name} gone from {self.name}, it is there")

    def _set_enabled(self, enabled: bool) -> None:
        (self._raw.enable if enabled else self._raw.disable)()
        state = self.state()
        if (state.is_enabled, state.listen) != (enabled, self._listen):
            raise ToxiproxyMismatchError(
                f"expected {self.name} with enabled={enabled} on {self._listen}, "
                f"the server has {state}"
            )

    def _downs(self) -> int:
        return sum(isinstance(each.fault, Disabled) for each in self._imposed)

    def _toxic_url(self, name: str) -> str:
        return f"{self._url}/toxics/{name}"

    def __repr__(self) -> str:
        return f"Proxy({self.name!r}, {self.address} -> {self.upstream})"


def _names(serial: int, fault: Imposable) -> dict[str, str]:
    """Stream by toxic name. The names sort as they were imposed, which is how `heal` knows."""
    if isinstance(fault, Disabled):
        return {}
    return {
        f"{serial:08d}-{number}-{fault.type}-{stream}": stream
        for number, stream in enumerate(fault.direction.streams)
    }


def _installed(found: Mapping[str, Any]) -> InstalledToxic:  # Any: JSON
    return InstalledToxic(
        name=found["name"],
        type=found["type"],
        stream=found["stream"],
        toxicity=found["toxicity"],
        attributes=MappingProxyType(found["attributes"]),
    )


def _is_as_asked(found: InstalledToxic, stream: str, fault: Toxic) -> bool:
    # The server keeps the toxicity in single precision.
    return (found.type, found.stream, dict(found.attributes)) == (
        fault.type,
        stream,
        fault.attributes(),
    ) and math.isclose(found.toxicity, fault.toxicity, rel_tol=1e-6)
