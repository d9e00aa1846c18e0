# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=False
"""The strikes of the calls' clock, on a timer of the kernel's: `shortwire.switchboard.strikes.PlainStrikes` without an
object or an interpreter for each. Among two hundred calls a hundred of those a second cost more than all analyses."""

from libc.stdint cimport int64_t, uint64_t

from shortwire.native._clock cimport now_ns
from shortwire.native._uv cimport Watcher

cdef extern from *:
    """
    #include <sys/timerfd.h>
    #include <unistd.h>
    static int sw_timer(long long every_ns) {
        struct timespec every = {every_ns / 1000000000LL, every_ns % 1000000000LL};
        struct itimerspec when = {every, every};
        int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        if (fd >= 0) timerfd_settime(fd, 0, &when, NULL);
        return fd;
    }
    static unsigned long long sw_strikes(int fd) {
        unsigned long long strikes = 0;
        return read(fd, &strikes, sizeof strikes) == sizeof strikes ? strikes : 0;
    }
    static long long sw_computed_ns(void) {
        struct timespec t;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (long long)t.tv_sec * 1000000000LL + t.tv_nsec;
    }
    """
    int sw_timer(int64_t every_ns) nogil
    uint64_t sw_strikes(int fd) nogil
    int64_t sw_computed_ns() nogil


cdef class Strikes(Watcher):
    """See `shortwire.switchboard.strikes.Strikes`."""

    cdef object told
    cdef int64_t every_ns, too_late_ns, due_ns, computed_ns, late_ns, own_ns
    cdef int turn, strikes

    def __init__(self, told not None, every_ns, turn, too_late_ns):
        """`turn`: strikes of one; `too_late_ns`: what is missed by so much is not made up for."""
        self.told, self.every_ns, self.turn, self.too_late_ns = told, every_ns, turn, too_late_ns

    def begin(self):
        """False: not on this event loop."""
        if self.handle != NULL:
            return True
        if not self.watch(sw_timer(self.every_ns)):
            return False
        self.due_ns = now_ns() + self.every_ns
        self.computed_ns = sw_computed_ns()
        self.late_ns = self.own_ns = self.strikes = 0
        return True

    def stop(self):
        self.unwatch()

    cdef void readable(self, bint failed) noexcept:
        cdef int64_t strikes = <int64_t>sw_strikes(self.fd)
        cdef int64_t late_ns, own_ns, turns
        if strikes == 0:
            return
        late_ns = now_ns() - self.due_ns
        own_ns = -self.computed_ns
        self.computed_ns = sw_computed_ns()
        own_ns = min(late_ns, own_ns + self.computed_ns)
        self.late_ns, self.own_ns = max(self.late_ns, late_ns), max(self.own_ns, own_ns)
        self.due_ns += strikes * self.every_ns
        self.strikes += <int>strikes
        turns = self.strikes // self.turn
        if turns == 0:
            return
        self.strikes %= self.turn
        if late_ns > self.too_late_ns:
            turns = 1
        late_ns, own_ns = self.late_ns, self.own_ns
        self.late_ns = self.own_ns = 0
        self.told(turns, late_ns, own_ns)
