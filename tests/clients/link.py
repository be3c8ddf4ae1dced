"""A link to a server that can be slow, or break.

    usage: link.py PORT SERVER-PORT FILE

What FILE says when a connection is made holds for it: `pass`; `cut N`, which closes it once, after N bytes to the client;
or `slow N`, which lets N bytes a second through to the client, until the file says something else. Parts that clients ask
for are printed.
"""

import socket
import sys
import threading
import time

PORT, SERVER, FILE = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def state():
    with open(FILE, encoding="ascii") as file:
        word, *number = file.read().split() or ["pass"]
    return word, int(number[0]) if number else 0


def pump(source, target, allow):
    try:
        while data := source.recv(8192):
            if not allow(data):
                break
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client):
    server = socket.create_connection(("127.0.0.1", SERVER))
    passed = 0

    def ask(data):
        for line in data.split(b"\r\n"):
            if line.lower().startswith(b"range:"):
                print(line.decode(errors="replace"), flush=True)
        return True

    def allow(data):
        nonlocal passed
        passed += len(data)
        word, number = state()
        if word == "cut" and passed > number:
            with open(FILE, "w", encoding="ascii") as file:
                file.write("pass")
            return False
        if word == "slow":
            time.sleep(len(data) / number)
        return True

    threading.Thread(target=pump, args=(client, server, ask), daemon=True).start()
    pump(server, client, allow)


with socket.create_server(("127.0.0.1", PORT)) as listener:
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
