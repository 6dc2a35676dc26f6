"""python-socketio (asyncio, aiohttp) with the contract of the `bench` rig."""

import os

import socketio
from aiohttp import web

io = socketio.AsyncServer(
    async_mode="aiohttp",
    ping_interval=int(os.environ.get("PING_INTERVAL", 25000)) / 1000,
    ping_timeout=int(os.environ.get("PING_TIMEOUT", 20000)) / 1000,
    # Handlers run in the order of their events.
    async_handlers=False,
)
app = web.Application()
io.attach(app)


@io.on("echo")
async def echo(sid, *args):
    await io.emit("echo", args, to=sid)


@io.on("bin")
async def binary(sid, data):
    await io.emit("bin", data, to=sid)


@io.on("ack")
async def ack(sid, *args):
    return args


@io.on("join")
async def join(sid, room):
    await io.enter_room(sid, room)
    return ()


@io.on("cast")
async def cast(sid, text):
    await io.emit("cast", text)


@io.on("roomcast")
async def roomcast(sid, room, text):
    await io.emit("roomcast", text, to=room)


async def announce(_):
    print("LISTENING", flush=True)


app.on_startup.append(announce)
port = int(os.environ.get("PORT", 3000))
web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None, backlog=512)
