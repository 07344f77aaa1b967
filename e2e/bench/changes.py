"""Many small changes to a mesh, at an even rate, while somebody else measures."""
import json
import os
import pathlib
import threading
import time


class Changer:
    """Rewrites EndpointSlices of a generated mesh one after the other, each whole by a rename, as a busy cluster would. The service
    whose changes are measured meanwhile, team-000/svc-00, is left alone."""

    def __init__(self, mesh, rate, seconds):
        mesh = pathlib.Path(mesh)
        self.files = [path for path in sorted(mesh.glob("team-*/svc-*.endpointslice.yaml")) if path.parent.name != "team-000"]
        self.rate, self.seconds, self.made = rate, seconds, 0
        self.began = self.ended = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.stop = threading.Event()

    def start(self):
        self.thread.start()

    def finish(self):
        """ends the changes, and returns when the last has been made"""
        self.stop.set()
        if self.thread.ident is not None:
            self.thread.join()

    def _run(self):
        self.began = time.monotonic()
        for number in range(int(self.rate * self.seconds)):
            due = self.began + number / self.rate
            if self.stop.wait(max(0.0, due - time.monotonic())):
                break
            self._change(self.files[number % len(self.files)])
            self.made += 1
        self.ended = time.monotonic()

    @staticmethod
    def _change(path):
        """turns one endpoint not ready, or ready again"""
        document = json.loads(path.read_text())
        conditions = document["endpoints"][0]["conditions"]
        conditions["ready"] = not conditions["ready"]
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(json.dumps(document) + "\n")
        os.replace(temporary, path)
