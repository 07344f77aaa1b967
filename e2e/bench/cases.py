"""What is measured: the cases of one control plane on one mesh, and of the floor for the same bytes."""
import contextlib
import dataclasses
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import load
from changes import Changer
from process import Failed, await_listening, await_ready, free_ports, started, usage

HERE = pathlib.Path(__file__).resolve().parent
GENMESH = HERE.parent / "tools" / "genmesh.py"
ROUTE = ("team-000/svc-00.virtualservice.yaml", "route-%d", "marker-rds-%d-end")
ENDPOINT = ("team-000/svc-00.endpointslice.yaml", "endpoint-%d", "10.99.0.1%d")
MB = 1e6


@dataclasses.dataclass(frozen=True)
class Tools:
    """Where the programs are and where files may go."""
    binary: pathlib.Path
    floor: pathlib.Path
    adsload: pathlib.Path
    work: pathlib.Path
    repeat: int

    def mesh(self, name, *options):
        """a fresh mesh of genmesh.py with ten staged changes"""
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        for arguments in ((), ("--stage", "10")):
            subprocess.run([sys.executable, GENMESH, folder, *options, *arguments], check=True, timeout=120, stdout=subprocess.DEVNULL)
        return folder

    @contextlib.contextmanager
    def control_plane(self, mesh):
        """the control plane under test, ready, on a mesh: (process, port)"""
        ports, log = free_ports(), self.work / "control-plane.log"
        command = [self.binary, "discovery", "--configDir", mesh / "mesh"]
        for flag, name in (("grpcAddr", "grpc"), ("secureGRPCAddr", "secure"), ("httpAddr", "http"), ("httpsAddr", "https"),
                           ("monitoringAddr", "monitoring")):
            command += [f"--{flag}", f"127.0.0.1:{ports[name]}"]
        with started(command, log) as process:
            await_ready(process, ports["http"], log)
            yield process, ports["grpc"]

    @contextlib.contextmanager
    def floor_server(self, *options):
        """the floor: (process, port)"""
        port, log = free_ports(("grpc",))["grpc"], self.work / "floor.log"
        with started([self.floor, "-addr", f"127.0.0.1:{port}", *options], log) as process:
            await_listening(process, port, log)
            yield process, port

    def load(self, port, mesh, streams, *options, **more):
        """one run of adsload with the nodes of a mesh"""
        return load.run(self.adsload, port, mesh / "nodes.tsv", streams, options, **more)


@dataclasses.dataclass
class Connect:
    """Medians over some fresh servers of what it takes to serve so many streams that come at once."""
    seconds: float
    cpu: float
    peak: float        # MB
    megabytes: float   # sent


def connect(tools, serve, mesh, streams, *options):
    """measures it; `serve` makes a server each time"""
    runs = []
    for _ in range(tools.repeat):
        with serve() as (process, port):
            before, after = usage(process.pid), []
            result = tools.load(port, mesh, streams, "-gap", "0s", *options,
                                on_connected=lambda: after.append(usage(process.pid)))
        if result.connect is None:
            raise Failed(f"not all of {streams} streams were served within 120 s")
        runs.append(Connect(result.connect, after[0].cpu - before.cpu, after[0].peak / MB, result.megabytes))
    return Connect(*(statistics.median(getattr(run, field.name) for run in runs) for field in dataclasses.fields(Connect)))


def change(tools, port, mesh, streams, kind, *options):
    """ms from a change to the last stream concerned, median of five rounds"""
    target, staged, marker = kind
    result = tools.load(port, mesh, streams, "-rounds", 5, "-gap", "1s", "-wait", "20s", "-swap",
                        f"{mesh}/staged/{staged}={mesh}/mesh/{target}", "-marker", marker, *options)
    if result.median is None:
        raise Failed("a round was not seen by every stream concerned")
    return result.median


def reconnect(tools, port, mesh, streams):
    """MB of resources that are sent again to streams that come back with the versions that they hold"""
    resent = tools.load(port, mesh, streams, "-gap", "1s", "-reconnect").resent
    if resent is None:
        raise Failed("adsload did not tell what was sent again")
    return resent


def idle_memory(tools, mesh, streams):
    """MB of resident memory per idle stream: what more streams take more, so that what all of them share is not counted"""
    few = max(1, streams // 10)
    resident = [idle_resident(tools, mesh, count) for count in (few, streams)]
    return (resident[1] - resident[0]) / (streams - few) / MB


def idle_resident(tools, mesh, streams):
    """bytes resident three seconds after so many streams have everything"""
    found = []

    def settle(pid):
        time.sleep(3)
        found.append(usage(pid).rss)

    with tools.control_plane(mesh) as (process, port):
        result = tools.load(port, mesh, streams, "-per-conn", 10, "-gap", "0s", "-hold", "4s", "-warm", "400s", limit=500,
                            on_connected=lambda: settle(process.pid))
    if result.connect is None:
        raise Failed(f"not all of {streams} streams were served within 400 s")
    return found[0]


@dataclasses.dataclass
class Churn:
    """Under 100 changes a second."""
    cores: float   # CPU seconds per second
    worst: float   # ms, the oldest change unsent among those that were looked for


def churn(tools, port, pid, mesh, streams, seconds):
    """endpoints change at 100 a second while the changes of one more are timed"""
    target, staged, marker = ENDPOINT
    changer, marks = Changer(mesh / "mesh", 100, seconds), []

    def begin():
        marks.append((time.monotonic(), usage(pid).cpu))
        changer.start()

    rounds = max(1, min(10, int(seconds / 3)))
    try:
        result = tools.load(port, mesh, streams, "-rounds", rounds, "-gap", f"{seconds / (rounds + 1):.2f}s", "-wait", "20s", "-swap",
                            f"{mesh}/staged/{staged}={mesh}/mesh/{target}", "-marker", marker, on_connected=begin)
        (began, cpu), now, used = marks[0], time.monotonic(), usage(pid).cpu
    finally:
        changer.finish()
    if result.worst is None:
        raise Failed("a round was not seen by every stream")
    return Churn((used - cpu) / (now - began), result.worst)
