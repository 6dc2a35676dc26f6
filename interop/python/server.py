"""Starts the conformance server as a process."""

import os
import socket
import subprocess

# Longer than any pause of a busy machine, shorter than PATIENCE.
PING_INTERVAL = 400
PING_TIMEOUT = 8000

# The time limit of each wait, in seconds. Only a hang reaches it.
PATIENCE = 20

TRANSPORTS = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


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
