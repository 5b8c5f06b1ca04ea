"""Arrays behind a serial line, a TCP or ZMQ socket, or in an emulated chip.

`serial:/dev/ttyACM0,baud=921600`, `serial:tcp://HOST:PORT`, `zmq:tcp://HOST:PORT`,
`emulator:native,shape=64x64,seed=1`, `emulator:qemu-m7`.
"""

import logging

from hwloop_wire.backend import WireBackend
from hwloop_wire.urls import open_emulator_backend, open_serial_backend, open_zmq_backend

logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = ["WireBackend", "open_emulator_backend", "open_serial_backend", "open_zmq_backend"]
