"""The relay's gate: answers whether a checkout of git-sync may be published.

git-sync's image has no Python, so its publish script (dag_relay_publish.sh) asks this container. It
listens on loopback only, and reads the volumes. A request is one line with tabs between the folder
of the checkout, `dags.sub_path` and `dags.lfs`; the answer is a line for each mistake, then `done`.
"""

# pyright: reportMissingImports=false
# In the pod, dag_relay_gate.py is the module `gate` beside this script.

import os
import signal
import sys
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

# A log line of git-sync contains them all.
SHOWN = 10


def answer(folder: str, sub_path: str, lfs: str) -> list[str]:
    import gate

    limits = gate.Limits(
        sub_path=sub_path,
        max_mb=int(os.environ["MAX_MB"]),
        max_file_mb=int(os.environ["MAX_FILE_MB"]),
        max_files=int(os.environ["MAX_FILES"]),
    )
    found = gate.check(gate.committed(Path(folder), lfs == "true"), limits)
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return [*(str(finding).replace("\n", "?") for finding in found[:SHOWN]), *more]


class Request(StreamRequestHandler):
    timeout = 10  # for the request line

    def handle(self) -> None:
        fields = self.rfile.readline().decode().rstrip("\n").split("\t")
        lines = [*answer(*fields), "done"]
        self.wfile.write("".join(f"{line}\n" for line in lines).encode())


class Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    # PID 1 of a container ignores SIGTERM unless it handles the signal.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with Server(("127.0.0.1", int(os.environ["PORT"])), Request) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
