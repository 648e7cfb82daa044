"""python-socketio as the server: prints its port, and ends when its input does."""

import asyncio
import os
import sys
import threading

import socketio
from aiohttp import web

sio = socketio.AsyncServer(async_mode="aiohttp", cors_allowed_origins="*", namespaces="*")


async def connect(sid, environ, auth):
    if not auth or not str(auth.get("token", "")).startswith("good"):
        raise socketio.exceptions.ConnectionRefusedError("bad token", {"code": 401})


def serve(namespace):
    sio.on("connect", connect, namespace=namespace)

    @sio.on("echo-ack", namespace=namespace)
    async def echo(sid, *args):
        return args

    @sio.on("ask-me", namespace=namespace)
    async def ask(sid, value):
        async def later():
            reply = await sio.call("question", value, to=sid, namespace=namespace)
            await sio.emit("answered", reply, to=sid, namespace=namespace)

        sio.start_background_task(later)


for namespace in ["/", "/admin"]:
    serve(namespace)


async def main():
    app = web.Application()
    sio.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
asyncio.run(main())
