#!/usr/bin/env python3
"""Lets TorchSharp's library load beside a libstdc++ older than GCC 13, which it wants for one symbol that does nothing there.

The version GLIBCXX_3.4.32 becomes optional in a copy of the library (its only user is ios_base_library_init, a preloaded stub of which does nothing:
older libraries initialise their streams themselves).
"""
import struct
import sys

VERSION_NEEDS, OPTIONAL = 0x6FFFFFFE, 2
path = sys.argv[1]
with open(path, "rb") as file:
    data = bytearray(file.read())
table = struct.unpack_from("<Q", data, 0x28)[0]
size, count = struct.unpack_from("<HH", data, 0x3A)
sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * size) for i in range(count)]
for section in (s for s in sections if s[1] == VERSION_NEEDS):
    names, at, step = sections[section[6]][4], section[4], 1
    while step:
        _, versions, _, first, step = struct.unpack_from("<HHIII", data, at)
        version = at + first
        for _ in range(versions):
            _, flags, _, name, following = struct.unpack_from("<IHHII", data, version)
            if data[names + name:].split(b"\0", 1)[0] == b"GLIBCXX_3.4.32":
                struct.pack_into("<H", data, version + 4, flags | OPTIONAL)
            version += following
        at += step
with open(path, "wb") as file:
    file.write(data)
