# What `_media.pyx` and `_ear.pyx` need of `_notes.pyx`.

from libc.stdint cimport int64_t, uint8_t, uint64_t


cdef enum:
    NOBODYS = -2              # an event id that no audio has; -1 is "none known" in `Outlook`
    GATHERED = 64             # messages noted in one piece


cdef struct Noted:
    int64_t read_ns
    int64_t event_id          # of the agent's audio; NOBODYS: a caller's frame
    double amount             # the agent's: ms; the caller's: level
    int size                  # the caller's: samples
    int clipped


cdef class Scale:
    cdef uint64_t[256] weights
    cdef bint measure(self, const uint8_t* text, Py_ssize_t size, Noted* into) noexcept nogil


cdef class Frames:
    cdef Noted[GATHERED] noted
    cdef int count
    cdef list payloads


cdef class Recorder:
    cdef list side
    cdef Scale scale
    cdef bint keeps
    cdef tuple entry
    cdef Frames frames
    cdef Noted* next(self, int64_t read_ns, const uint8_t* text, Py_ssize_t size) except NULL
    cdef int caller(self, int64_t read_ns, const uint8_t* text, Py_ssize_t size) except -1
    cdef int agent(self, int64_t read_ns, const uint8_t* text, Py_ssize_t size, int64_t event_id, double ms) except -1


cdef bint is_base64(const uint8_t* text, Py_ssize_t size) noexcept nogil
