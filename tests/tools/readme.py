#!/usr/bin/env python3
"""Runs the commands of a README, as a reader would who types them from top to bottom.

usage: readme.py [FILE]     default: README.md; in the root of the workspace

What runs: the lines of blocks that begin with ```sh, in one shell. A block that begins with ```sh server keeps running, as
in a terminal of its own, until the end; the next block begins once the loopback ports that later blocks name answer.
Left out: `cargo test` and `.ci/run`, which are this script's callers. The server's data goes to a temporary folder.
Exit status: 0 where every command succeeded, 1 otherwise.
"""
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time

LEFT_OUT = re.compile(r"\s*(cargo test|(bash )?\.ci/run)\b")


def blocks(path):
    """(line number, runs as a server, text) of each block to run."""
    found, info, first, body = [], None, 0, []
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        if not line.startswith("```"):
            body.append(line)
        elif info is None:
            info, first, body = line[3:].split(), number, []
        else:
            text = "".join(x for x in body if not LEFT_OUT.match(x))
            if info[:1] == ["sh"] and text.strip():
                found.append((first, "server" in info[1:], text))
            info = None
    return found


def is_open(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def wait(pid, ports):
    """Until all ports answer; compiling comes first, hence the long patience."""
    end = time.monotonic() + 1800
    while not all(map(is_open, ports)):
        if time.monotonic() > end or not os.path.exists(f"/proc/{pid}"):
            sys.exit(f"the server does not answer on {ports}")
        time.sleep(0.1)


def end_all(group):
    """Asks the servers to end, and waits for it."""
    for _ in range(100):
        try:
            os.killpg(group, signal.SIGTERM)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)


def main(path="README.md"):
    todo = blocks(path)
    if not todo:
        sys.exit(f"{path}: no ```sh block")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as tmp:
        script = ["set -euo pipefail", f"trap 'echo {path}, block at line $block: failed >&2' ERR"]
        for i, (line, server, text) in enumerate(todo):
            script += [f"block={line}", f"echo '--- {path}:{line}'"]
            if not server:
                script.append(text)
                continue
            ports = sorted({p for _, _, later in todo[i + 1:] for p in re.findall(r"(?:localhost|127\.0\.0\.1):(\d+)", later)})
            taken = [p for p in ports if is_open(int(p))]
            if taken:
                sys.exit(f"{path}: port {', '.join(taken)} is in use by something else")
            script.append(f"bash -euo pipefail -c {shlex.quote(text)} >{tmp}/server-{line}.log 2>&1 &")
            script.append(f"{sys.executable} {shlex.quote(__file__)} --wait $! {' '.join(ports)}")
        env = {**os.environ, "MENDER_DATA_DIR": tmp + "/data"}
        shell = subprocess.Popen(["bash", "-c", "\n".join(script)], env=env, stdin=subprocess.DEVNULL, start_new_session=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            status = shell.wait()
        finally:
            end_all(shell.pid)
            shell.wait()
        for name in sorted(n for n in os.listdir(tmp) if n.endswith(".log")) if status else []:
            print(f"--- the end of {name}\n" + "".join(open(os.path.join(tmp, name), errors="replace").readlines()[-30:]))
        print(f"{path}: {len(todo)} blocks, " + ("failed" if status else "all fine"))
        sys.exit(1 if status else 0)


if sys.argv[1:2] == ["--wait"]:
    wait(int(sys.argv[2]), [int(p) for p in sys.argv[3:]])
else:
    main(*sys.argv[1:])
