"""Where a server listens on ZMQ: a ROUTER, for known hosts only unless it stays on this machine."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from hwloop.errors import ConfigurationError
from hwloop_wire.link import Waker, is_loopback
from hwloop_wire.ports import Peer
from hwloop_wire.zmq_link import HIGH_WATER, load_keys

_MOST_AT_ONCE = 64


class RouterPort:
    """A ROUTER that any number of hosts may reach.

    Args:
        endpoint: for example `tcp://127.0.0.1:5555`; port `*` is any free one.
        waker: ends `receive`.
        frame_bytes: longest frame.
        key: file of the chip's own key pair (CurveZMQ).
        hosts: folder with the public keys of the hosts that may connect.

    Raises:
        ConfigurationError: the endpoint cannot be had, or is open to the network without keys.
    """

    def __init__(
        self,
        endpoint: str,
        waker: Waker,
        frame_bytes: int,
        *,
        key: Path | None = None,
        hosts: Path | None = None,
    ) -> None:
        if (key is None) != (hosts is None):
            raise ConfigurationError("the chip's key and the folder of its hosts belong together")
        if key is None and not is_loopback(endpoint):
            raise ConfigurationError(
                f"{endpoint} is open to the network and takes keys",
                remedy="give the chip's key pair and the folder of its hosts' public keys, "
                "or serve on tcp://127.0.0.1:PORT",
            )
        self.bad = 0
        # A context of its own: its authenticator must not judge the connections of others.
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._authenticator: ThreadAuthenticator | None = None
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, HIGH_WATER)
        self._socket.setsockopt(zmq.RCVHWM, HIGH_WATER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, frame_bytes)
        # A host that connects anew under its name takes the place of its lost connection.
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        try:
            if key is not None and hosts is not None:
                self._lock(key, hosts)
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigurationError(
                f"{endpoint}: {error}", remedy="name another port, as tcp://HOST:PORT"
            ) from error
        except ConfigurationError:
            self.close()
            raise
        self.address = self._socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()  # type: ignore[union-attr]
        self._waker = waker
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(waker.reading, zmq.POLLIN)

    def receive(self, timeout: float) -> list[tuple[Peer, bytes]]:
        """Return frames with their senders."""
        ready = dict(self._poller.poll(math.ceil(timeout * 1000)))
        if self._waker.reading in ready:
            self._waker.clear()
        frames: list[tuple[Peer, bytes]] = []
        while self._socket in ready and len(frames) < _MOST_AT_ONCE:
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            if len(parts) == 2:
                frames.append((parts[0], parts[1]))
            else:
                self.bad += 1
        return frames

    def send(self, peer: Peer, raw: bytes) -> None:
        """Send a frame."""
        with contextlib.suppress(zmq.ZMQError):  # the host repeats what it has no answer for
            self._socket.send_multipart([peer, raw], zmq.NOBLOCK)

    def gone(self, peer: Peer) -> bool:
        """Return False: a socket does not tell."""
        return False

    def close(self) -> None:
        """Close the socket."""
        self._socket.close(0)
        if self._authenticator is not None:
            self._authenticator.stop()
        self._context.term()

    def _lock(self, key: Path, hosts: Path) -> None:
        public, secret = load_keys(key, "key of the chip")
        if secret is None:
            raise ConfigurationError(f"{key} holds no secret key")
        if not list(hosts.glob("*.key")):
            raise ConfigurationError(
                f"{hosts} holds no public key (*.key)", remedy="copy those of the hosts there"
            )
        self._authenticator = ThreadAuthenticator(self._context)
        self._authenticator.start()
        self._authenticator.configure_curve(domain="*", location=str(hosts))
        self._socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
        self._socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
        self._socket.setsockopt(zmq.CURVE_SERVER, 1)
