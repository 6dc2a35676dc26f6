"""python-engineio against the echo server: text and binary in order, and the end of a session."""

import asyncio
import queue
import unittest

import engineio

from server import PATIENCE, PING_INTERVAL, TRANSPORTS, Server

MESSAGES = ["hello", "utf-8 ✓ 𝄞", b"\x00\x01\xff", "", "x" * 100_000, b"y" * 100_000]


class Base:
    transports = None
    name = None

    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()


class Sync(Base):
    def test_messages_are_echoed_in_order(self):
        received = queue.Queue()
        client = engineio.Client()
        client.on("message", received.put)
        client.connect(self.server.url, transports=self.transports)
        self.assertEqual(client.transport(), self.transports[-1])
        for message in MESSAGES:
            client.send(message)
        self.assertEqual([received.get(timeout=PATIENCE) for _ in MESSAGES], MESSAGES)
        client.disconnect()

    def test_the_heartbeat_keeps_a_session_alive_and_its_end_has_a_reason(self):
        received, ended = queue.Queue(), queue.Queue()
        client = engineio.Client()
        client.on("message", received.put)
        client.on("disconnect", ended.put)
        client.connect(self.server.url, transports=self.transports)
        client.sleep(4 * PING_INTERVAL / 1000)
        client.send("still here")
        self.assertEqual(received.get(timeout=PATIENCE), "still here")
        client.disconnect()
        self.assertEqual(ended.get(timeout=PATIENCE), client.reason.CLIENT_DISCONNECT)


class Async(Base, unittest.IsolatedAsyncioTestCase):
    async def test_messages_are_echoed_in_order(self):
        received = asyncio.Queue()
        client = engineio.AsyncClient()
        client.on("message", received.put_nowait)
        await client.connect(self.server.url, transports=self.transports)
        self.assertEqual(client.transport(), self.transports[-1])
        for message in MESSAGES:
            await client.send(message)
        for message in MESSAGES:
            self.assertEqual(await asyncio.wait_for(received.get(), PATIENCE), message)
        await client.disconnect()


class Settings(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_another_path_is_refused(self):
        with self.assertRaises(engineio.exceptions.ConnectionError):
            engineio.Client().connect(self.server.url, engineio_path="nowhere")


def load_tests(loader, _, __):
    suite = unittest.TestSuite(loader.loadTestsFromTestCase(Settings))
    for kind, bases in {"sync": (Sync, unittest.TestCase), "async": (Async,)}.items():
        for name, transports in TRANSPORTS.items():
            case = type(f"engineio {kind} {name}", bases, {"transports": transports})
            suite.addTests(loader.loadTestsFromTestCase(case))
    return suite
