"""The built control plane: where it and its tools are, and how it is started on a case."""
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PYYAML = "PyYAML==6.0.3"
COMMAND = ("{binary} discovery --configDir {{dir}} --grpcAddr 127.0.0.1:{{grpc}} --secureGRPCAddr 127.0.0.1:{{secure}} "
           "--httpAddr 127.0.0.1:{{http}} --httpsAddr 127.0.0.1:{{https}} --monitoringAddr 127.0.0.1:{{monitoring}}")


def python_path():
    """a folder with PyYAML in it, installed there on first use; named by version, so that another one is another folder"""
    folder = ROOT / "target" / "tools" / f"python-{PYYAML}"
    if not (folder / "yaml").is_dir():
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, PYYAML], check=True, timeout=300)
    return folder
