"""CurveZMQ with real keys: whoever is not known gets nothing, and no network is open by mistake."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import zmq
import zmq.auth

from hwloop.crossbar import Chip
from hwloop.errors import ConfigurationError, LinkError
from hwloop_wire import open_zmq_backend
from hwloop_wire.link import Waker
from hwloop_wire.ports import TcpPort
from hwloop_wire.server import Server
from hwloop_wire.zmq_port import RouterPort
from tests.wire.chips import InlineArray


def keys(folder: Path) -> dict[str, Path]:
    """Make key pairs of a chip, a host and a stranger; only the host's is known to the chip."""
    known = folder / "known"
    known.mkdir()
    made = {}
    for name in ("chip", "host", "stranger"):
        public, _ = zmq.auth.create_certificates(folder, name)
        made[name] = Path(public).with_suffix(".key_secret")
    (known / "host.key").write_bytes((folder / "host.key").read_bytes())
    return made


def test_an_unknown_peer_gets_nothing(tmp_path: Path) -> None:
    made = keys(tmp_path)
    array = InlineArray()

    def port(waker: Waker, length: int) -> RouterPort:
        return RouterPort(
            "tcp://0.0.0.0:*", waker, length, key=made["chip"], hosts=tmp_path / "known"
        )

    server = Server(array, port)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        address = server.address.replace("0.0.0.0", "127.0.0.1")
        chip_key = str(tmp_path / "chip.key")
        options = {"timeout": "0.5", "server_key": chip_key}
        for bad in (
            {"timeout": "0.5"},
            {**options, "key": str(made["stranger"])},
            {**options, "key": str(made["host"]), "server_key": str(tmp_path / "stranger.key")},
        ):
            with pytest.raises(LinkError, match="not a single byte"):
                open_zmq_backend(address, bad)
        assert server.device.good == 0
        backend = open_zmq_backend(address, {**options, "key": str(made["host"])})
        with Chip(backend, arm="bench-1") as chip:
            assert chip[0].pulse(0, 0, 3) == 3
    finally:
        server.stop()
        thread.join()


def test_the_network_is_closed_without_keys(tmp_path: Path) -> None:
    made = keys(tmp_path)
    waker = Waker()
    empty = tmp_path / "empty"
    empty.mkdir()
    for endpoint in ("tcp://0.0.0.0:5999", "tcp://*:5999", "tcp://192.168.1.1:5999"):
        with pytest.raises(ConfigurationError, match="open to the network and takes keys"):
            RouterPort(endpoint, waker, 4096)
    with pytest.raises(ConfigurationError, match="belong together"):
        RouterPort("tcp://127.0.0.1:*", waker, 4096, key=made["chip"])
    with pytest.raises(ConfigurationError, match="holds no public key"):
        RouterPort("tcp://127.0.0.1:*", waker, 4096, key=made["chip"], hosts=empty)
    with pytest.raises(ConfigurationError, match="holds no secret key"):
        RouterPort("tcp://*:*", waker, 4096, key=tmp_path / "chip.key", hosts=tmp_path / "known")
    with pytest.raises(ConfigurationError, match="TCP knows no keys"):
        TcpPort("0.0.0.0", 0, waker, 4096)
    with pytest.raises(ConfigurationError, match="name another port"):
        RouterPort("tcp://127.0.0.1:none", waker, 4096)
    waker.close()
