# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=False
"""The books of what the party has heard, where the compiled media path keeps them itself.

Twin in Python, with the reasons: `call/playout.py`. Both are held to the same tests.
"""

from libc.stdint cimport int64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memmove

# As in `call/playout.py`.
cdef int64_t NS_PER_MS = 1_000_000
cdef int64_t RUN_GAP_NS = 200_000_000
cdef double RUN_GAP_MS = 200.0
cdef double REFINED_MS = 10_000.0
cdef double MARK_LEAST_MS = 500.0
cdef double MARK_MOST_MS = 2000.0
cdef int64_t LONG_AGO_NS = -(<int64_t>1 << 62)
cdef int64_t NOT_TOLD = -(<int64_t>1 << 62)


cdef class Written:
    """`call.playout.Written`: how much was written to the phone."""

    def __init__(self):
        self.plays_until_ns = LONG_AGO_NS

    cpdef bint extends(self, int64_t now_ns, double ms) noexcept:
        cdef int64_t until_ns = self.plays_until_ns
        if now_ns > until_ns:
            if now_ns - until_ns > RUN_GAP_NS:
                return False
            until_ns = now_ns
        self.plays_until_ns = until_ns + <int64_t>(ms * NS_PER_MS)
        self.ms += ms
        self.at_ns = now_ns
        return True

    cpdef bint mark_due(self) noexcept:
        return self.ms - self.marked_ms >= min(MARK_MOST_MS, max(MARK_LEAST_MS, (self.ms - self.run_ms) / 4))


cdef class Playout:
    """`call.playout.Playout`. The marks that are out are of one epoch, so only their serial numbers are kept."""

    def __init__(self):
        self.written = Written()
        self.run_confirmed = True

    def __dealloc__(self):
        free(self.marks)

    @property
    def stale_below(self):
        return self.stale

    @stale_below.setter
    def stale_below(self, event_id):
        self.stale = event_id

    @property
    def written_ms(self):
        return self.written.ms

    @property
    def last_mark_ms(self):
        return self.written.marked_ms

    @property
    def queued_ms(self):
        return self.written.ms - self.confirmed_ms

    @property
    def outstanding_marks(self):
        return self.outstanding

    @property
    def plays_until_ns(self):
        return self.written.plays_until_ns

    def overdue_ms(self, int64_t now_ns):
        if not self.outstanding:
            return 0.0
        behind_ms = self.written.ms - self.marks[0].position_ms
        return max(0.0, <double>(now_ns - self.written.plays_until_ns) / NS_PER_MS + behind_ms)

    def begins_run(self, int64_t now_ns):
        return bool(now_ns - self.written.plays_until_ns > RUN_GAP_NS)

    cpdef wrote(self, int64_t now_ns, double ms):
        cdef Written written = self.written
        if not written.extends(now_ns, ms):
            written.run_ms = written.ms
            self.run_confirmed = False
            self.run_fresh = True
            written.plays_until_ns = now_ns
            written.extends(now_ns, ms)

    def mark(self):
        self.note_mark()
        return f"{self.epoch}.{self.serial}"

    cdef int note_mark(self) except -1:
        """A mark with the next serial number is being written."""
        cdef Mark* more
        if self.outstanding == self.room:
            more = <Mark*>realloc(self.marks, (2 * self.room + 8) * sizeof(Mark))
            if more == NULL:
                raise MemoryError()
            self.marks, self.room = more, 2 * self.room + 8
        self.serial += 1
        self.marks[self.outstanding].serial = self.serial
        self.marks[self.outstanding].position_ms = self.written.ms
        self.outstanding += 1
        self.written.marked_ms = self.written.ms
        return 0

    def mark_returned(self, str name not None, int64_t now_ns):
        cdef int64_t started_ns = NOT_TOLD, serial
        epoch, _, number = name.partition(".")
        # A name of ours is one that we would write: "0.01" and "0.١" are strangers.
        if not (number.isascii() and number.isdigit() and len(number) < 16):
            return None
        serial = int(number)
        if epoch != str(self.epoch) or number != str(serial):
            return None
        if not self.confirm(self.epoch, serial, now_ns, &started_ns):
            return None
        return self.confirmed_ms, None if started_ns == NOT_TOLD else started_ns

    cdef bint confirm(self, int64_t epoch, int64_t serial, int64_t now_ns, int64_t* run_started_ns) noexcept:
        """A mark came back; whether that says something new. `run_started_ns` is left alone if it is not told."""
        cdef Written written = self.written
        cdef Py_ssize_t known = 0
        cdef double position_ms, of_run_ms
        cdef int64_t at_ns
        while known < self.outstanding and self.marks[known].serial != serial:
            known += 1
        if epoch != self.epoch or known == self.outstanding:
            return False
        position_ms = self.marks[known].position_ms
        known += 1
        self.outstanding -= known
        self.returned_marks += known
        memmove(self.marks, self.marks + known, self.outstanding * sizeof(Mark))
        if position_ms <= self.confirmed_ms:
            return False
        self.confirmed_ms = position_ms
        of_run_ms = position_ms - written.run_ms
        if of_run_ms > 0:
            at_ns = now_ns - <int64_t>(of_run_ms * NS_PER_MS)
            if not self.run_confirmed or (of_run_ms <= REFINED_MS and at_ns < self.run_started_ns):
                self.run_confirmed = True
                self.run_started_ns = run_started_ns[0] = at_ns
        if not self.outstanding and written.ms == position_ms:
            written.plays_until_ns = min(written.plays_until_ns, now_ns)
        return True

    cpdef double cleared(self, int64_t now_ns):
        cdef Written written = self.written
        cdef double left_ms = max(0.0, <double>(written.plays_until_ns - now_ns) / NS_PER_MS)
        cdef double unheard_ms = min(written.ms - self.confirmed_ms, left_ms)
        self.outstanding = 0
        self.epoch += 1
        written.ms = written.marked_ms = self.confirmed_ms = written.ms - unheard_ms
        written.plays_until_ns = now_ns - <int64_t>((RUN_GAP_MS + 1) * NS_PER_MS)
        self.run_confirmed = True
        self.untold_ms = unheard_ms
        return unheard_ms
