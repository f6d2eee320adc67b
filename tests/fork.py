"""Stands for a process that `tests/warm.py` forks, where a program starts it: fork.py ADDRESS -m WORDS...

It passes on signals and the exit code. The fork ends with it, even if it is killed. It imports little,
because it is run as a script by a Python without `site`.
"""

import json
import os
import signal
import socket
import sys

PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1)


def main() -> int:
    address, _, *words = sys.argv[1:]
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)  # until there is who gets them
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        wanted = {"words": words, "env": dict(os.environ), "cwd": os.getcwd(), "tied": True}
        wanted["python"] = os.path.join(os.path.dirname(address), "python")
        request = json.dumps(wanted).encode()
        socket.send_fds(server, [f"{len(request):8}".encode()], [1, 2])
        server.sendall(request)
        pid = int(server.recv(8, socket.MSG_WAITALL))
        for number in PASSED_ON:
            signal.signal(number, lambda received, _: os.kill(pid, received))
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        code = int(server.recv(8, socket.MSG_WAITALL))
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main())
