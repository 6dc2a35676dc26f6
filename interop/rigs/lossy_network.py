"""Joins two network namespaces by a line that delays and drops packets. Needs root and /dev/net/tun.

    python3 lossy_network.py LOSS DELAY

drops each packet with the probability LOSS and delays it by DELAY seconds. Creates the namespaces `rig-server`
(10.77.0.1) and `rig-client` (10.77.0.2), prints `ready`, and removes them on SIGTERM or Ctrl-C.
"""

import fcntl
import heapq
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
ENDS = [("rig-server", "rig0", "10.77.0.1", "10.77.0.2"), ("rig-client", "rig1", "10.77.0.2", "10.77.0.1")]


def tun(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN_NO_PI))
    return fd


def run(command):
    subprocess.check_call(command.split())


def relay(fds, loss, delay):
    waiting = []
    count = 0
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, fd, packet = heapq.heappop(waiting)
            try:
                os.write(fd, packet)
            except BlockingIOError:
                pass
        pause = max(0, waiting[0][0] - now) if waiting else 1
        readable, _, _ = select.select(fds, [], [], pause)
        for fd in readable:
            try:
                packet = os.read(fd, 65535)
            except BlockingIOError:
                continue
            if random.random() >= loss:
                count += 1
                other = fds[1] if fd == fds[0] else fds[0]
                heapq.heappush(waiting, (time.monotonic() + delay, count, other, packet))


def main():
    loss, delay = float(sys.argv[1]), float(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    fds = [tun(device) for _, device, _, _ in ENDS]
    try:
        for namespace, device, address, peer in ENDS:
            run(f"ip netns add {namespace}")
            run(f"ip link set {device} netns {namespace}")
            run(f"ip -n {namespace} addr add {address} peer {peer} dev {device}")
            run(f"ip -n {namespace} link set {device} up")
        print("ready", flush=True)
        relay(fds, loss, delay)
    except KeyboardInterrupt:
        pass
    finally:
        for namespace, *_ in ENDS:
            subprocess.call(["ip", "netns", "del", namespace])


main()
