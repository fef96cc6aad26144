"""A server behind a NetworkPolicy: it announces itself to the client, then accepts connections."""

import os
import socket
import time

server = socket.create_server(("", 8080))
announcement = f"{os.environ['KIND']} {os.environ['POD_IP']}\n".encode()
while True:
    try:
        with socket.create_connection((os.environ["CLIENT"], 9000), 2) as client:
            client.sendall(announcement)
        break
    except OSError:
        time.sleep(0.2)
while True:
    server.accept()[0].close()
