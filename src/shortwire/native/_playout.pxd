# What `_media.pyx` needs of `_playout.pyx`: the books of what was written to the phone.

from libc.stdint cimport int64_t


cdef class Written:
    cdef public double ms, marked_ms, run_ms
    cdef public int64_t at_ns, plays_until_ns
    cpdef bint extends(self, int64_t now_ns, double ms) noexcept
    cpdef bint mark_due(self) noexcept


cdef struct Mark:
    int64_t serial
    double position_ms


cdef class Playout:
    cdef readonly Written written
    cdef public double confirmed_ms
    cdef public int64_t returned_marks
    cdef int64_t stale
    cdef public bint run_fresh
    cdef public object untold_ms
    cdef Mark* marks
    cdef Py_ssize_t outstanding, room
    cdef int64_t epoch, serial, run_started_ns
    cdef bint run_confirmed
    cdef int note_mark(self) except -1
    cdef bint confirm(self, int64_t epoch, int64_t serial, int64_t now_ns, int64_t* run_started_ns) noexcept
    cpdef wrote(self, int64_t now_ns, double ms)
    cpdef double cleared(self, int64_t now_ns)
