# hold.py IP COUNT REQUESTS: opens so many connections, asks once on each, and then asks so
# many times on some of them, ten at a time, once a line comes. Says what it is at.
import socket, sys

ip, count, requests = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
text = b"GET /bytes/1024 HTTP/1.1\r\nHost: x\r\n\r\n"
streams = []


def answer(stream):
    got = b""
    while b"\r\n\r\n" not in got or len(got) < got.index(b"\r\n\r\n") + 4 + 1024:
        piece = stream.recv(4096)
        # Or a request among many takes a packet more than one among few, with which the
        # acknowledgement of the answer before would come along.
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        if not piece or not got and not piece.startswith(b"HTTP/1.1 200 "):
            sys.exit("connection %d: %r" % (len(streams), piece))
        got += piece


for _ in range(count):
    stream = socket.create_connection((ip, 80), 20)
    stream.sendall(text)
    answer(stream)
    streams.append(stream)
print("open", flush=True)
sys.stdin.readline()
for turn in range(requests // 10):
    some = [streams[(turn * 7 + part * (count // 10)) % count] for part in range(10)]
    for stream in some:
        stream.sendall(text)
    for stream in some:
        answer(stream)
print("done", flush=True)
sys.stdin.readline()
