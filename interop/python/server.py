"""Starts the conformance server as a process."""

import os
import socket
import subprocess

# Longer than any pause of a busy machine, shorter than PATIENCE.
PING_INTERVAL = 400
PING_TIMEOUT = 8000

# The time limit of each wait, in seconds. Only a hang reaches it.
PATIENCE = 60

TRANSPORTS = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
}


# These ports lie below the range from which systems take the ports of outgoing connections. Such a
# connection could otherwise occupy the port of a server that restarts.
FIRST = 10_000
COUNT = 10_000
reserved = []


def free_port():
    """A free port. It stays reserved by another UDP port, as in `xtask/engines/src/port.rs`."""
    for offset in range(COUNT):
        port = FIRST + (os.getpid() * 7 + offset) % COUNT
        reserving = socket.socket(type=socket.SOCK_DGRAM)
        try:
            reserving.bind(("127.0.0.1", port + COUNT))
            with socket.create_server(("127.0.0.1", port)):
                pass
        except OSError:
            reserving.close()
            continue
        reserved.append(reserving)
        return port
    raise RuntimeError("there is no free port")


class Server:
    def __init__(self, port=None):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        settings = {
            "PORT": self.port,
            "PING_INTERVAL": PING_INTERVAL,
            "PING_TIMEOUT": PING_TIMEOUT,
            "MAX_PAYLOAD": 1_000_000,
        }
        environment = os.environ | {name: str(value) for name, value in settings.items()}
        command = [os.environ["CONFORMANCE_SERVER"]]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        while "LISTENING" not in (line := self.process.stdout.readline()):
            if not line:
                raise RuntimeError("the conformance server did not start")

    def crash(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdout.close()

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.process.stdout.close()
