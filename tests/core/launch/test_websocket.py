"""Against aiohttp, the library that ComfyUI's server is written with."""

import asyncio
import threading

import pytest

from vmt.launch.websocket import EventStream

aiohttp_web = pytest.importorskip("aiohttp.web")


@pytest.fixture
def serve():
    """Starts a WebSocket server whose handler is given, and returns its port."""
    loops = []

    def start(handler):
        async def handle(request):
            socket = aiohttp_web.WebSocketResponse()
            await socket.prepare(request)
            await handler(socket)
            return socket

        async def listen():
            app = aiohttp_web.Application()
            app.router.add_get("/ws", handle)
            runner = aiohttp_web.AppRunner(app)
            await runner.setup()
            site = aiohttp_web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            return runner, site._server.sockets[0].getsockname()[1]

        loop = asyncio.new_event_loop()
        runner, port = loop.run_until_complete(listen())
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        loops.append((loop, thread, runner))
        return port

    yield start
    for loop, thread, runner in loops:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 1_000_000])
def test_messages_of_every_length_form(serve, size):
    async def handler(socket):
        await socket.send_json({"text": "x" * size})

    with EventStream("127.0.0.1", serve(handler), "/ws") as events:
        assert events.receive(30) == {"text": "x" * size}


def test_pictures_are_skipped_pings_answered_and_the_end_is_seen(serve):
    async def handler(socket):
        await socket.send_bytes(b"\x00" * 500)
        await socket.ping(b"are you there")
        await socket.send_json({"n": 1})
        # Returns when the client's pong has come; with none the client would see no second message.
        message = await socket.receive()
        await socket.send_json({"got": message.type.name})

    port = serve(handler)
    with EventStream("127.0.0.1", port, "/ws") as events:
        assert events.receive(30) == {"n": 1}
        assert events.receive(0.2) is None and events.is_open

    async def ends(socket):
        await socket.close()

    with EventStream("127.0.0.1", serve(ends), "/ws") as events:
        assert events.receive(30) is None and not events.is_open


def test_message_cut_by_the_timeout_is_not_lost(serve):
    ready = threading.Event()

    async def handler(socket):
        whole = b'{"n": 7}'
        transport = socket._req.transport
        transport.write(bytes([0x81, len(whole)]) + whole[:3])
        while not ready.is_set():
            await asyncio.sleep(0.01)
        transport.write(whole[3:])
        await asyncio.sleep(1)

    with EventStream("127.0.0.1", serve(handler), "/ws") as events:
        assert events.receive(0.3) is None and events.is_open
        ready.set()
        assert events.receive(30) == {"n": 7}


def test_a_page_that_is_no_websocket_is_refused(serve):
    async def handler(socket):
        pass

    with pytest.raises(ConnectionError, match="refused the WebSocket"):
        EventStream("127.0.0.1", serve(handler), "/nothing")
