# frames.py FILE: the pages that a file of `xl save` holds, and how many of them more than once.
# xen/tools/xl/xl.h and docs/specs/libxl-migration-stream.pandoc, libxc-migration-stream.pandoc
# of Xen say what stands where.
import struct, sys

file = open(sys.argv[1], 'rb')


def read(form):
    return struct.unpack('<' + form, file.read(struct.calcsize('<' + form)))


def skip(length):
    file.seek(length, 1)


def records():
    """Reads the heads of records up to the end, and leaves the caller at each body."""
    while True:
        kind, length = read('II')
        begun = file.tell()
        yield kind, length
        if kind == 0:
            return
        # What begins another stream has no body of its own.
        if file.tell() == begun or length:
            file.seek(begun + (length + 7) // 8 * 8)


magic, _, _, _, more = read('32s4I')
if not magic.startswith(b'Xen saved domain, xl format'):
    sys.exit('it is no file of xl save')
skip(more + 16)
seen, twice = set(), 0
for outer, _ in records():
    if outer != 1:
        continue
    # Xen's own stream: a head of the image, and one of the domain.
    skip(24 + 16)
    for kind, length in records():
        if kind != 1:
            continue
        count, _ = read('II')
        pages = read('%dQ' % count)
        # Of these types there are no bytes: they are invalid, broken or merely allocated.
        pages = [page & (1 << 52) - 1 for page in pages if page >> 60 < 0xd]
        if length != 8 + 8 * count + 4096 * len(pages):
            sys.exit('%d bytes do not hold %d pages' % (length, len(pages)))
        twice += sum(page in seen for page in pages)
        seen.update(pages)
print('bench: pages=%d' % len(seen))
print('bench: twice=%d' % twice)
print('bench: last=%d' % max(seen))
print('bench: bytes=%d' % file.tell())
