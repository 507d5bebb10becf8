# many.py IP PROTOCOL COUNT: opens so many connections by TLS 1.3, one after the other, and asks once on each. When a
# line comes, it asks once more on each, and says so.
import resource, socket, ssl, sys

ip, protocol, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
context = ssl.create_default_context(cafile="/srv/ca.pem")
context.minimum_version = ssl.TLSVersion.TLSv1_3
context.set_alpn_protocols([protocol])
streams = []


def frame(kind, flags, number, content=b""):
    head = len(content).to_bytes(3, "big") + bytes([kind, flags])
    return head + number.to_bytes(4, "big") + content


def exactly(stream, length):
    got = b""
    while len(got) < length:
        piece = stream.recv(length - len(got))
        if not piece:
            sys.exit("%d connections: one has ended" % len(streams))
        got += piece
    return got


# Fields as browsers have them, which the server is to remember (RFC 7541), and then by their numbers.
FIELDS = [
    (1, b"www.lab"),
    (58, b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    (19, b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    (17, b"en-GB,en;q=0.5"),
    (16, b"gzip, deflate, br, zstd"),
]
FIRST = b"".join(bytes([0x40 | name, len(value)]) + value for name, value in FIELDS)
# The oldest has the highest number, and the name of the host comes first.
AGAIN = bytes(0x80 | 62 + number for number in reversed(range(len(FIELDS))))


def by_frames(stream, again):
    if not again:
        stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
    number = 3 if again else 1
    stream.sendall(frame(1, 5, number, b"\x82\x87\x84" + (AGAIN if again else FIRST)))
    status = None
    while True:
        head = exactly(stream, 9)
        content = exactly(stream, int.from_bytes(head[:3], "big"))
        if head[3] == 4 and head[4] == 0:
            stream.sendall(frame(4, 1, 0))
        if head[3] in (3, 7):
            sys.exit("%d connections: one is to end" % len(streams))
        if int.from_bytes(head[5:], "big") == number:
            status = content[:2] if head[3] == 1 else status
            if head[4] & 1:
                # The first answer says that no table is used, before the status.
                return b"\x88" in status


def by_lines(stream, _):
    stream.sendall(b"GET / HTTP/1.1\r\nHost: www.lab\r\n\r\n")
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += exactly(stream, 1)
    exactly(stream, int(head.lower().split(b"content-length: ")[1].split(b"\r")[0]))
    return head.startswith(b"HTTP/1.1 200 ")


def ask(stream, again):
    answered = (by_frames if protocol == "h2" else by_lines)(stream, again)
    answered or sys.exit("%d connections: one is not served" % len(streams))


for _ in range(count):
    stream = socket.create_connection((ip, 443), 60)
    stream = context.wrap_socket(stream, server_hostname="www.lab")
    stream.selected_alpn_protocol() == protocol or sys.exit("another protocol")
    ask(stream, False)
    streams.append(stream)
print("open", flush=True)
sys.stdin.readline()
for stream in streams:
    ask(stream, True)
print("all are there", flush=True)
