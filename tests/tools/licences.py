#!/usr/bin/env python3
"""Checks what the workspace depends on: no crate of the banned ones, only licences of the list.

usage: licences.py      in the workspace; reads `cargo metadata --locked --all-features`

Exit status: 0 where everything is fine, 1 otherwise.
"""
import json
import re
import subprocess
import sys

BANNED = {"openssl", "openssl-sys", "native-tls"}  # one TLS implementation, without C libraries
ALLOWED = {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CDLA-Permissive-2.0", "ISC", "MIT",
           "Unicode-3.0", "Unlicense", "Zlib"}


def allowed(expression):
    """Whether an SPDX expression can be met by the list; OR binds weaker than AND, "/" is an old OR."""
    tokens = re.findall(r"[()]|[^()\s/]+|/", expression)

    def choice():
        ok = both()
        while tokens and tokens[0] in ("OR", "/"):
            tokens.pop(0)
            ok = both() or ok
        return ok

    def both():
        ok = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            ok = one() and ok
        return ok

    def one():
        token = tokens.pop(0)
        if token == "(":
            ok = choice()
            tokens.pop(0)
            return ok
        if tokens and tokens[0] == "WITH":  # an exception only adds permissions
            del tokens[:2]
        return token in ALLOWED

    return choice()


metadata = subprocess.run(["cargo", "metadata", "--locked", "--all-features", "--format-version", "1"], check=True, stdout=subprocess.PIPE)
packages = json.loads(metadata.stdout)["packages"]
wrong = [f"{p['name']} {p['version']} is banned" for p in packages if p["name"] in BANNED]
wrong += [f"{p['name']} {p['version']}: licence {p['license']!r}" for p in packages if not p["license"] or not allowed(p["license"])]
print("\n".join(wrong) or f"{len(packages)} packages, all fine")
sys.exit(bool(wrong))
