"""Which server is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.toxiproxy import Address, ToxiproxyMissingError, find_server

ADDRESS = Address("127.0.0.1", 8474)


@pytest.fixture
def machine(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A machine with a binary named by the user, one on PATH and one in the tools."""
    paths = [tmp_path / place / "toxiproxy-server" for place in ("named", "path", "tools")]
    for path in paths:
        path.parent.mkdir()
        path.touch(mode=0o755)
    return tuple(paths)


def test_the_nearest_word_of_the_user_wins(machine):
    named, on_path, in_tools = machine
    environ = {"TOXIPROXY_SERVER": str(named), "PATH": str(on_path.parent)}
    tools = in_tools.parent
    found = [find_server("127.0.0.1:8474", environ=environ, tools=tools)]
    found.append(find_server(environ=environ, tools=tools))
    found.append(find_server(environ={"TOXIPROXY_SERVER": "localhost:8474"}, tools=tools))
    found.append(find_server(environ={"PATH": str(on_path.parent)}, tools=tools))
    found.append(find_server(environ={}, tools=tools))
    assert found == [ADDRESS, named, ADDRESS, on_path, in_tools]


def test_none_is_an_error_that_says_how_to_get_one(tmp_path):
    with pytest.raises(ToxiproxyMissingError, match="brew install toxiproxy") as missing:
        find_server(environ={}, tools=tmp_path)
    message = str(missing.value)
    assert all(word in message for word in ("tools/get-toxiproxy", "releases", "docker"))


def test_what_is_named_and_wrong_is_an_error_and_not_passed_over(machine):
    named, on_path, in_tools = machine
    named.chmod(0o644)
    environ = {"TOXIPROXY_SERVER": str(named), "PATH": str(on_path.parent)}
    with pytest.raises(ToxiproxyMissingError, match="got TOXIPROXY_SERVER="):
        find_server(environ=environ, tools=in_tools.parent)
    for given in ("here", ""):
        with pytest.raises(ValueError, match="expected HOST:PORT"):
            find_server(given, environ=environ, tools=in_tools.parent)
