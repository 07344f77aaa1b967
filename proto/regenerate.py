#!/usr/bin/env python3
"""regenerate.py [--check] [CRATE]: writes envoy.bin, Envoy's pinned descriptor set, from the envoy-types crate.

CRATE is envoy-types-VERSION.crate; without it the file is taken from cargo's cache or from the registry.
--check writes nothing and fails if envoy.bin differs.
"""
import argparse, hashlib, io, os, pathlib, sys, tarfile, urllib.request

VERSION = "0.7.7"
CRATE_SHA256 = "e1fdd3fa7e8347872dd5d6e8626441589f0fd87d7fcf3003a4cca2103ecc39c0"
MEMBER = f"envoy-types-{VERSION}/src/generated/types.bin"
URL = f"https://static.crates.io/crates/envoy-types/envoy-types-{VERSION}.crate"
TARGET = pathlib.Path(__file__).resolve().parent / "envoy.bin"
# FileDescriptorProto.source_code_info: comments and positions, four fifths of the set.
SOURCE_CODE_INFO = 9


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def encode_varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def fields(data):
    """(number, whole field as bytes, its payload if length-delimited) of every field of a message"""
    at = 0
    while at < len(data):
        start, payload = at, None
        tag, at = varint(data, at)
        if tag & 7 == 0:
            _, at = varint(data, at)
        elif tag & 7 == 1:
            at += 8
        elif tag & 7 == 2:
            length, at = varint(data, at)
            payload = data[at:at + length]
            at += length
        elif tag & 7 == 5:
            at += 4
        else:
            sys.exit(f"wire type {tag & 7} at byte {start}: not a descriptor set")
        yield tag >> 3, data[start:at], payload


def strip(descriptor_set):
    out = bytearray()
    for _, _, file in fields(descriptor_set):
        kept = b"".join(whole for number, whole, _ in fields(file) if number != SOURCE_CODE_INFO)
        out += b"\x0a" + encode_varint(len(kept)) + kept
    return bytes(out)


def crate(path):
    home = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
    cached = sorted(home.glob(f"registry/cache/*/envoy-types-{VERSION}.crate"))
    if path or cached:
        data = (path or cached[0]).read_bytes()
    else:
        data = urllib.request.urlopen(URL, timeout=60).read()
    digest = hashlib.sha256(data).hexdigest()
    if digest != CRATE_SHA256:
        sys.exit(f"envoy-types {VERSION}: SHA-256 is {digest}, not {CRATE_SHA256}")
    return data


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--check", action="store_true")
    args.add_argument("crate", nargs="?", type=pathlib.Path)
    args = args.parse_args()
    with tarfile.open(fileobj=io.BytesIO(crate(args.crate))) as tar:
        wanted = strip(tar.extractfile(MEMBER).read())
    if not args.check:
        TARGET.write_bytes(wanted)
    elif TARGET.read_bytes() != wanted:
        sys.exit("proto/envoy.bin differs from its source: run proto/regenerate.py")


if __name__ == "__main__":
    main()
