"""A proxy that sends each request to a backend of its choice, as a load balancer does."""

import asyncio
import random
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.servers import free_port

Address = tuple[str, int]


class Proxy:
    """Listens on ``address``, and sends each connection to a random one of ``backends``.

    ``backends`` may be changed while it runs. Runs in a thread, as a context manager.
    """

    def __init__(self, backends: Sequence[Address] = ()) -> None:
        self.address: Address = ("127.0.0.1", free_port())
        self.backends = backends
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._stop = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with await asyncio.start_server(self._accept, *self.address):
            self._ready.set()
            await self._stop.wait()
        await asyncio.gather(*self._open, return_exceptions=True)
        # The transports close in the loop's next turns.
        await asyncio.sleep(0.1)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass_on(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one request and its response on: visitors open a connection for each."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            there = await asyncio.open_connection(*random.choice(self.backends))
            try:
                there[1].write(await reader.readuntil(b"\r\n\r\n"))
                while chunk := await there[0].read(65_536):
                    writer.write(chunk)
                await writer.drain()
            finally:
                there[1].transport.abort()
        writer.close()
