"""Tests of the bench itself: what it reads out of adsload's lines and /proc, what it prints, and that it leaves nothing behind."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

import changes
import load
import process
from table import Row, render

LINES = """connected: 100 of 100 streams had all clusters, endpoints, listeners and routes after 1.234 s; 1230.0 MB in 400 messages
round 0: 100/100 streams; ms after the change: first 1.0 p50 2.0 p99 3.0 last 4.0 (making the change took 0.1); 192.00 MB
median over rounds of the last stream: 4.0 ms; worst 9.5 ms
reconnected: 0.265 MB in 3 messages were sent again, 0.250 MB of it resources and names of removed ones
this client used 1.0 s of CPU""".splitlines()


class Parse(unittest.TestCase):
    def test_figures(self):
        self.assertEqual(load.parse(LINES), load.Result(1.234, 1230.0, 4.0, 9.5, 0, 0.25))

    def test_streams_that_were_not_served_are_no_figure(self):
        line = LINES[0].replace("100 of 100", "99 of 100")
        self.assertIsNone(load.parse([line]).connect)

    def test_a_round_that_somebody_missed_leaves_no_median(self):
        for missed in ("round 1: no stream saw the change", LINES[1].replace("100/100", "7/100")):
            found = load.parse([*LINES, missed])
            self.assertEqual((found.unseen, found.median, found.worst), (1, None, None))


class Table(unittest.TestCase):
    def test_aims(self):
        self.assertTrue(Row("a", 1.6, "s", floor=1.0, aim_ratio=1.6).held())
        self.assertFalse(Row("a", 1.7, "s", floor=1.0, aim_ratio=1.6).held())
        self.assertFalse(Row("a", 0.3, "MB", aim=0.0).held())
        self.assertIsNone(Row("a", 0.3, "MB").held())
        self.assertIsNone(Row("a", None, "MB", aim=1.0).held())

    def test_cells(self):
        rows = [Row("a", 0.5, "s", floor=0.25, aim_ratio=1.6), Row("b", 177.4, "ms", aim=20), Row("c", None, "", note="it broke")]
        text = render(rows)
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]
        self.assertEqual(cells[0], ["a", "0.5 s", "0.25 s", "2.0", "1.6 x floor", "no"])
        self.assertEqual(cells[1], ["b", "177 ms", "-", "-", "20 ms", "no"])
        self.assertEqual(cells[2][:2], ["c", "not measured: it broke"])


class Processes(unittest.TestCase):
    def test_ports_differ(self):
        self.assertEqual(len(set(process.free_ports().values())), len(process.PORTS))

    def test_usage_counts_work(self):
        before = process.usage(os.getpid())
        deadline = time.process_time() + 0.2
        while time.process_time() < deadline:
            pass
        after = process.usage(os.getpid())
        self.assertGreater(after.cpu, before.cpu)
        self.assertGreaterEqual(after.peak, after.rss)

    def test_children_end_with_a_failed_measurement(self):
        # The child's child prints its id and would sleep for long: it must be gone when the measurement failed.
        code = "import subprocess, sys, time; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True); time.sleep(600)"
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder, "log")
            with self.assertRaises(process.Failed):
                with process.started([sys.executable, "-c", code], log) as child:
                    while not log.read_text().endswith("\n"):
                        self.assertIsNone(child.poll())
                        time.sleep(0.01)
                    raise process.Failed("on purpose")
            # Nobody waits for the child's child, which ends a moment after it was told to.
            deadline = time.monotonic() + 10
            while is_running(int(log.read_text())):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)

    def test_one_that_ends_early_is_told_with_its_last_words(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder, "log")
            with process.started([sys.executable, "-c", "import sys; sys.exit('no such flag')"], log) as child:
                with self.assertRaisesRegex(process.Failed, "ended with 1: no such flag"):
                    process.await_ready(child, process.free_ports(("http",))["http"], log)


def is_running(pid):
    """whether a process runs; one that has ended and waits to be collected does not"""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Changes(unittest.TestCase):
    def test_changes_are_whole_and_leave_the_measured_service_alone(self):
        genmesh = pathlib.Path(__file__).resolve().parent.parent / "tools" / "genmesh.py"
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, genmesh, folder, "--namespaces", "2", "--services", "2"], check=True, stdout=subprocess.DEVNULL)
            mesh = pathlib.Path(folder, "mesh")
            measured = (mesh / "team-000" / "svc-00.endpointslice.yaml").read_text()
            changer = changes.Changer(mesh, rate=1000, seconds=0.003)
            changer.start()
            changer.thread.join()
            self.assertEqual(changer.made, 3)
            ready = [json.loads(path.read_text())["endpoints"][0]["conditions"]["ready"] for path in changer.files]
            self.assertEqual(ready, [True, False])  # changed twice, changed once
            self.assertEqual((mesh / "team-000" / "svc-00.endpointslice.yaml").read_text(), measured)


if __name__ == "__main__":
    unittest.main()
