# What `_socket.pyx` needs of `_media.pyx`: a shortcut, what it answers, and how a frame begins.

from libc.stdint cimport int64_t, uint8_t, uint64_t
from picows.picows cimport WSTransport

from shortwire.native._notes cimport Recorder


cdef enum:
    NOT_MINE = -1
    RELAYED = 1
    DONE = 2                  # and nobody has to be told
    WHOLE_TEXT = 0x81         # first byte of a text message in one frame, without extensions
    WRITTEN = 3               # the phone has it, and the listener is told when: a run has begun, or was cut off


cdef class Delays:
    cdef uint64_t[::1] buckets
    cdef public int64_t max_ns
    cdef void count(self, int64_t ns) noexcept


cdef class Shortcut:
    cdef WSTransport target
    cdef Recorder recorder
    cdef Delays delays
    cdef bytes head
    cdef bytes tail
    cdef public int64_t relayed   # messages that went this way
    cdef public int64_t last_ns   # when the last of them was read
    cdef int take(self, const uint8_t* text, Py_ssize_t size, int64_t read_ns) except -2
