"""python-socketio against the conformance server, over each transport."""

import asyncio
import queue
import unittest

import socketio

from server import PATIENCE, TRANSPORTS, Server

# Text, binary at several depths, and every type of JSON value.
ARGUMENTS = (1, 2.5, "text ✓", True, None, [1, [2]], {"deep": [b"\x00\x01\xff"]}, b"top", b"")


class Base:
    transports = None

    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.stop)


class Sync(Base, unittest.TestCase):
    def client(self, **options):
        client = socketio.Client(reconnection_delay=0.1, randomization_factor=0, **options)
        self.addCleanup(client.disconnect)
        return client

    def connect(self, client, **options):
        client.connect(self.server.url, transports=self.transports, wait_timeout=PATIENCE, **options)

    def events(self, client, event, namespace="/"):
        events = queue.Queue()
        client.on(event, lambda *args: events.put(args), namespace=namespace)
        return lambda: events.get(timeout=PATIENCE)

    def test_auth_reaches_the_server(self):
        client = self.client()
        auth = self.events(client, "auth")
        self.connect(client, auth={"token": "123"})
        self.assertEqual(auth(), ({"token": "123"},))
        self.assertEqual(client.transport(), self.transports[-1])

    def test_events_with_binary_are_echoed(self):
        client = self.client()
        back = self.events(client, "message-back")
        self.connect(client)
        # This client accepts at most 16 packets in one body by default. Each event here takes four.
        for burst in range(5):
            for n in range(3):
                client.emit("message", (burst, n, *ARGUMENTS))
            for n in range(3):
                self.assertEqual(back(), (burst, n, *ARGUMENTS))

    def test_the_server_acknowledges_an_event(self):
        client = self.client()
        self.connect(client)
        answer = client.call("message-with-ack", ARGUMENTS, timeout=PATIENCE)
        self.assertEqual(tuple(answer), ARGUMENTS)

    def test_the_client_acknowledges_an_event(self):
        client, answers = self.client(), queue.Queue()

        @client.on("emit-with-ack")
        def answer(*args):
            answers.put(args)
            return "yes", b"\x07"

        self.connect(client)
        client.emit("emit-with-ack", (1, b"\x02"))
        self.assertEqual(answers.get(timeout=PATIENCE), (1, b"\x02"))
        self.assertEqual(answers.get(timeout=PATIENCE), ("yes", b"\x07"))

    def test_each_namespace_gets_its_own_events(self):
        client = self.client()
        custom = self.events(client, "message-back", "/custom")
        main = self.events(client, "message-back")
        self.connect(client, namespaces=["/", "/custom"])
        client.emit("message", "for custom", namespace="/custom")
        client.emit("message", "for main")
        self.assertEqual((custom(), main()), (("for custom",), ("for main",)))
        self.assertNotEqual(client.get_sid("/"), client.get_sid("/custom"))

    def test_an_unknown_namespace_is_refused(self):
        client = self.client()
        refused = self.events(client, "connect_error", "/nowhere")
        with self.assertRaises(socketio.exceptions.ConnectionError):
            self.connect(client, namespaces=["/nowhere"])
        self.assertEqual(refused(), ({"message": "Invalid namespace"},))

    def test_a_client_that_disconnects_gets_the_reason(self):
        client = self.client()
        left = self.events(client, "disconnect")
        self.connect(client)
        client.disconnect()
        self.assertEqual(left(), (client.reason.CLIENT_DISCONNECT,))

    def test_a_client_reconnects_to_a_restarted_server(self):
        client = self.client()
        connected = self.events(client, "connect")
        left = self.events(client, "disconnect")
        back = self.events(client, "message-back")
        self.connect(client)
        connected()
        # An orderly shutdown sends a close packet on polling, after which this client does not
        # reconnect.
        self.server.crash()
        self.assertEqual(left(), (client.reason.TRANSPORT_ERROR,))
        self.server.start()
        connected()
        # The event precedes the client's own `connected` flag by a moment.
        while not client.connected:
            client.sleep(0.01)
        client.emit("message", "again")
        self.assertEqual(back(), ("again",))


class Async(Base, unittest.IsolatedAsyncioTestCase):
    def client(self):
        client = socketio.AsyncClient(reconnection_delay=0.1, randomization_factor=0)
        self.addAsyncCleanup(client.disconnect)
        return client

    async def connect(self, client, **options):
        await client.connect(
            self.server.url, transports=self.transports, wait_timeout=PATIENCE, **options
        )

    def events(self, client, event, namespace="/"):
        events = asyncio.Queue()
        client.on(event, lambda *args: events.put_nowait(args), namespace=namespace)
        return lambda: asyncio.wait_for(events.get(), PATIENCE)

    async def test_auth_reaches_the_server_and_events_with_binary_are_echoed(self):
        client = self.client()
        auth, back = self.events(client, "auth"), self.events(client, "message-back")
        await self.connect(client, auth={"token": "123"})
        self.assertEqual(await auth(), ({"token": "123"},))
        self.assertEqual(client.transport(), self.transports[-1])
        await client.emit("message", ARGUMENTS)
        self.assertEqual(await back(), ARGUMENTS)

    async def test_both_ends_acknowledge_events(self):
        client, answers = self.client(), asyncio.Queue()

        @client.on("emit-with-ack")
        async def answer(*args):
            await answers.put(args)
            return "yes", b"\x07"

        await self.connect(client)
        given = await client.call("message-with-ack", ARGUMENTS, timeout=PATIENCE)
        self.assertEqual(tuple(given), ARGUMENTS)
        await client.emit("emit-with-ack", (1, b"\x02"))
        self.assertEqual(await asyncio.wait_for(answers.get(), PATIENCE), (1, b"\x02"))
        self.assertEqual(await asyncio.wait_for(answers.get(), PATIENCE), ("yes", b"\x07"))

    async def test_each_namespace_gets_its_own_events(self):
        client = self.client()
        custom = self.events(client, "message-back", "/custom")
        await self.connect(client, namespaces=["/", "/custom"])
        await client.emit("message", "for custom", namespace="/custom")
        self.assertEqual(await custom(), ("for custom",))

    async def test_a_client_reconnects_and_disconnects_with_a_reason(self):
        client = self.client()
        connected, left = self.events(client, "connect"), self.events(client, "disconnect")
        await self.connect(client)
        await connected()
        self.server.crash()
        self.assertEqual(await left(), (client.reason.TRANSPORT_ERROR,))
        self.server.start()
        await connected()
        # The event precedes the client's own `connected` flag by a moment.
        while not client.connected:
            await asyncio.sleep(0.01)
        await client.disconnect()
        self.assertEqual(await left(), (client.reason.CLIENT_DISCONNECT,))


def load_tests(loader, _, __):
    suite = unittest.TestSuite()
    for kind, base in {"sync": Sync, "async": Async}.items():
        for name, transports in TRANSPORTS.items():
            case = type(f"socketio {kind} {name}", (base,), {"transports": transports})
            suite.addTests(loader.loadTestsFromTestCase(case))
    return suite
