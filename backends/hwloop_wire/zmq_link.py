"""The ZMQ link: a DEALER, encrypted and authenticated by CurveZMQ anywhere but on this machine."""

from __future__ import annotations

import math
import os
from pathlib import Path

import zmq
import zmq.auth

from hwloop.errors import ConfigurationError
from hwloop_wire.link import LinkClosedError, Waker, is_loopback

HIGH_WATER = 64
"""Most messages that a socket holds in a direction, and so the widest window over ZMQ."""


def load_keys(path: str | Path, what: str) -> tuple[bytes, bytes | None]:
    """Return the public and the secret key of a CurveZMQ certificate file.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{what} {path} cannot be read: {error}",
            remedy="make one by zmq.auth.create_certificates(folder, name)",
        ) from error


class ZmqLink:
    """A DEALER connected to one chip.

    Args:
        endpoint: for example `tcp://host:5555`.
        waker: ends `receive`.
        key: file of our own key pair.
        server_key: file of the chip's public key.

    Raises:
        ConfigurationError: the endpoint is malformed, or leaves this machine without keys.
    """

    stream = False
    byte_seconds = 0.0
    pending = 0

    def __init__(
        self, endpoint: str, waker: Waker, *, key: str | None = None, server_key: str | None = None
    ) -> None:
        if (key is None) != (server_key is None):
            raise ConfigurationError("key and server_key belong together")
        if key is None and not is_loopback(endpoint):
            raise ConfigurationError(
                f"{endpoint} leaves this machine, which takes keys",
                remedy="add key=OWN.key_secret,server_key=CHIP.key (CurveZMQ certificates)",
            )
        keys: tuple[bytes, bytes, bytes] | None = None
        if key is not None and server_key is not None:
            public, secret = load_keys(key, "key")
            if secret is None:
                raise ConfigurationError(f"{key} holds no secret key")
            keys = (public, secret, load_keys(server_key, "server_key")[0])
        self.name = endpoint
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        # The name stays when the connection is made anew, and with it the lease on the chip.
        self._socket.setsockopt(zmq.IDENTITY, b"h" + os.urandom(15))
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.SNDHWM, HIGH_WATER)
        self._socket.setsockopt(zmq.RCVHWM, HIGH_WATER)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        if keys is not None:
            self._socket.setsockopt(zmq.CURVE_PUBLICKEY, keys[0])
            self._socket.setsockopt(zmq.CURVE_SECRETKEY, keys[1])
            self._socket.setsockopt(zmq.CURVE_SERVERKEY, keys[2])
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self._socket.close()
            raise ConfigurationError(
                f"{endpoint} is not an endpoint: {error}", remedy="write tcp://HOST:PORT"
            ) from error
        self._waker = waker
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._waker.reading, zmq.POLLIN)

    def send(self, raw: bytes) -> None:
        """Send a message; without a connection it is lost, as on any other link."""
        try:
            self._socket.send(raw, zmq.NOBLOCK)
        except zmq.Again:
            pass
        except zmq.ZMQError as error:
            raise LinkClosedError(f"{self.name}: {error}") from error

    def receive(self, timeout: float) -> bytes:
        """Return a message, or none after a time-out or `wake`."""
        ready = dict(self._poller.poll(math.ceil(timeout * 1000)))
        if self._waker.reading in ready:
            self._waker.clear()
        if self._socket not in ready:
            return b""
        try:
            parts = self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.ZMQError as error:
            raise LinkClosedError(f"{self.name}: {error}") from error
        return parts[0] if len(parts) == 1 else b""

    def close(self) -> None:
        """Close the socket; what has not left is lost."""
        self._socket.close(0)
