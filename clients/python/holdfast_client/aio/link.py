"""One connection to the daemon: its stream, framing and handshake. Knows no calls and no reconnecting."""

from typing import Final

import anyio
import msgspec
from anyio.abc import ByteStream

from holdfast_client.core.requirement import Requirement
from holdfast_client.errors import DaemonNotRunning, DaemonUnreachable, VersionMismatch
from holdfast_protocol import errors
from holdfast_protocol.connection import Connection, ConnectionEvent, Side, State
from holdfast_protocol.errors import RemoteProtocolError
from holdfast_protocol.framing import Framing
from holdfast_protocol.jsonrpc import Response
from holdfast_protocol.methods.connection import InitializeParams, InitializeResult

HANDSHAKE_TIMEOUT_S: Final = 10.0
"""A daemon that listens answers within milliseconds; on a starved machine it takes its time."""

SIDECAR_HANDSHAKE_TIMEOUT_S: Final = 60.0
"""A sidecar starts, and recovers what it left open, before it answers."""

MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Far beyond any message of a sane daemon; bounds what a mad one can make us hold."""

_RECEIVE_BYTES: Final = 256 * 1024

_LOST: Final = (
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    RemoteProtocolError,
    OSError,
)


class LinkLost(Exception):
    """The connection ended; the message says how."""


class Link:
    """A connected stream and what is spoken on it. One reader, one writer.

    Args:
        stream: connected; closed with the link.

    Attributes:
        connection: frames and tells messages apart.
        hello: what the daemon said about itself; set by `initialize`.
    """

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.connection = Connection(
            Side.CLIENT, framing=Framing.LINES, message_bytes_max=MESSAGE_BYTES_MAX, trusting=True
        )
        self.hello: InitializeResult | None = None
        self._early: list[ConnectionEvent] = []

    async def initialize(
        self, params: InitializeParams, require: Requirement | None, timeout_s: float
    ) -> InitializeResult:
        """Shake hands.

        Raises:
            DaemonNotRunning: it closed the connection: it was about to stop.
            DaemonUnreachable: it does not answer, or not as a daemon of ours.
            VersionMismatch: it is not what `require` asks for.
            AuthRequired, UnsupportedVersion: it refuses us.
        """
        try:
            with anyio.fail_after(timeout_s):
                answer = await self._ask(params)
            self.hello = msgspec.json.decode(answer, type=InitializeResult)
        except TimeoutError:
            raise DaemonUnreachable(f"The daemon did not answer within {timeout_s:g} s.") from None
        except LinkLost as lost:
            raise DaemonNotRunning("The connection ended during the handshake.") from lost
        except msgspec.MsgspecError as error:
            raise DaemonUnreachable(f"What answers is no holdfast daemon: {error}") from error
        if require is not None and not require.is_met_by(self.hello.server.version):
            raise VersionMismatch(require.text, self.hello.server.version)
        return self.hello

    async def send(self, frame: bytes) -> None:
        """Send one framed message.

        Raises:
            LinkLost: the connection ended.
        """
        try:
            await self.stream.send(frame)
        except _LOST as error:
            raise LinkLost(_words(error)) from error

    async def receive(self) -> list[ConnectionEvent]:
        """Wait for bytes, and give the messages they complete; perhaps none.

        Raises:
            LinkLost: the connection ended, or the daemon sent what is no message.
        """
        try:
            self.connection.receive_data(await self.stream.receive(_RECEIVE_BYTES))
            messages = list(iter(self.connection.next_event, None))
        except _LOST as error:
            raise LinkLost(_words(error)) from error
        if self.connection.take_replies() or self.connection.state is State.CLOSING:
            # Only what cannot be read is answered by the connection itself.
            raise LinkLost("The daemon sent what is no message.")
        return messages

    def take_early(self) -> list[ConnectionEvent]:
        """Take what came in one piece with the answer to `initialize`, once."""
        early, self._early = self._early, []
        return early

    async def aclose(self) -> None:
        """End the connection. Waits for what the stream itself must end."""
        with anyio.CancelScope(shield=True):
            await self.stream.aclose()

    async def _ask(self, params: InitializeParams) -> msgspec.Raw:
        call_id, frame = self.connection.request("initialize", params)
        await self.send(frame)
        while True:
            messages = await self.receive()
            for index, message in enumerate(messages):
                if not isinstance(message, Response):
                    continue
                if message.error is not None:
                    raise errors.from_object(message.error)
                if message.id == call_id:
                    self._early = messages[index + 1 :]
                    return message.result


def _words(error: Exception) -> str:
    if isinstance(error, anyio.EndOfStream):
        return "The daemon closed the connection."
    return f"The connection broke: {error or type(error).__name__}"
