"""Control messages as calls that wait for their answers."""

from __future__ import annotations

from typing import TypeVar

from hwloop.capabilities import Capabilities, Configuration
from hwloop.errors import CapabilityError, ConfigurationError, DeviceError, LinkError
from hwloop_wire import describing
from hwloop_wire import messages as m
from hwloop_wire.client import Client
from hwloop_wire.codes import Table, error_text, remedy_of
from hwloop_wire.layout import Body, MessageError
from hwloop_wire.session import most_body_bytes

B = TypeVar("B", bound=Body)

_SHAPES_AT_ONCE = 64


class Control:
    """Calls of a chip.

    Every method raises `LinkError` if the link fails and `DeviceError` if the chip refuses.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def body_limits(self) -> tuple[int, int]:
        """Most bytes of the body of a request and of an answer."""
        return most_body_bytes(self._client.hello, self._client.session.link_bytes)

    def status(self) -> m.StatusAnswer:
        """Return state and counters."""
        return self._call(m.Status(), m.StatusAnswer)[0]

    def idle(self) -> None:
        """Bring all lines to their idle state."""
        self._call(m.Idle(), m.Done)

    def clear(self) -> None:
        """End a latch."""
        self._call(m.Clear(), m.Done)

    def capabilities(self) -> Capabilities:
        """Return what the chip says of itself."""
        hello = self._client.hello
        try:
            tiles = [
                describing.tile(self._call(m.Describe(tile=i), m.DescribeAnswer)[0])
                for i in range(hello.tiles)
            ]
            return describing.capabilities(hello, tiles, self.configuration(Table.OFFERED))
        except MessageError as error:
            raise LinkError(f"the chip describes itself wrongly: {error}") from error

    def configuration(self, table: Table) -> Configuration:
        """Return the chip's own configuration, or the one installed."""
        _, answer_limit = self.body_limits
        room = answer_limit - m.ReadConfigurationAnswer.STRUCT.size
        most = min(room // m.ShapeEntry.STRUCT.size, _SHAPES_AT_ONCE)
        length = m.ReadConfigurationAnswer.STRUCT.size + most * m.ShapeEntry.STRUCT.size
        entries: list[m.ShapeEntry] = []
        while True:
            head, body = self._call(
                m.ReadConfiguration(first=len(entries), shapes=most, table=table),
                m.ReadConfigurationAnswer,
                length,
            )
            try:
                entries += describing.parse_shapes(body, type(head).STRUCT.size, head.shapes)
                if len(entries) >= head.total or not head.shapes:
                    return describing.configuration(head, entries)
            except MessageError as error:
                raise LinkError(f"the chip's configuration is malformed: {error}") from error

    def configure(self, configuration: Configuration) -> Configuration:
        """Install a configuration, read it back, compare, and return what was read.

        Raises:
            CapabilityError: the chip has no room for it.
            ConfigurationError: the name of a shape is too long.
            DeviceError: the chip refuses it, or holds something else.
        """
        try:
            body = describing.configure_body(configuration)
        except MessageError as error:
            raise ConfigurationError(f"pulse shapes: {error}") from error
        most = self._client.hello.shapes
        if len(configuration.shapes) > most or len(body) > self.body_limits[0]:
            raise CapabilityError(
                f"{len(configuration.shapes)} pulse shapes do not fit the chip, which holds {most}",
                remedy="use a device file with fewer pulse shapes",
            )
        self._raw(m.Configure, body, m.Done, m.Done.STRUCT.size)
        installed = self.configuration(Table.INSTALLED)
        if installed.canonical() != configuration.canonical():
            raise DeviceError(
                "the chip holds another configuration than the one installed: "
                f"{installed.canonical()} instead of {configuration.canonical()}",
                remedy="do not use this chip: its limits are not what was asked for",
            )
        return installed

    def _call(self, request: Body, answer: type[B], length: int = 0) -> tuple[B, bytes]:
        return self._raw(type(request), request.pack(), answer, length or answer.STRUCT.size)

    def _raw(
        self, request: type[Body], body: bytes, answer: type[B], length: int
    ) -> tuple[B, bytes]:
        message = self._client.call(request.NUMBER, body, length)
        try:
            if message.type == m.Error.NUMBER:
                error = m.Error.unpack(message.body)
                raise DeviceError(
                    f"{request.__name__.upper()} is refused: {error_text(error.error)}",
                    remedy=remedy_of(error.error),
                )
            if message.type != answer.NUMBER:
                raise MessageError(f"message {message.type}, expected {answer.NUMBER}")
            return answer.unpack(message.body), message.body
        except MessageError as error:
            raise LinkError(f"the answer to {request.__name__.upper()}: {error}") from error
