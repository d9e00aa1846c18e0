# See `_uv.pyx`.


cdef class Watcher:
    cdef int fd
    cdef void* handle
    cdef bint watch(self, int fd) except *
    cdef void unwatch(self) noexcept
    cdef void readable(self, bint failed) noexcept
