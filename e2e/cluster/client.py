"""A small client of an API server: objects in, over a few kept connections."""
import collections
import concurrent.futures
import http.client
import json
import threading
import time
import urllib.parse

from apiserver import TOKEN, unverified
from process import Failed

JSON, MERGE = "application/json", "application/merge-patch+json"
PARALLEL = 8
# Kinds without which the others cannot be made.
FIRST = {"CustomResourceDefinition": 0, "Namespace": 1}


class Client:
    """Makes, changes and takes away objects. Threads may share it: each has a connection of its own."""

    def __init__(self, url):
        self.host = urllib.parse.urlsplit(url).netloc
        self.local, self.kinds, self.lock = threading.local(), {}, threading.Lock()

    def request(self, method, path, body=None, content_type=JSON):
        """(status, document)"""
        status, text = self.text(path, method, body, content_type)
        return status, json.loads(text) if text else {}

    def text(self, path, method="GET", body=None, content_type=JSON):
        """(status, text)"""
        headers = {"Authorization": f"Bearer {TOKEN}", "Accept": f"{JSON}, */*", "Content-Type": content_type}
        data = None if body is None else json.dumps(body)
        for attempt in (0, 1):
            if getattr(self.local, "connection", None) is None:
                self.local.connection = http.client.HTTPSConnection(self.host, timeout=60, context=unverified())
            try:
                self.local.connection.request(method, path, data, headers)
                answer = self.local.connection.getresponse()
                return answer.status, answer.read().decode()
            except (http.client.HTTPException, OSError):
                self.local.connection = None
                if attempt:
                    raise

    def must(self, method, path, body=None, content_type=JSON, also=()):
        """the document, if the answer is a success or one of `also`"""
        status, document = self.request(method, path, body, content_type)
        if status >= 300 and status not in also:
            raise Failed(f"{method} {path}: {status} {document.get('message', document)}")
        return document

    def resource(self, version, kind):
        """(prefix of paths, plural, whether namespaced) of a kind"""
        with self.lock:
            if (version, kind) not in self.kinds:
                prefix = f"/api/{version}" if "/" not in version else f"/apis/{version}"
                _, listed = self.request("GET", prefix)
                for one in listed.get("resources", []):
                    if "/" not in one["name"]:
                        self.kinds[version, one["kind"]] = (prefix, one["name"], one["namespaced"])
            if (version, kind) not in self.kinds:
                raise Failed(f"the server has no {kind} of {version}")
            return self.kinds[version, kind]

    def path(self, document, name=True):
        """where an object is, or would be made"""
        prefix, plural, namespaced = self.resource(document["apiVersion"], document["kind"])
        meta = document["metadata"]
        where = f"{prefix}/namespaces/{meta.get('namespace', 'default')}/{plural}" if namespaced else f"{prefix}/{plural}"
        return f"{where}/{meta['name']}" if name else where

    def apply(self, document):
        """makes an object with its status; one that is there gets the new form"""
        status, told = self.request("POST", self.path(document, name=False), document)
        if status == 409:
            self.must("PATCH", self.path(document), {k: v for k, v in document.items() if k != "status"}, MERGE)
        elif status >= 300:
            raise Failed(f"{document['kind']} {document['metadata']}: {status} {told.get('message', told)}")
        if "status" in document and document["kind"] != "CustomResourceDefinition":
            self.must("PATCH", f"{self.path(document)}/status", {"status": document["status"]}, MERGE)

    def apply_all(self, documents):
        """makes objects, several at once; those that others need first"""
        stages = collections.defaultdict(list)
        for document in documents:
            stages[FIRST.get(document["kind"], 2)].append(document)
        for stage in sorted(stages):
            with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
                list(pool.map(self.apply, stages[stage]))

    def delete(self, document):
        """takes an object away, at once"""
        self.must("DELETE", self.path(document), {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}, also=(404,))
        if document["kind"] == "Namespace":
            # The controller that would do this is not there.
            _, left = self.request("GET", self.path(document))
            if left.get("kind") == "Namespace":
                left["spec"]["finalizers"] = []
                self.must("PUT", f"{self.path(document)}/finalize", left, also=(404, 409))

    def delete_all(self, documents):
        """takes objects away in the other order"""
        for stage in (2, 1, 0):
            with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
                list(pool.map(self.delete, [d for d in documents if FIRST.get(d["kind"], 2) == stage]))

    def define(self, definitions):
        """installs CustomResourceDefinitions and returns when their kinds are served"""
        self.apply_all(definitions)
        end = time.monotonic() + 60
        waiting = list(definitions)
        while waiting:
            def established(definition):
                _, now = self.request("GET", self.path(definition))
                return any(c["type"] == "Established" and c["status"] == "True" for c in now.get("status", {}).get("conditions") or [])
            waiting = [one for one in waiting if not established(one)]
            if waiting and time.monotonic() > end:
                raise Failed(f"not established after 60 s: {', '.join(one['metadata']['name'] for one in waiting)}")
            time.sleep(0.1 if waiting else 0)
        with self.lock:
            self.kinds.clear()
