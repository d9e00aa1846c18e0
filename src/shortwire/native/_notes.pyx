# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=False
"""What is noted of a call's usual messages, right behind the media path.

`Recorder` notes each message that a shortcut has written: 32 bytes in a row instead of three objects, and the level
of a caller's frame while its bytes are at hand. Who understands it, beside the path: `_ear.pyx`, and the tape.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    typedef uint8_t sw_sixteen __attribute__((vector_size(16)));
    /* Which of sixteen characters may stand in base64; '/' is followed by the digits. */
    static inline sw_sixteen sw_allowed(sw_sixteen c) {
        return (sw_sixteen)((c | 32) - 'a' < 26) | (sw_sixteen)(c - '/' < 11)
            | (sw_sixteen)(c == '+') | (sw_sixteen)(c == '=');
    }
    /* Whether nothing else is among them: sixteen at a time, for a table is slower by eight times. */
    static inline int sw_all_base64(const uint8_t *text, Py_ssize_t size) {
        const uint8_t *end = text + size;
        sw_sixteen allowed = ~(sw_sixteen){0}, c;
        uint64_t halves[2];
        for (; end - text >= 16; text += 16) {
            memcpy(&c, text, 16);
            allowed &= sw_allowed(c);
        }
        memset(&c, '=', 16);
        memcpy(&c, text, end - text);
        allowed &= sw_allowed(c);
        memcpy(halves, &allowed, 16);
        return (halves[0] & halves[1]) == ~(uint64_t)0;
    }
    /* The weights of all whole groups of four characters; what is returned is 64 or more if one of them is none. */
    static inline unsigned sw_sum_of_groups(
        const uint8_t *six, const uint64_t *weights, const uint8_t *text, Py_ssize_t size, uint64_t *total
    ) {
        const uint8_t *end = text + size;
        uint64_t sum = 0;
        unsigned worst = 0;
        for (; text < end; text += 4) {
            unsigned a = six[text[0]], b = six[text[1]], c = six[text[2]], d = six[text[3]];
            unsigned three = a << 18 | b << 12 | c << 6 | d;
            worst |= a | b | c | d;
            sum += weights[three >> 16 & 255] + weights[three >> 8 & 255] + weights[three & 255];
        }
        *total = sum;
        return worst;
    }
    """
    int all_base64 "sw_all_base64"(const uint8_t* text, Py_ssize_t size) noexcept nogil
    unsigned sum_of_groups "sw_sum_of_groups"(
        const uint8_t* six, const uint64_t* weights, const uint8_t* text, Py_ssize_t size, uint64_t* total
    ) noexcept nogil

cdef extern from "Python.h":
    PyObject* PyList_GET_ITEM(object list, Py_ssize_t index)  # borrowed

cdef enum:
    # Kinds of the side log (`shortwire.call.side`).
    UPLINK = 1
    RELAYED = 15
    FRAMES = 16

# Of base64: 0..63 the value, 64 padding, 255 anything else.
cdef uint8_t[256] SIX
cdef int _code
for _code in range(256):
    SIX[_code] = 255
cdef const uint8_t* _alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
for _code in range(64):
    SIX[_alphabet[_code]] = _code
SIX[61] = 64


cdef bint is_base64(const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """Whether it has no other characters."""
    return all_base64(text, size)


cdef class Scale:
    """How loud each code of mu-law is: `steps` as `audio.levels.STEPS`, and which are as loud as can be."""

    def __init__(self, bytes steps not None, bytes loudest not None):
        cdef int code
        cdef uint8_t most
        if len(steps) != 256:
            raise ValueError("steps must be one for each of the 256 codes")
        for code in range(256):
            self.weights[code] = (<const uint8_t*>PyBytes_AS_STRING(steps))[code]
        for most in loudest:
            self.weights[most] |= <uint64_t>1 << 32

    cdef bint measure(self, const uint8_t* text, Py_ssize_t size, Noted* into) noexcept nogil:
        """Decode a payload and add up its levels; false if it is not plain base64: the library knows what to do."""
        cdef uint64_t total
        cdef uint8_t a, b, c, d
        cdef int samples = <int>(size // 4 * 3)
        if size & 3 or size == 0:
            return False
        size -= 4
        if sum_of_groups(SIX, self.weights, text, size, &total) >= 64:
            return False
        # The last group may be filled up.
        text += size
        a, b, c, d = SIX[text[0]], SIX[text[1]], SIX[text[2]], SIX[text[3]]
        if a >= 64 or b >= 64 or c > 64 or d > 64 or (c == 64 and d != 64):
            return False
        total += self.weights[<uint8_t>((a << 2) | (b >> 4))]
        if c < 64:
            total += self.weights[<uint8_t>((b << 4) | (c >> 2))]
        if d < 64:
            total += self.weights[<uint8_t>((c << 6) | d)]
        samples -= (c == 64) + (d == 64)
        into.amount = <double><uint32_t>total / samples
        into.clipped = <int>(total >> 32)
        into.size = samples
        return True


cdef class Frames:
    """Value of a `FRAMES` entry of the side log."""

    def __len__(self):
        return self.count

    def entries(self):
        """The same as plain entries. Only of a `Recorder` that keeps payloads."""
        cdef int i
        cdef Noted* one
        found = []
        for i in range(self.count):
            one = &self.noted[i]
            payload = self.payloads[i]
            if one.event_id == NOBODYS:
                found.append((one.read_ns, <int>UPLINK, payload))
            else:
                ms = one.amount
                found.append((one.read_ns, <int>RELAYED, (one.event_id, payload, int(ms) if ms == int(ms) else ms)))
        return found


cdef class Recorder:
    """Notes the usual messages of one call in its side log, in one row with whatever else is put there."""

    def __init__(self, list side not None, Scale scale not None, bint keeps):
        """`keeps`: payloads too, for a tape."""
        self.side = side
        self.scale = scale
        self.keeps = keeps

    def note(self, int64_t read_ns, bytes payload not None, event_id=None, double ms=0.0):
        """For who has no socket, as tests: a frame of the caller, or audio of the agent with its `event_id`."""
        cdef const uint8_t* text = <const uint8_t*>PyBytes_AS_STRING(payload)
        if event_id is None:
            self.caller(read_ns, text, PyBytes_GET_SIZE(payload))
        else:
            self.agent(read_ns, text, PyBytes_GET_SIZE(payload), event_id, ms)

    cdef Noted* next(self, int64_t read_ns, const uint8_t* text, Py_ssize_t size) except NULL:
        """Room for one more, in the order of the log."""
        cdef Py_ssize_t n = PyList_GET_SIZE(self.side)
        cdef Frames frames = self.frames
        if (
            frames is None
            or n == 0
            or PyList_GET_ITEM(self.side, n - 1) != <PyObject*>self.entry
            or frames.count == GATHERED
        ):
            frames = self.frames = Frames.__new__(Frames)
            frames.payloads = [] if self.keeps else None
            self.entry = (read_ns, <int>FRAMES, frames)
            self.side.append(self.entry)
        if self.keeps:
            frames.payloads.append(PyBytes_FromStringAndSize(<const char*>text, size))
        frames.count += 1
        frames.noted[frames.count - 1].read_ns = read_ns
        return &frames.noted[frames.count - 1]

    cdef int caller(self, int64_t read_ns, const uint8_t* text, Py_ssize_t size) except -1:
        """A frame of the caller was read and has been sent."""
        cdef Noted measured
        cdef Noted* one
        if not self.scale.measure(text, size, &measured):
            self.side.append((read_ns, <int>UPLINK, PyBytes_FromStringAndSize(<const char*>text, size)))
            return 0
        one = self.next(read_ns, text, size)
        one.event_id = NOBODYS
        one.amount, one.size, one.clipped = measured.amount, measured.size, measured.clipped
        return 0

    cdef int agent(
        self, int64_t read_ns, const uint8_t* text, Py_ssize_t size, int64_t event_id, double ms
    ) except -1:
        """Audio of the agent was read and has been written."""
        cdef Noted* one = self.next(read_ns, text, size)
        one.event_id = event_id
        one.amount = ms
        return 0
