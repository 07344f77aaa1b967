"""Folders of YAML as an API server takes them."""
import pathlib

import yaml

from apiserver import ROOT

# What the server itself keeps.
KEPT = {("Service", "default", "kubernetes"), ("Namespace", None, "default")}


def definitions():
    """the CustomResourceDefinitions of crds/"""
    return [one for path in sorted((ROOT / "crds").glob("*.yaml")) for one in yaml.safe_load_all(path.read_text()) if one]


def documents(folder, known):
    """the objects of a folder, with the namespaces that they need; of kinds that `known` is true for

    What has no age of its own must not get one that settles conflicts otherwise than names would: they come in the order of names.
    """
    found = []
    for path in sorted(pathlib.Path(folder).rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            found += (document or {}).get("items", [document]) if document else []
    found = [complete(one) for one in found if known(one["apiVersion"], one["kind"])]
    found.sort(key=lambda one: (one["metadata"]["name"], one["metadata"].get("namespace", "")))
    there = {one["metadata"]["name"] for one in found if one["kind"] == "Namespace"}
    needed = {one["metadata"].get("namespace", "default") for one in found if one["kind"] not in ("Namespace", "Node", "IngressClass")}
    made = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(needed - there - {"default"})]
    return made + [one for one in found if (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) not in KEPT]


def complete(document):
    """an object with what the server insists on"""
    meta = document["metadata"]
    for field in ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"):
        meta.pop(field, None)
    if document["kind"] == "Pod":
        for index, container in enumerate(document["spec"].setdefault("containers", [{"name": "app"}])):
            container.setdefault("name", f"c{index}")
            container.setdefault("image", "app")
    return document
