"""Processes that the bench starts: each in a group of its own, ended with all that it started, and its cost read from /proc."""
import contextlib
import dataclasses
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

PORTS = ("grpc", "secure", "http", "https", "monitoring")
READY_LIMIT = 120  # seconds from start to the first 200 of /ready
TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """Why a measurement could not be made."""


def free_ports(names=PORTS):
    """a free loopback port for each name; all are held at once, so that they differ"""
    with contextlib.ExitStack() as stack:
        held = {name: stack.enter_context(socket.socket()) for name in names}
        for one in held.values():
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in held.items()}


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a process has used so far."""
    cpu: float   # seconds, user and system, all threads
    rss: int     # bytes now
    peak: int    # bytes at most


def usage(pid):
    """the usage of a live process"""
    # The command's name is in brackets and may hold spaces; user and system time are fields 14 and 15 of the line.
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    kilobytes = {key: int(status[key].split()[0]) for key in ("VmRSS", "VmHWM")}
    return Usage((int(fields[11]) + int(fields[12])) / TICKS, kilobytes["VmRSS"] * 1024, kilobytes["VmHWM"] * 1024)


@contextlib.contextmanager
def started(command, log):
    """the running process; its whole group is ended at the end, whatever happens in between"""
    with open(log, "wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        yield process
    finally:
        end_group(process)


def end_group(process):
    """asks the process's group to end, and ends it after five seconds; a group that is gone already is fine"""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        pass
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def await_listening(process, port, log, limit=READY_LIMIT):
    """returns when something accepts connections at a loopback port"""
    def accepts():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False
    _await(process, accepts, f"nothing listens at port {port}", log, limit)


def await_ready(process, port, log, limit=READY_LIMIT):
    """returns when GET /ready at a loopback port is answered with 200"""
    def ready():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=1) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False
    _await(process, ready, f"/ready at port {port} is not 200", log, limit)


def _await(process, done, what, log, limit):
    end = time.monotonic() + limit
    while not done():
        if process.poll() is not None:
            raise Failed(f"{process.args[0]} ended with {process.returncode}: {tail(log)}")
        if time.monotonic() > end:
            raise Failed(f"{process.args[0]}: {what} after {limit} s: {tail(log)}")
        time.sleep(0.01)


def tail(log, size=600):
    """the end of a log, on one line"""
    return pathlib.Path(log).read_text(errors="replace")[-size:].strip().replace("\n", " | ")
