"""A server behind a NetworkPolicy: it announces itself to the client, then accepts connections."""

import os
import socket
import time


def announce() -> None:
    while True:
        try:
            with socket.create_connection((os.environ["CLIENT"], 9000), 2) as client:
                client.sendall(f"{os.environ['KIND']} {os.environ['POD_IP']}\n".encode())
        except OSError:
            time.sleep(0.2)
        else:
            return


def main() -> None:
    server = socket.create_server(("", 8080))
    announce()
    while True:
        server.accept()[0].close()


if __name__ == "__main__":
    main()
