# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=False
"""Where the compiled media path begins: what picows reads, and what is read before it.

`Listener` tries its shortcut with each frame that picows has read. `Tap` reads the socket itself, beside uvloop's
transport: what a shortcut takes never becomes an object, and everything else is given to picows as if the transport
had read it. Why: docs/why/native.md.
"""

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy
from picows.picows cimport WSFrame, WSListener, WSMsgType, WSTransport

from shortwire.native._clock cimport now_ns
from shortwire.native._media cimport DONE, NOT_MINE, RELAYED, WHOLE_TEXT, WRITTEN, Shortcut
from shortwire.native._uv cimport Watcher

cdef extern from *:
    """
    #include <string.h>
    #include <sys/socket.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <fcntl.h>
    static inline void sw_quick_ack(int fd) {
    #ifdef TCP_QUICKACK
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
    #else
        (void)fd;
    #endif
    }
    /* RFC 6455 section 5.3; the same once more undoes it. */
    static inline void sw_mask(unsigned char *at, Py_ssize_t size, uint32_t mask) {
        uint64_t twice = (uint64_t)mask << 32 | mask, eight;
        for (; size >= 8; size -= 8, at += 8) {
            memcpy(&eight, at, 8);
            eight ^= twice;
            memcpy(at, &eight, 8);
        }
        for (Py_ssize_t i = 0; i < size; i++) at[i] ^= ((unsigned char *)&mask)[i];
    }
    static inline int sw_second(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, 0); }
    static inline Py_ssize_t sw_read(int fd, void *into, Py_ssize_t most) {
        return recv(fd, into, most, MSG_DONTWAIT);
    }
    """
    void quick_ack "sw_quick_ack"(int fd) noexcept nogil
    void apply_mask "sw_mask"(uint8_t* at, Py_ssize_t size, uint32_t mask) noexcept nogil
    Py_ssize_t read_some "sw_read"(int fd, void* into, Py_ssize_t most) noexcept nogil
    int second "sw_second"(int fd) nogil

# As in `net/lean.py`.
DEF QUICK_EVERY = 8
DEF QUICK_FOR = 256
cdef int64_t BUNCHED_NS = 2_000_000

DEF MOST_HEAD = 14            # bytes of a frame's head
DEF READ = 65536              # bytes that are read at once
cdef Py_ssize_t ENDLESS = 1 << 48
"""Bytes of a frame that nobody lives to see the end of, or that picows refuses."""

cdef uint8_t[MOST_HEAD + READ] _in
"""One for all sockets: it stays in the processor's cache. Used within one call of `Tap.readable`."""


cdef class Listener(WSListener):
    """A picows listener that tries its shortcut, and hands everything else to `frame`."""

    cdef public Shortcut shortcut
    cdef public bint joining
    """A message in several frames is under way: nothing else may come between."""
    cdef public bint heard
    """A message was heard since somebody set this back (`net/heartbeat.py`)."""
    cdef public int quick_fd
    """Descriptor to ask quick acknowledgements for; -1: none."""
    cdef int quick_left
    cdef Tap tap
    cdef bint asked_for_tap

    def __cinit__(self, *_args, **_more):
        self.quick_fd = -1

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        self.heard = True
        if self.shortcut is not None:
            if not self.asked_for_tap and frame.last_in_buffer and frame.tail_size == 0:
                # Nothing waits in picows' buffer: whoever reads from here on begins with a frame.
                self.asked_for_tap = True
                self.tap = tapped(self, transport)
            if (
                frame.msg_type == WSMsgType.TEXT
                and frame.fin
                and not (frame.rsv1 or frame.rsv2 or frame.rsv3)
                and self.take(<const uint8_t*>frame.payload_ptr, frame.payload_size, now_ns()) != NOT_MINE
            ):
                return
        self.frame(transport, frame)

    cdef int take(self, const uint8_t* text, Py_ssize_t size, int64_t read_ns) noexcept:
        """A whole text message was read; what the shortcut said."""
        cdef int taken
        cdef int64_t last_ns
        if self.joining or self.shortcut is None:
            return NOT_MINE
        last_ns = self.shortcut.last_ns
        try:
            taken = self.shortcut.take(text, size, read_ns)
            if taken == RELAYED and (self.quick_left or read_ns - last_ns < BUNCHED_NS):
                self.hurry()
            elif taken == WRITTEN:
                self.written(read_ns, now_ns())
            return taken
        except Exception:
            self.broken("audio")
            return DONE

    cdef void hurry(self) noexcept:
        """See `net.lean.LeanSocket._hurry`."""
        if self.quick_left == 0:
            self.quick_left = QUICK_FOR
        if self.quick_left % QUICK_EVERY == 0 and self.quick_fd >= 0:
            quick_ack(self.quick_fd)
        self.quick_left -= 1

    @property
    def tapped(self):
        """Whether the socket is read beside its transport."""
        return self.tap is not None

    def untap(self):
        """The connection is gone: its descriptor is let go. Harmless when it was not tapped."""
        if self.tap is not None:
            self.tap.end()
            self.tap = None

    def frame(self, transport, frame):
        """Any frame that did not go the short way."""
        raise NotImplementedError

    def written(self, read_ns, written_ns):
        """The phone was written to for a message read at `read_ns`, and this is not counted yet."""
        raise NotImplementedError

    def broken(self, what):
        """The shortcut raised."""
        raise NotImplementedError


cdef Tap tapped(Listener listener, WSTransport transport):
    """A tap on a connection at a frame's beginning; None where only the transport can read: TLS, another event loop."""
    cdef Tap tap
    if transport.is_secure or transport._is_aiofn_transport:
        return None
    tap = Tap.__new__(Tap)
    return tap if tap.begin(listener, transport) else None


cdef class Tap(Watcher):
    """Reads one plain connection, by a second descriptor: libuv watches one only once. What closes, writes and ends
    stays the transport's."""

    cdef bint from_client     # its frames are masked
    cdef int kept             # bytes of a head that has not come whole yet
    cdef uint8_t[MOST_HEAD] head
    cdef Py_ssize_t passing   # bytes still to come of a frame that picows has the beginning of
    cdef bint closing         # picows has said goodbye, by itself perhaps: a frame was wrong, and nothing counts any more
    cdef Listener listener
    cdef WSTransport transport
    cdef object protocol
    cdef object lower         # asyncio's transport

    cdef bint begin(self, Listener listener, WSTransport transport) except *:
        lower = transport.underlying_transport
        if not self.watch(second(lower.get_extra_info("socket").fileno())):
            return False
        self.listener, self.transport = listener, transport
        self.lower, self.protocol = lower, lower.get_protocol()
        self.from_client = not transport.is_client_side
        lower.pause_reading()
        return True

    cdef void end(self):
        self.unwatch()
        self.listener = self.transport = self.protocol = self.lower = None

    cdef void readable(self, bint failed) noexcept:
        cdef Listener listener = self.listener  # the call may end in here
        cdef Py_ssize_t size
        try:
            memcpy(_in, self.head, self.kept)
            size = 0 if failed else read_some(self.fd, _in + self.kept, READ)
            if size > 0:
                self.read(_in, _in + self.kept + size, now_ns())
            elif failed or size == 0 or (errno != EAGAIN and errno != EINTR):
                self.give_back()
        except Exception:
            listener.untap()
            listener.broken("reading")

    cdef int give_back(self) except -1:
        """The connection has ended, or failed: the transport finds out by itself, and says so to everybody."""
        lower = self.lower
        self.give(_in, self.kept)
        self.listener.untap()
        if not lower.is_closing():
            lower.resume_reading()
        return 0

    cdef int read(self, uint8_t* at, uint8_t* end, int64_t read_ns) except -1:
        """Frame by frame: the shortcut's, or picows'."""
        cdef Py_ssize_t size
        self.kept = 0
        while at < end and self.handle != NULL:
            if self.passing:
                size = min(self.passing, end - at)
                self.passing -= size
            else:
                size = self.frame(at, end, read_ns)
                if size == 0:
                    self.kept = <int>(end - at)
                    memcpy(self.head, at, self.kept)
                    return 0
                if size < 0:
                    at -= size
                    continue
                self.passing = max(0, size - (end - at))
                size -= self.passing
            self.give(at, size)
            at += size
        return 0

    cdef Py_ssize_t frame(self, uint8_t* at, uint8_t* end, int64_t read_ns) except? -1:
        """Length of the frame that begins here, negative where a shortcut has taken it; 0: its head is not whole.
        What is wrong with a head is picows' to find."""
        cdef Py_ssize_t size = at[1] & 127 if end - at > 1 else 0
        cdef Py_ssize_t head = 2 + (2 if size == 126 else 8 if size == 127 else 0)
        cdef Py_ssize_t least = 0 if head == 2 else 126 if head == 4 else 65536  # shorter ones have a shorter head
        cdef bint masked
        cdef uint32_t mask = 0
        cdef Py_ssize_t i
        if end - at < 2:
            return 0
        masked = at[1] >> 7
        if end - at < head + 4 * masked:
            return 0
        if head > 2:
            size = 0
            for i in range(2, head):
                size = size << 8 | at[i]
            if size < 0 or size > ENDLESS:  # the top bit may not be set; and the sums below stay what they are
                size = ENDLESS
        if masked:
            memcpy(&mask, at + head, 4)
            head += 4
        if (
            at[0] == WHOLE_TEXT
            and masked == self.from_client
            and least <= size <= end - at - head
            and not self.closing
        ):
            if masked:
                apply_mask(at + head, size, mask)
            self.listener.heard = True
            if self.listener.take(at + head, size, read_ns) != NOT_MINE:
                return -(head + size)
            if masked:
                apply_mask(at + head, size, mask)  # as it came
        return head + size

    cdef int give(self, const uint8_t* at, Py_ssize_t size) except -1:
        """To picows, as if the transport had read it."""
        cdef Py_buffer room
        cdef Py_ssize_t part
        while size > 0 and self.handle != NULL and not self.lower.is_closing():
            lent = self.protocol.get_buffer(size)
            PyObject_GetBuffer(lent, &room, PyBUF_WRITABLE)
            part = min(size, room.len)
            memcpy(room.buf, at, part)
            PyBuffer_Release(&room)
            self.protocol.buffer_updated(part)
            at += part
            size -= part
        self.closing = self.transport is not None and self.transport.is_close_frame_sent
        return 0
