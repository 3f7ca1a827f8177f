"""A toxiproxy-server of one's own: started on a free port, and gone with the run."""

from __future__ import annotations

import atexit
import json
import os
import secrets
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from foxtrot.util.clock import SYSTEM_CLOCK, Clock
from harness.toxiproxy.address import Address, free_port
from harness.toxiproxy.errors import (
    ToxiproxyError,
    ToxiproxyRefusedError,
    ToxiproxyUnreachableError,
)
from harness.toxiproxy.transport import Transport

__all__ = ["ToxiproxyServer"]

_HOST = "127.0.0.1"
_NOWHERE = {"listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}
_STARTS = 3
_POLL = 0.01
# One try: somebody else on its port may take the question and never answer.
_TRY = 0.5

# The server takes the place of this shell; what it leaves in the background reads from a pipe
# whose other end we hold and never write to. It ends with us, whatever ends us, and then the
# whole process group goes. (A parent-death signal would be Linux only, and comes when the
# *thread* that started the server ends.)
_KEEPER = 'exec 3<&0 </dev/null; { read -r nothing <&3; kill -KILL 0; } & exec 3<&- "$@"'


class ToxiproxyServer:
    """A running server, started by `start`. Stopping it takes all proxies and faults with it.

    It is stopped by `stop`, at the end of a `with`, when the interpreter ends, and when the
    process dies of whatever cause, SIGKILL included. It runs in a session of its own, so that
    Ctrl-C reaches us and not it. Needs a POSIX system.

    Attributes:
        address: Where its control API listens, on loopback.
        pid: Its process id.
    """

    def __init__(self, process: subprocess.Popen[bytes], address: Address, log: IO[bytes]) -> None:
        self.address = address
        self.pid = process.pid
        self._process = process
        self._log = log
        self._final_log = ""
        # The pipe alone would not do: a child that was forked meanwhile holds it open, too.
        atexit.register(self.stop)

    @classmethod
    def start(
        cls,
        binary: Path,
        *,
        log: Path | None = None,
        patience: float = 5.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> Self:
        """Start `binary` and wait until it answers.

        Args:
            binary: A toxiproxy-server.
            log: Where its output goes; by default a file without a name, read by `log_text`.
            patience: Seconds it may take to answer.
            clock: What measures them.

        Raises:
            ToxiproxyError: It ended, or did not answer in time; with the end of its log.
        """
        marker = f"foxtrot-started-{secrets.token_hex(8)}"
        with tempfile.TemporaryDirectory() as scratch:
            config = Path(scratch, "marker.json")
            config.write_text(json.dumps([{"name": marker, "enabled": False} | _NOWHERE]))
            for _ in range(_STARTS):
                server = cls(*_launch(binary, config, log))
                if server.is_answering(marker, patience, clock):
                    return server
                server.stop()
                if not server.has_lost_its_port():
                    break
        raise ToxiproxyError(
            f"expected {binary} to answer at {server.address} within {patience:g} s, it did not; "
            f"the end of its log: {server.log_text()[-2000:]!r}"
        )

    @property
    def is_running(self) -> bool:
        """Whether the process lives. A slicer of size 0, set past our checks, would end it."""
        return self._process.poll() is None

    def log_text(self) -> str:
        """What it has written so far, or had when it was stopped."""
        if self._log.closed:
            return self._final_log
        return os.pread(self._log.fileno(), 1 << 24, 0).decode(errors="replace")

    def stop(self) -> None:
        """End it, with everything it started. Does nothing when that has been done."""
        if self._log.closed:
            return
        atexit.unregister(self.stop)
        # Killed at once: it has nothing to save, and its orderly end waits up to 30 s.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._final_log = self.log_text()
        self._log.close()

    def is_answering(self, marker: str, patience: float, clock: Clock) -> bool:
        """Whether it, and not somebody else at its port, answers within `patience` seconds.

        Args:
            marker: The proxy that it began with, which nobody else has; taken off when found.
            patience: Seconds.
            clock: What measures them.
        """
        transport = Transport(change_timeout=min(_TRY, patience))
        deadline = clock.now() + patience
        while self.is_running and not self.has_lost_its_port():
            with suppress(ToxiproxyUnreachableError, ToxiproxyRefusedError):
                transport.delete(f"http://{self.address}/proxies/{marker}")
                return True
            if clock.now() >= deadline:
                break
            clock.sleep_sync(_POLL)
        return False

    def has_lost_its_port(self) -> bool:
        """Whether somebody was faster to it. It goes on without its API then, unreachable."""
        return "Server finished with error" in self.log_text()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"ToxiproxyServer({self.address}, pid={self.pid})"


def _launch(
    binary: Path, config: Path, log: Path | None
) -> tuple[subprocess.Popen[bytes], Address, IO[bytes]]:
    address = Address(_HOST, free_port(_HOST))
    output: IO[bytes] = tempfile.TemporaryFile() if log is None else log.open("w+b")  # noqa: SIM115 - it lives as long as the server
    where = ["-host", address.host, "-port", str(address.port)]
    command = [str(binary), *where, "-config", str(config)]
    try:
        process = subprocess.Popen(  # noqa: S603 - the user names the binary, nobody else
            ["/bin/sh", "-c", _KEEPER, "keeper", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={"PATH": os.defpath, "LOG_LEVEL": "info"},
        )
    except BaseException:
        output.close()
        raise
    return process, address, output
