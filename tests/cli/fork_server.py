"""Forks commands off a process that has imported all they need: `python -m tests.cli.fork_server SOCKET`.

A command's time goes into imports above all, and the tests run hundreds of commands. One that is forked is a process
with its own environment, folder and streams as any other; only the interpreter's own end is left out.
"""

import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
from typing import Any, NoReturn

import jobtrail.cli
from jobtrail.cli.main import run

Request = dict[str, Any]


def await_request(listener: socket.socket) -> Request:
    """Wait for requests; return each of them, in a process that is forked for it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            sys.exit()  # whoever started this process is gone
        connection, _ = listener.accept()
        with connection:
            if os.fork() == 0:
                listener.close()
                return attend(connection)


def attend(connection: socket.socket) -> Request:
    """Read a request, return it in a process of its own, and tell that one's exit code in the end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with connection.makefile() as lines:
        request: Request = json.loads(lines.readline())
    command = os.fork()
    if command == 0:
        return request
    _, status = os.waitpid(command, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def carry_out(request: Request) -> NoReturn:
    """Run a command."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for stream, file in enumerate((os.devnull, request["stdout"], request["stderr"])):
        os.dup2(os.open(file, os.O_RDWR), stream)
    sys.argv = ["jobtrail", *request["arguments"]]
    try:
        run()
    except SystemExit as leaving:
        assert isinstance(leaving.code, int)
        for output in (sys.stdout, sys.stderr):
            output.flush()
        os._exit(leaving.code)  # an interpreter's end would touch, and so copy, all that was imported
    raise AssertionError("run() ends the process")


if __name__ == "__main__":
    for module in pkgutil.walk_packages(jobtrail.cli.__path__, "jobtrail.cli."):
        importlib.import_module(module.name)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(sys.argv[1])
        door.listen()
        gc.freeze()
        print("ready", flush=True)
        asked = await_request(door)
    carry_out(asked)
