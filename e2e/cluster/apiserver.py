"""A real API server with etcd behind it on loopback ports, without nodes or controllers: what is applied stays as it is."""
import contextlib
import dataclasses
import os
import pathlib
import subprocess
import sys
import time
import urllib.request
import ssl

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "bench"))
from process import Failed, free_ports, started, tail  # noqa: E402

TOKEN = "test-token"
START_LIMIT = 120  # seconds

# Every request of one line each, with the size of its answer where the server knows it.
AUDIT_POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata, users: [mesh]}]\n"


@dataclasses.dataclass(frozen=True)
class Server:
    """A running API server."""
    url: str
    kubeconfig: pathlib.Path   # of the control plane's user
    audit: pathlib.Path        # one line of JSON for each request of the control plane's user
    pid: int


def programs():
    """the folder of kube-apiserver and etcd, as scripts/fetch-kubernetes fills it"""
    folder = pathlib.Path(os.environ.get("KUBEBUILDER_ASSETS") or ROOT / "target" / "tools" / "kubernetes-1.34.4")
    for name in ("kube-apiserver", "etcd"):
        if not os.access(folder / name, os.X_OK):
            raise Failed(f"{folder / name} is not there: run scripts/fetch-kubernetes (needs Go), or set KUBEBUILDER_ASSETS")
    return folder


@contextlib.contextmanager
def api_server(work):
    """the running server; its files are in the folder `work`"""
    folder, ports = programs(), free_ports(("etcd", "peer", "api"))
    key = work / "accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True, timeout=60)
    # The control plane is a user of its own, so that the audit log tells its requests from those of whoever applies objects.
    (work / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n{TOKEN}-mesh,mesh,mesh,system:masters\n")
    (work / "audit.yaml").write_text(AUDIT_POLICY)
    etcd_url = f"http://127.0.0.1:{ports['etcd']}"
    etcd = [folder / "etcd", "--data-dir", work / "etcd", "--unsafe-no-fsync", f"--listen-client-urls={etcd_url}", f"--advertise-client-urls={etcd_url}",
            f"--listen-peer-urls=http://127.0.0.1:{ports['peer']}"]
    command = [folder / "kube-apiserver", f"--etcd-servers={etcd_url}", f"--secure-port={ports['api']}", "--bind-address=127.0.0.1",
               "--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none", f"--cert-dir={work}", f"--service-account-key-file={key}",
               f"--service-account-signing-key-file={key}", "--service-account-issuer=https://kubernetes.default.svc",
               "--api-audiences=https://kubernetes.default.svc,istio-ca", f"--token-auth-file={work / 'tokens.csv'}", "--authorization-mode=RBAC",
               "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112", "--allow-privileged",
               # There is no controller that would make the accounts that it waits for.
               "--disable-admission-plugins=ServiceAccount", "--max-requests-inflight=3000", "--max-mutating-requests-inflight=1000",
               f"--audit-policy-file={work / 'audit.yaml'}", f"--audit-log-path={work / 'audit.log'}"]
    url = f"https://127.0.0.1:{ports['api']}"
    with started(etcd, work / "etcd.log"), started(command, work / "kube-apiserver.log") as process:
        await_ready(process, url, work / "kube-apiserver.log")
        kubeconfig = work / "kubeconfig"
        kubeconfig.write_text(f"""apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: mesh}}}}]
clusters: [{{name: test, cluster: {{server: '{url}', certificate-authority: {work / 'apiserver.crt'}}}}}]
users: [{{name: mesh, user: {{token: {TOKEN}-mesh}}}}]
""")
        yield Server(url, kubeconfig, work / "audit.log", process.pid)


def await_ready(process, url, log):
    """returns when the server says that it is ready"""
    request = urllib.request.Request(f"{url}/readyz", headers={"Authorization": f"Bearer {TOKEN}"})
    end = time.monotonic() + START_LIMIT
    while True:
        if process.poll() is not None:
            raise Failed(f"kube-apiserver ended with {process.returncode}: {tail(log)}")
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(request, timeout=2, context=unverified()) as answer:
                if answer.status == 200:
                    return
        if time.monotonic() > end:
            raise Failed(f"kube-apiserver is not ready after {START_LIMIT} s: {tail(log)}")
        time.sleep(0.1)


def unverified():
    """TLS without a look at the certificate: both ends are on this machine"""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
