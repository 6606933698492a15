"""Behaves on the wire as the published package does, for the tests: it offers `triple`, calls `add`
as soon as somebody has it, and prints what happens to it. Its receive thread dies of what kills the
package's."""
import json
import socket
import sys
import threading
import time

PORT = 5127
own, functions, table, heard, waiting = sys.argv[1], {"triple": lambda n: 3 * n}, {}, {}, set()


def send(host, method, data, **more):
    fields = {"type": "LANC", "method": method, "version": 0.01, "data": data}
    fields.update({"encrypted": 0, "compress": 0}, **{k: v for k, v in more.items() if v})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        out.sendto(str(fields).encode(), (host, PORT))


def names():
    return [{"name": name} for name in functions]


def handle(text, host):
    message = json.loads(text.replace("'", '"'))
    method = message["method"]
    if method == 1:
        known = time.monotonic() - heard.get(host, -99) <= 30
        heard[host] = time.monotonic()
        if not known:
            send(host, 1, "hello")
            send(host, 2, names())
    elif method == 2:
        for item in message["data"]:
            table[item["name"]] = host
            print("listed", item["name"], flush=True)
    elif method == 3:
        call, args = message["exe_id"], list((message.get("args") or {}).values())
        send(host, 4, functions[message["data"]](*args), exe_id=call)
    elif method == 4:
        waiting.remove(str(message["exe_id"]))
        print("result", message["data"], flush=True)


def receive():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind(("", PORT))
        try:
            while True:
                data, (host, _) = door.recvfrom(1024)
                if host != own:
                    handle(data.decode(), host)
        except Exception as error:
            print("died", repr(error), data, flush=True)


def hello():
    while True:
        send("255.255.255.255", 1, "hello")
        time.sleep(5)


for thread in (receive, hello):
    threading.Thread(target=thread, daemon=True).start()
time.sleep(1)
send("255.255.255.255", 2, names())
number = 0
while True:
    time.sleep(0.5)
    if "add" in table:
        number += 1
        send(table["add"], 3, "add", exe_id=number, args={"p0": 10, "p1": number})
        waiting.add(str(number))
