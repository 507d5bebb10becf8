# What CPython asks of Linux: threads, children, processes of multiprocessing, files that SQLite
# locks, an event loop, signals. Prints what test lines look for.
import asyncio, multiprocessing, os, signal, sqlite3, subprocess, tempfile, threading, time


def square(number):
    return number * number


async def echo(reader, writer):
    writer.write((await reader.readline()).upper())
    await writer.drain()
    writer.close()


async def ask(port, number):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"line %d\n" % number)
    return await reader.readline()


async def loop():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    lines = await asyncio.gather(*(ask(port, number) for number in range(5)))
    child = await asyncio.create_subprocess_shell("echo child", stdout=subprocess.PIPE)
    return lines[-1], (await child.communicate())[0]


if __name__ == "__main__":
    done = []
    threads = [threading.Thread(target=done.append, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("python: threads", sum(done))
    shell = subprocess.run("read line; echo $line; exit 3", shell=True, input=b"a pipe\n", capture_output=True)
    print("python: subprocess", shell.stdout, shell.returncode)
    with multiprocessing.Pool(2) as pool:
        print("python: pool", pool.map(square, range(5)))
    with tempfile.TemporaryDirectory() as folder:
        first, second = (sqlite3.connect(folder + "/db") for _ in range(2))
        first.execute("pragma journal_mode = wal")
        first.execute("create table numbers (number)")
        first.executemany("insert into numbers values (?)", ((n,) for n in range(1000)))
        first.commit()
        print("python: sqlite3", *second.execute("select sum(number) from numbers"))
    print("python: asyncio", *asyncio.run(loop()))
    signal.signal(signal.SIGALRM, lambda *_: print("python: alarm"))
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    time.sleep(0.1)
    descriptor = os.pidfd_open(os.getpid())
    signal.signal(signal.SIGUSR1, lambda *_: print("python: pidfd"))
    signal.pidfd_send_signal(descriptor, signal.SIGUSR1)
    try:
        bytearray(1 << 40)
    except MemoryError:
        print("python: MemoryError")
