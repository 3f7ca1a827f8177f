"""The standard library's exceptions, by `package.Class`, and the operating system's errnos."""

from __future__ import annotations

import errno

from foxtrot.util.classification._entry import (
    Entry,
    Rule,
    Strength,
    Table,
    broken,
    denied,
    dropped,
    lost,
    malformed,
    notice,
    uncertain,
    unreachable,
    unreadable,
)
from foxtrot.util.errors import ErrorCategory, ErrorSeverity, Outcome

__all__ = ["CERTIFICATE", "ERRNOS", "PYTHON_TYPES"]

_CRITICAL = ErrorSeverity.CRITICAL
_NOT_SENT = Outcome.NOT_SENT
_BUG = broken("Fix the code that raised it; the same call will fail again")
# A reply of another shape than expected shows as one of these; so does a bug. Both need a human.
_WRONG_DATA = malformed(
    "Compare the data with what the code expects of it; the same data will fail again",
    outcome=Outcome.NONE,
)
_GARBAGE = unreadable("Look up what the venue did: its reply could not be read")
_DNS = unreachable("Check the name of the host and the resolver, then reconnect")
# No human can be spared here, but it is the transport that failed, not the credentials.
CERTIFICATE = Entry(
    ErrorCategory.CONNECTION,
    _CRITICAL,
    False,
    _NOT_SENT,
    "none",
    "Check the venue's certificate, the local trust store and clock; do not disable verification",
)
_TLS = lost("Reconnect; if the handshake fails again, compare TLS versions and proxies")
_POOL = broken("Restart the pool of workers; one of them died")
_BUSY = Entry(
    ErrorCategory.SYSTEM,
    ErrorSeverity.MEDIUM,
    True,
    _NOT_SENT,
    "backoff",
    "Wait until the resource is free; if it stays so, bound what is put into it",
)
# What waited in vain may have waited for the answer.
_WAITED = _BUSY.but(outcome=Outcome.NONE)
_NO_ITEM = _WAITED.but(action="Wait for an item")

ERRNOS: Table = {
    errno.ECONNREFUSED: unreachable("Check that the venue listens on this host and port"),
    errno.ECONNRESET: lost("Reconnect, and look up what was in flight"),
    errno.ECONNABORTED: lost("Reconnect, and look up what was in flight"),
    errno.EPIPE: lost("Reconnect, and look up what was in flight"),
    errno.ENETRESET: lost("Reconnect, and look up what was in flight"),
    errno.ETIMEDOUT: uncertain("Look up the request before it is sent again"),
    # Who waits for an answer is told these, too, when the route went away meanwhile.
    errno.ENETUNREACH: lost("Check the route to the venue's network", retry="5"),
    errno.EHOSTUNREACH: lost("Check the route to the venue's host", retry="5"),
    errno.ENETDOWN: lost("Check this machine's network interface", retry="5"),
    errno.EHOSTDOWN: lost("Check that the venue's host is up", retry="5"),
    errno.ENOTCONN: unreachable("Connect before sending", retry="reconnect"),
    errno.ESHUTDOWN: unreachable(
        "Open a new connection; this one was shut down", retry="reconnect"
    ),
    errno.EADDRNOTAVAIL: unreachable(
        "Wait for ephemeral ports to become free, and reuse connections", retry="backoff"
    ),
    errno.EADDRINUSE: broken("Free the port, or choose another").but(outcome=_NOT_SENT),
    errno.EMFILE: broken("Find what leaks file descriptors, or raise the limit").but(
        outcome=_NOT_SENT
    ),
    errno.ENFILE: broken("The machine is out of file descriptors").but(outcome=_NOT_SENT),
    errno.ENOSPC: broken("Free disk space", severity=_CRITICAL),
    errno.EDQUOT: broken("Raise the disk quota, or free space", severity=_CRITICAL),
    errno.EROFS: broken("The disk became read-only: check it", severity=_CRITICAL),
    errno.EIO: broken("The disk or device fails: check it", severity=_CRITICAL),
    errno.ENOMEM: broken("Free memory, or give the process more", severity=_CRITICAL),
    errno.EACCES: broken("Grant this process the permission", severity=_CRITICAL),
    errno.EPERM: broken("Grant this process the permission", severity=_CRITICAL),
    errno.ENOENT: broken("Create the file, or correct its path"),
    errno.EBADF: broken("A closed descriptor was used; restart the component"),
    errno.EINVAL: broken("Correct the arguments of the system call"),
    errno.ENOBUFS: _BUSY,
    errno.EAGAIN: _WAITED,
    errno.EINTR: _WAITED.but(action="Repeat the call; a signal interrupted it"),
    errno.EINPROGRESS: _BUSY,
    errno.EALREADY: _BUSY,
    errno.EISCONN: notice(ErrorCategory.CONNECTION, "Nothing; it is connected already"),
}

PYTHON_TYPES: Table = {
    "builtins.TimeoutError": Rule(uncertain("Look up the request before it is sent again")),
    "builtins.ConnectionError": Rule(
        lost("Reconnect, and look up what was in flight"), strength=Strength.WRAPPER
    ),
    "builtins.ConnectionRefusedError": ERRNOS[errno.ECONNREFUSED],
    "builtins.ConnectionResetError": ERRNOS[errno.ECONNRESET],
    "builtins.ConnectionAbortedError": ERRNOS[errno.ECONNABORTED],
    "builtins.BrokenPipeError": ERRNOS[errno.EPIPE],
    "builtins.EOFError": lost("Reconnect, and look up what was in flight"),
    "builtins.OSError": Rule(broken("Look at the errno and the cause"), strength=Strength.GENERIC),
    "builtins.PermissionError": ERRNOS[errno.EACCES],
    "builtins.FileNotFoundError": ERRNOS[errno.ENOENT],
    "builtins.FileExistsError": broken("Remove the file, or choose another path"),
    "builtins.IsADirectoryError": broken("Correct the path: it names a directory"),
    "builtins.NotADirectoryError": broken("Correct the path: a part of it is no directory"),
    "builtins.BlockingIOError": _WAITED,
    "builtins.InterruptedError": ERRNOS[errno.EINTR],
    "builtins.ChildProcessError": broken("Restart the child process"),
    "builtins.ProcessLookupError": broken("Restart the process that is gone"),
    "builtins.MemoryError": broken("Free memory, or give the process more", severity=_CRITICAL),
    "builtins.RecursionError": _BUG,
    "builtins.SystemError": broken("Report the interpreter's fault", severity=_CRITICAL),
    "builtins.ImportError": broken("Install what is missing, then restart", severity=_CRITICAL),
    "builtins.RuntimeError": Rule(_BUG, strength=Strength.GENERIC),
    "builtins.NotImplementedError": broken("Use an operation that is implemented"),
    "builtins.ArithmeticError": _BUG,
    "builtins.AssertionError": _BUG,
    "builtins.AttributeError": _BUG,
    "builtins.BufferError": _BUG,
    "builtins.NameError": _BUG,
    "builtins.ReferenceError": _BUG,
    "builtins.StopIteration": _BUG,
    "builtins.StopAsyncIteration": _BUG,
    "builtins.SyntaxError": _BUG,
    "builtins.TypeError": _BUG,
    "builtins.LookupError": _WRONG_DATA,
    "builtins.ValueError": _WRONG_DATA,
    "builtins.UnicodeDecodeError": _GARBAGE,
    "builtins.Warning": notice(ErrorCategory.SYSTEM, "Read the warning, and heed it"),
    "asyncio.IncompleteReadError": lost("Reconnect, and look up what was in flight"),
    "asyncio.LimitOverrunError": _GARBAGE,
    "asyncio.InvalidStateError": _BUG,
    "asyncio.QueueEmpty": _NO_ITEM,
    "asyncio.QueueFull": _BUSY,
    "asyncio.QueueShutDown": broken("The queue was shut down; put nothing more into it"),
    "asyncio.SendfileNotAvailableError": broken("Send the file by other means"),
    "asyncio.BrokenBarrierError": _BUG,
    "binascii.Error": _GARBAGE,
    "concurrent.BrokenExecutor": _POOL,
    "concurrent.CancelledError": broken("The call was cancelled; nothing to do").but(
        severity=ErrorSeverity.LOW
    ),
    "concurrent.InvalidStateError": _BUG,
    "decimal.DecimalException": _WRONG_DATA,
    "http.HTTPException": Rule(_GARBAGE, strength=Strength.WRAPPER),
    "http.IncompleteRead": lost("Reconnect, and look up what was in flight"),
    "http.ImproperConnectionState": unreachable("Open a new connection", retry="reconnect"),
    "http.InvalidURL": malformed("Correct the URL", outcome=_NOT_SENT),
    "http.NotConnected": unreachable("Connect before sending", retry="reconnect"),
    "http.ResponseNotReady": lost("Open a new connection, and look up what was in flight"),
    "http.RemoteDisconnected": lost("Reconnect, and look up what was in flight"),
    "json.JSONDecodeError": _GARBAGE,
    "pickle.PickleError": _BUG,
    "queue.Empty": _NO_ITEM,
    "queue.Full": _BUSY,
    "socket.gaierror": _DNS,
    "socket.herror": _DNS,
    "sqlite3.Error": broken("Check the database", severity=_CRITICAL),
    "ssl.SSLError": Rule(
        _TLS, ((r"certificate.verify.failed|certificate has expired", CERTIFICATE),)
    ),
    "ssl.SSLCertVerificationError": CERTIFICATE,
    "ssl.SSLEOFError": _TLS,
    "ssl.SSLSyscallError": _TLS,
    "ssl.SSLWantReadError": _WAITED,
    "ssl.SSLWantWriteError": _WAITED,
    "ssl.SSLZeroReturnError": lost("Reconnect; the venue closed the TLS session"),
    "struct.error": _GARBAGE,
    "subprocess.SubprocessError": broken("Restart the child process"),
    "threading.BrokenBarrierError": _BUG,
    "urllib.ContentTooShortError": lost("Reconnect, and look up what was in flight"),
    "urllib.HTTPError": Rule(_GARBAGE, strength=Strength.WRAPPER),
    "urllib.URLError": Rule(
        unreachable("Check that the venue is reachable"), strength=Strength.WRAPPER
    ),
    "xml.ExpatError": _GARBAGE,
    "xml.ParseError": _GARBAGE,
    "zlib.error": _GARBAGE,
    "gzip.BadGzipFile": _GARBAGE,
    # anyio, under httpx and others
    "anyio.BrokenResourceError": lost("Reconnect, and look up what was in flight"),
    "anyio.ClosedResourceError": lost("Open a new connection, and look up what was in flight"),
    "anyio.EndOfStream": dropped("Reconnect; the other side ended the stream"),
    "anyio.IncompleteRead": lost("Reconnect, and look up what was in flight"),
    "anyio.WouldBlock": _WAITED,
    # binance-connector, python-binance: the code is read from the error; without one, its text
    "binance.BinanceRequestException": _GARBAGE,
    "binance.BinanceOrderException": malformed("Correct the order's parameters", outcome=_NOT_SENT),
    "binance.ParameterRequiredError": malformed("Give the parameter", outcome=_NOT_SENT),
    # cryptography: of what was received
    "cryptography.InvalidSignature": denied("Check the venue's key", outcome=Outcome.NONE),
}
