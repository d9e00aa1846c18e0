# The clock of `time.monotonic_ns`, without an object for what it says.

from libc.stdint cimport int64_t

cdef extern from *:
    """
    #include <time.h>
    static inline long long sw_now_ns(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (long long)t.tv_sec * 1000000000LL + t.tv_nsec;
    }
    """
    int64_t now_ns "sw_now_ns"() noexcept nogil
