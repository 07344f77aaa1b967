"""adsload, and what its output says."""
import dataclasses
import re
import subprocess
import threading

from process import Failed, end_group

CONNECTED = re.compile(r"connected: (\d+) of (\d+) streams .* after ([\d.]+) s; ([\d.]+) MB in (\d+) messages")
MEDIAN = re.compile(r"median over rounds of the last stream: ([\d.]+) ms; worst ([\d.]+) ms")
ROUND = re.compile(r"round \d+: (?:(\d+)/(\d+) streams|no stream saw the change)")
RECONNECTED = re.compile(r"reconnected: .* messages were sent again, ([\d.]+) MB of it resources")


@dataclasses.dataclass
class Result:
    """What one run of adsload measured; what it was not asked for or did not see is None."""
    connect: float | None = None          # seconds until all streams had everything
    megabytes: float | None = None        # received until then
    median: float | None = None           # ms from a change to the last stream, median over rounds
    worst: float | None = None            # ms, worst round
    unseen: int = 0                       # rounds that not every concerned stream saw
    resent: float | None = None           # MB of resources sent again after a reconnect


def parse(lines):
    """the result that adsload's lines tell; streams that did not get everything leave `connect` None"""
    result = Result()
    for line in lines:
        if found := CONNECTED.search(line):
            if found[1] == found[2]:
                result.connect = float(found[3])
            result.megabytes = float(found[4])
        elif found := MEDIAN.search(line):
            result.median, result.worst = float(found[1]), float(found[2])
        elif found := ROUND.search(line):
            result.unseen += found[1] is None or found[1] != found[2]
        elif found := RECONNECTED.search(line):
            result.resent = float(found[1])
    if result.unseen:
        result.median = result.worst = None
    return result


def run(adsload, port, nodes, streams, options=(), limit=300, on_connected=lambda: None):
    """runs adsload against a loopback port; `on_connected` is called as soon as all streams are served"""
    command = [adsload, "-addr", f"127.0.0.1:{port}", "-n", str(streams), "-nodes", nodes, *map(str, options)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, start_new_session=True)
    watchdog = threading.Timer(limit, end_group, [process])
    watchdog.start()
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if line.startswith("connected:"):
                on_connected()
    finally:
        watchdog.cancel()
        end_group(process)
    if process.returncode:
        raise Failed(f"adsload ended with {process.returncode} within {limit} s: {''.join(lines)[-600:].strip()}")
    return parse(lines)
