# See `_uv.pyx`.

ctypedef void (*Readable)(void* owner, int failed) noexcept

cdef void* watch(int fd, void* owner, Readable tell) except? NULL
cdef void unwatch(void* handle)
