"""Connects back to each server that announces itself, for a while, and prints when it succeeds."""

import json
import socket
import threading
import time

SECONDS = 30
# A policy that denies drops packets: a connection attempt ends by its timeout only.
TIMEOUT = 0.5


def connects(address: str) -> bool:
    try:
        socket.create_connection((address, 8080), TIMEOUT).close()
    except OSError:
        return False
    return True


def watch(kind: str, address: str) -> None:
    start = time.monotonic()
    last = None
    while time.monotonic() - start < SECONDS:
        if connects(address):
            last = round(time.monotonic() - start, 1)
        time.sleep(0.1)
    answer = {"kind": kind, "last": last, "open": connects(address)}
    print("result:", json.dumps(answer), flush=True)


def main() -> None:
    announcements = socket.create_server(("", 9000))
    while True:
        connection, _ = announcements.accept()
        with connection:
            kind, address = connection.makefile().readline().split()
        threading.Thread(target=watch, args=(kind, address)).start()


if __name__ == "__main__":
    main()
