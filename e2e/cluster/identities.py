"""Workloads on an API server, each a service account with a pod and a token that is bound to it."""
import concurrent.futures

from client import PARALLEL

AUDIENCE = "istio-ca"
LIFE = 3600  # seconds
NAMESPACES = 20


def make(client, count):
    """makes that many; (SPIFFE id, token) of each"""
    client.apply_all([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(n)}} for n in range(NAMESPACES)])
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(lambda n: workload(client, n), range(count)))


def namespace(number):
    return f"crowd-{number % NAMESPACES:02d}"


def workload(client, number):
    """makes one; (SPIFFE id, token)"""
    where, name = namespace(number), f"worker-{number:05d}"
    meta = {"name": name, "namespace": where}
    client.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    address = f"10.{100 + number // 65536}.{number // 256 % 256}.{number % 256}"
    client.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {**meta, "labels": {"app": name}},
                  "spec": {"serviceAccountName": name, "containers": [{"name": "app", "image": "app"}]},
                  "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}})
    pod = client.must("GET", f"/api/v1/namespaces/{where}/pods/{name}")
    bound = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
             "spec": {"audiences": [AUDIENCE], "expirationSeconds": LIFE, "boundObjectRef": bound}}
    given = client.must("POST", f"/api/v1/namespaces/{where}/serviceaccounts/{name}/token", asked)
    return f"spiffe://cluster.local/ns/{where}/sa/{name}", given["status"]["token"]
