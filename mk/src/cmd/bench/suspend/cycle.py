# cycle.py NAME IP ROUNDS: saves and restores the guest, in place and as another domain, and says
# what each costs. A nanosecond is an instruction here. One connection lasts through all of it.
import os, socket, struct, sys, time, xen.lowlevel.xc

name, address, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
file = '/bench/saved'
xc = xen.lowlevel.xc.xc()


def number():
    return int(os.popen('xl domid ' + name).read())


def cpu(domain):
    return xc.domain_getinfo(domain, 1)[0]['cpu_time']


def say(key, value):
    print('bench: %s=%d' % (key, value), flush=True)


def toolstack(command):
    """Runs a command, and returns how long it took."""
    begun = time.monotonic_ns()
    if os.system('%s >/bench/said 2>&1' % command):
        sys.exit('%s failed: %s' % (command, open('/bench/said').read()))
    return time.monotonic_ns() - begun


def echo(sequence):
    """Makes an echo request (RFC 792)."""
    words = (0x0800, 0, 4242, sequence)
    total = sum(words)
    return struct.pack('!4H', 0x0800, 0xffff - (total % 0xffff), 4242, sequence)


def answered(domain):
    """Lets the domain run, and returns how long it took until it answered a ping."""
    pings = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    # So often, and the processor is the guest's meanwhile.
    pings.settimeout(0.0005)
    begun = time.monotonic_ns()
    xc.domain_unpause(domain)
    for sequence in range(20000):
        pings.sendto(echo(sequence), (address, 0))
        try:
            while pings.recv(2000)[20] != 0:
                pass
            return time.monotonic_ns() - begun
        except socket.timeout:
            pass
    sys.exit('it answers no ping')


def request():
    connection.sendall(b'GET /health HTTP/1.1\r\nHost: guest\r\n\r\n')
    said = connection.recv(2000)
    if not said.startswith(b'HTTP/1.1 200'):
        sys.exit('the connection ended: %r' % said)


connection = socket.create_connection((address, 80))
connection.settimeout(60)
request()
for _ in range(rounds):
    # Left paused, it can be asked what it has used, and then goes on as the same domain.
    domain = number()
    before = cpu(domain)
    say('save', toolstack('xl save -p %s %s' % (name, file)))
    suspended = cpu(domain)
    say('guest_suspends', suspended - before)
    say('cancelled_downtime', answered(domain))
    time.sleep(1)
    say('guest_cancelled', cpu(domain) - suspended)
    request()

    before = cpu(domain)
    toolstack('xl save -p %s %s' % (name, file))
    suspends = cpu(domain) - before
    toolstack('xl destroy %d' % domain)
    say('restore', toolstack('xl restore -e -p %s' % file))
    domain = number()
    say('downtime', answered(domain))
    say('guest_answers', cpu(domain))
    time.sleep(1)
    say('guest_resumes', cpu(domain))
    say('guest', suspends + cpu(domain))
    request()
