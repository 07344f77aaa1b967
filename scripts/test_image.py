"""Tests of make-image and check-image, with a small static program in the place of the control plane."""
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import subprocess
import tarfile
import tempfile
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parent
# It says what it was started as and with, and whether it can write into its root.
PROGRAM = r"""
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int count, char **arguments) {
  struct passwd *user = getpwuid(geteuid());
  int file = open("/new", O_CREAT | O_WRONLY, 0644);
  printf("%s %s %s %s\n", user ? user->pw_name : "?", getcwd((char[64]){0}, 64), count > 1 ? arguments[1] : "-",
         file < 0 ? strerror(errno) : "written");
  return count > 2;
}
"""


def load(name):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(SCRIPTS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


check_image = load("check-image")
make_image = load("make-image")


def compile_program(folder, name, *flags):
    path = pathlib.Path(folder, name)
    # getpwuid of a static glibc warns that it would load libraries; /etc/nsswitch.conf of the image asks for none.
    subprocess.run(["cc", "-x", "c", "-w", *flags, "-o", path, "-"], input=PROGRAM, text=True, check=True, capture_output=True)
    return path


def make(*arguments, **environment):
    return subprocess.run([SCRIPTS / "make-image", *arguments], capture_output=True, text=True, env={**os.environ, **environment})


class Archive(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.binary = compile_program(cls.folder, "program", "-static")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def image(self, name="image.tar", seconds="86400", *arguments):
        path = self.folder / name
        done = make("--binary", self.binary, "--output", path, *arguments, SOURCE_DATE_EPOCH=seconds)
        self.assertEqual((done.returncode, done.stdout), (0, f"{path}\n"), done.stderr)
        return path

    def test_it_is_well_formed_and_says_what_it_is(self):
        image = check_image.Image(self.image("named.tar", "86400", "--name", "registry.example/mesh/istiod", "--tag", "canary"))
        self.assertEqual(image.described["annotations"], {
            "org.opencontainers.image.ref.name": "canary", "io.containerd.image.name": "registry.example/mesh/istiod:canary"})
        settings = image.config["config"]
        self.assertEqual((settings["User"], settings["Entrypoint"]), ("1337:1337", ["/usr/local/bin/pilothouse"]))
        labels = settings["Labels"]
        self.assertEqual(labels["org.opencontainers.image.version"], make_image.package()["version"])
        self.assertEqual(labels["org.opencontainers.image.created"], "1970-01-02T00:00:00Z")
        self.assertEqual(image.config["created"], "1970-01-02T00:00:00Z")

    def test_the_layer_has_the_program_the_users_and_nothing_else(self):
        members = {member.name: member for member in check_image.Image(self.image()).members()}
        self.assertEqual(sorted(members), ["etc", "etc/group", "etc/nsswitch.conf", "etc/passwd", "usr", "usr/local", "usr/local/bin",
                                           "usr/local/bin/pilothouse"])
        self.assertEqual({member.mtime for member in members.values()}, {86400})
        self.assertEqual(members["usr/local/bin/pilothouse"].mode, 0o755)
        self.assertEqual(members["usr/local/bin/pilothouse"].size, self.binary.stat().st_size)
        self.assertEqual(members["etc/passwd"].mode, 0o644)

    def test_two_runs_give_the_same_bytes_and_another_time_gives_others(self):
        first, second, later = self.image("first.tar"), self.image("second.tar"), self.image("later.tar", "86401")
        self.assertEqual(first.read_bytes(), second.read_bytes())
        self.assertNotEqual(first.read_bytes(), later.read_bytes())

    def test_it_runs_in_a_root_of_its_own_files_and_cannot_write_there(self):
        image = check_image.Image(self.image())
        # Who is not root cannot become user 1337: the namespace's root is all there is.
        who, refused = ("istio-proxy", "Permission denied") if os.getuid() == 0 else ("root", "written")
        self.assertEqual(image.run("hello"), f"{who} / hello {refused}\n")
        with self.assertRaisesRegex(check_image.Fault, "ended with 1"):
            image.run("hello", "once more")

    def test_a_damaged_archive_is_told(self):
        whole = check_image.Image(self.image())
        layer = whole.manifest["layers"][0]["digest"].replace("sha256:", "blobs/sha256/")
        damages = {
            "has the digest": lambda files: files | {layer: files[layer] + b"\0"},
            f"there is no {layer}": lambda files: {name: data for name, data in files.items() if name != layer},
            "nothing refers to": lambda files: files | {"blobs/sha256/more": b"more"},
            "differ in the platform": lambda files: files | {"index.json": self.elsewhere(files["index.json"])},
        }
        for message, damage in damages.items():
            with self.subTest(message), self.assertRaisesRegex(check_image.Fault, message):
                path = self.folder / "damaged.tar"
                files = {name: (0o644, data) for name, data in damage(whole.files).items()}
                path.write_bytes(make_image.layer(files, 0))
                check_image.Image(path)

    @staticmethod
    def elsewhere(index):
        index = json.loads(index)
        index["manifests"][0]["platform"]["architecture"] = "s390x"
        return json.dumps(index).encode()

    def test_members_that_others_could_change_are_told(self):
        for change, message in (({"mode": 0o666}, "mode"), ({"uid": 1337}, "belongs to"), ({"name": "../etc"}, "leaves the root"),
                                ({"type": tarfile.SYMTYPE}, "neither")):
            member = tarfile.TarInfo("etc/passwd")
            for name, value in change.items():
                setattr(member, name, value)
            with self.subTest(message), self.assertRaisesRegex(check_image.Fault, message):
                check_image.Image.check_member(member)


class Manifests(unittest.TestCase):
    def test_they_name_the_image_that_is_made_unless_told_otherwise(self):
        image = f"localhost/pilothouse:{make_image.package()['version']}"
        self.assertIn(f"image: {image}\n", (make_image.ROOT / "manifests/4-istiod.yaml").read_text())
        self.assertIn(f"--tag {image} .", (make_image.ROOT / "Dockerfile").read_text())

    def test_the_dockerfile_says_what_the_image_says(self):
        text = (make_image.ROOT / "Dockerfile").read_text()
        said = make_image.config("amd64", make_image.labels(make_image.package(), 0), "", 0)["config"]
        ports = " ".join(sorted((port.removesuffix("/tcp") for port in said["ExposedPorts"]), key=int))
        for line in (f"USER {said['User']}", f"ENTRYPOINT {json.dumps(said['Entrypoint'])}", f"EXPOSE {ports}", f"ENV {said['Env'][0]}"):
            self.assertIn(f"\n{line}\n", text)
        for label in ("title", "description", "licenses"):
            self.assertIn(f'org.opencontainers.image.{label}="{said["Labels"][f"org.opencontainers.image.{label}"]}"', text)


class Refused(unittest.TestCase):
    def refused(self, message, *arguments, **environment):
        done = make(*arguments, **environment)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stderr, message)

    def test_a_binary_that_needs_libraries(self):
        with tempfile.TemporaryDirectory() as folder:
            binary = compile_program(folder, "program")
            self.refused("linked dynamically", "--binary", binary, "--output", pathlib.Path(folder, "image.tar"))
            self.assertEqual([path.name for path in pathlib.Path(folder).iterdir()], ["program"])

    def test_a_file_that_is_no_program(self):
        with tempfile.TemporaryDirectory() as folder:
            self.refused("no ELF file", "--binary", __file__, "--output", pathlib.Path(folder, "image.tar"))

    def test_a_time_that_is_none(self):
        with tempfile.TemporaryDirectory() as folder:
            binary = compile_program(folder, "program", "-static")
            self.refused("SOURCE_DATE_EPOCH", "--binary", binary, "--output", pathlib.Path(folder, "image.tar"),
                         SOURCE_DATE_EPOCH="yesterday")


if __name__ == "__main__":
    unittest.main()
