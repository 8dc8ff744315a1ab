"""Pass what connects to an open socket on to a port of this network namespace: `forward.py FD PORT`."""

import asyncio
import socket
import sys
from contextlib import suppress


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def main(fd: int, port: int) -> None:
    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()  # as if there were no listener
            return
        await asyncio.gather(copy(reader, back), copy(there, writer))

    server = await asyncio.start_server(connect, sock=socket.socket(fileno=fd))
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
