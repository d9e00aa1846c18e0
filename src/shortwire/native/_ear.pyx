# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=False
"""What is known of a call's usual messages, gathered behind the media path and understood beside it.

`Recorder` notes each message that a shortcut has written: 32 bytes in a row instead of three objects, and the level
of a caller's frame while its bytes are at hand. `Ear` hears what was noted: speech, when it was spoken, the counts of
`audio/meter.py`. Twins in Python: `audio/ear.py` with what it is made of, and `Analyst` for `Ear.digest`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.math cimport fabs, rint
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

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
    NOBODYS = -2              # an event id that no audio has; -1 is "none known" in `Outlook`
    # Kinds of the side log (`shortwire.call.side`).
    UPLINK = 1
    RELAYED = 15
    FRAMES = 16
    # As in `audio/voice_activity.py`.
    BLOCK_FRAMES = 25
    QUIETEST = 3
    NEW_LINE_FRAMES = 10
    MOST_BLOCKS = 64
    # As in `call/speech.py` and `audio/meter.py`.
    SECOND = 50
    SPEECH_PER_STEP = 5
    NOISE_PER_STEP = 2
    NOISE_FRAMES = 500
    LEVELS = 256 * SPEECH_PER_STEP

cdef int64_t MS = 1_000_000
cdef int64_t FRAME_NS = 20 * MS
cdef int64_t LONG_GONE_NS = 2000 * MS
cdef int64_t BROKEN_NS = 500 * MS
cdef int64_t SKIPPED_NS = 15 * MS
cdef double LATE_MS = 60.0
cdef double UNDERRUN_MS = 10.0

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


cdef class Ear:
    """`audio.ear.Ear`; digests what a `Recorder` has noted."""

    # Voice activity
    cdef double above_noise, below_peak, least, least_later, noisiest_at_first, decay
    cdef double peak, noise, past_noise
    cdef double[QUIETEST] lows
    cdef double[MOST_BLOCKS] blocks
    cdef int n_lows, n_blocks, keep, frame_of_block, mile
    # The carrier's clock
    cdef int64_t[SECOND] delays
    cdef int n_delays, oldest
    cdef int64_t least_delay, spoken_ns, placed_ns
    # Counts
    cdef int64_t frames, samples, clipped, late, missing, underruns
    cdef int64_t last_ns, sent_ns, event_id, plays_until_ns, block_least
    cdef bint block_known
    cdef double jitter_ms, latest_ms, underrun_ms
    cdef int64_t[SECOND] block
    cdef int n_block, n_noise
    cdef uint16_t[NOISE_FRAMES] quiet
    cdef uint32_t[LEVELS] speech
    cdef object counts

    def __init__(self, thresholds, counts):
        """`thresholds`: `audio.voice_activity.Thresholds`; `counts`: `audio.meter.Counted`."""
        self.counts = counts
        self.above_noise = thresholds.above_noise
        self.below_peak = thresholds.below_peak
        self.least = thresholds.least_at_first
        self.least_later = thresholds.least
        self.noisiest_at_first = thresholds.noisiest_at_first
        self.decay = thresholds.decay
        self.keep = thresholds.blocks
        if not 1 <= self.keep < MOST_BLOCKS:
            raise ValueError(f"the memory of noise must be under {MOST_BLOCKS * BLOCK_FRAMES // 50} s")
        self.past_noise = 1e9
        self.mile = NEW_LINE_FRAMES
        self.event_id = NOBODYS

    # One by one

    def frame(self, int64_t now_ns, int size, double loudness, int clipped):
        """See `audio.ear.Ear`."""
        cdef bint voiced = self.judge(loudness)
        self.count_frame(now_ns, size, loudness, clipped, voiced)
        return bool(voiced), self.place(now_ns)

    def agent(self, int64_t now_ns, double ms, int64_t event_id):
        self.count_agent(now_ns, ms, event_id)

    def cleared(self):
        self.event_id = NOBODYS
        self.plays_until_ns = 0

    def counted(self):
        cdef int i
        self.end_block()
        known = min(self.n_noise, <int>NOISE_FRAMES)
        return self.counts(
            self.frames,
            self.samples,
            self.clipped,
            self.jitter_ms,
            self.late,
            self.latest_ms,
            self.missing,
            {i: self.speech[i] for i in range(LEVELS) if self.speech[i]},
            tuple(sorted([self.quiet[i] for i in range(known)])),
            self.underruns,
            self.underrun_ms,
        )

    # Several at once

    def digest(self, Frames frames not None, tracker not None):
        """Tell the tracker (`call.turns.TurnTracker`) of what was noted: messages that only go on with what was, by
        their sum; each of the others by itself, as the loop of `Analyst` does it."""
        cdef int64_t due_ns, event_id, from_ns, ends_ns, placed_ns
        cdef int64_t first_ns = 0, last_ns = 0, sent_ns = 0
        cdef double read_ms
        cdef bint voiced, run_voiced = False, more = False
        cdef int i, run = 0
        cdef Noted* one
        due_ns, event_id, read_ms, from_ns, ends_ns = tracker.outlook()
        for i in range(frames.count):
            one = &frames.noted[i]
            if one.event_id == NOBODYS:
                voiced = self.judge(one.amount)
                self.count_frame(one.read_ns, one.size, one.amount, one.clipped, voiced)
                placed_ns = self.place(one.read_ns)
                if run and (voiced != run_voiced or one.read_ns >= due_ns):
                    tracker.uplink_frames(run, bool(run_voiced), first_ns, last_ns, sent_ns)
                    run = 0
                if one.read_ns < due_ns:
                    if not run:
                        first_ns = placed_ns
                    run += 1
                    run_voiced, last_ns, sent_ns = voiced, placed_ns, one.read_ns
                    continue
                if more:
                    tracker.more_audio(read_ms, event_id)
                    more = False
                tracker.uplink_frame(one.read_ns, bool(voiced), one.read_ns, placed_ns)
            else:
                self.count_agent(one.read_ns, one.amount, one.event_id)
                if one.event_id == event_id or (ends_ns and one.read_ns <= ends_ns):
                    event_id = one.event_id
                    read_ms += one.amount
                    more = True
                    if ends_ns:
                        ends_ns = from_ns + <int64_t>(read_ms * MS)
                    continue
                if run:
                    tracker.uplink_frames(run, bool(run_voiced), first_ns, last_ns, sent_ns)
                    run = 0
                if more:
                    tracker.more_audio(read_ms, event_id)
                    more = False
                tracker.agent_audio(one.read_ns, one.amount, one.event_id)
                tracker.audio_written(one.read_ns, one.amount)
            due_ns, event_id, read_ms, from_ns, ends_ns = tracker.outlook()
        if run:
            tracker.uplink_frames(run, bool(run_voiced), first_ns, last_ns, sent_ns)
        if more:
            tracker.more_audio(read_ms, event_id)

    # Voice activity

    cdef bint judge(self, double loudness) noexcept:
        cdef bint loud
        if (
            self.n_lows < QUIETEST
            or loudness < self.lows[QUIETEST - 1]
            or self.frame_of_block + 1 >= self.mile
        ):
            self.learn_noise(loudness)
        else:
            self.frame_of_block += 1
        self.peak -= self.decay
        loud = (
            loudness > self.noise + self.above_noise
            and loudness > self.peak - self.below_peak
            and loudness > self.least
        )
        if loud and loudness > self.peak:
            self.peak = loudness
        return loud

    cdef void learn_noise(self, double loudness) noexcept:
        cdef int i
        if self.n_lows < QUIETEST or loudness < self.lows[self.n_lows - 1]:
            i = self.n_lows if self.n_lows < QUIETEST else QUIETEST - 1
            while i > 0 and self.lows[i - 1] > loudness:
                self.lows[i] = self.lows[i - 1]
                i -= 1
            self.lows[i] = loudness
            self.n_lows = min(self.n_lows + 1, <int>QUIETEST)
            if self.n_lows == QUIETEST and (self.n_blocks or self.frame_of_block > NEW_LINE_FRAMES):
                self.noise = min(self.lows[QUIETEST - 1], self.past_noise)
        self.frame_of_block += 1
        if self.frame_of_block == NEW_LINE_FRAMES and not self.n_blocks:
            self.noise = min(self.lows[self.n_lows - 1], self.noisiest_at_first)
            self.least = self.least_later
            self.mile = BLOCK_FRAMES
        if self.frame_of_block == BLOCK_FRAMES:
            self.frame_of_block = 0
            if self.n_blocks == self.keep:
                for i in range(self.n_blocks - 1):
                    self.blocks[i] = self.blocks[i + 1]
                self.n_blocks -= 1
            self.blocks[self.n_blocks] = self.lows[self.n_lows - 1]
            self.n_blocks += 1
            self.n_lows = 0
            self.past_noise = self.blocks[0]
            for i in range(1, self.n_blocks):
                self.past_noise = min(self.past_noise, self.blocks[i])
            self.noise = self.past_noise

    # The carrier's clock

    cdef int64_t place(self, int64_t read_ns) noexcept:
        cdef int64_t delay, oldest = 0, placed_ns
        cdef bint left = self.n_delays == SECOND
        cdef int i
        self.spoken_ns += FRAME_NS
        delay = read_ns - self.spoken_ns
        if left:
            oldest = self.delays[self.oldest]
            self.delays[self.oldest] = delay
            self.oldest = (self.oldest + 1) % SECOND
        else:
            self.delays[self.n_delays] = delay
            self.n_delays += 1
        if delay <= self.least_delay or self.n_delays == 1:
            self.least_delay = delay
        elif left and oldest == self.least_delay:
            self.least_delay = self.delays[0]
            for i in range(1, SECOND):
                self.least_delay = min(self.least_delay, self.delays[i])
        placed_ns = self.spoken_ns + self.least_delay
        if read_ns - placed_ns > LONG_GONE_NS:
            self.delays[0] = delay
            self.n_delays, self.oldest = 1, 0
            self.least_delay, placed_ns = delay, read_ns
        self.placed_ns = max(placed_ns, min(self.placed_ns, read_ns))
        return self.placed_ns

    # Counts

    cdef void count_frame(self, int64_t now_ns, int size, double loudness, int clipped, bint voiced) noexcept:
        cdef int64_t length_ns = size * MS // 8, since_ns
        self.samples += size
        self.clipped += clipped
        if voiced:
            self.speech[<int>rint(loudness * SPEECH_PER_STEP)] += 1
        else:
            self.quiet[self.n_noise % NOISE_FRAMES] = <uint16_t>rint(loudness * NOISE_PER_STEP)
            self.n_noise += 1
            if self.n_noise == 2 * NOISE_FRAMES:  # full is full, however often
                self.n_noise = NOISE_FRAMES
        if self.frames:
            since_ns = now_ns - self.last_ns
            self.jitter_ms += (fabs(<double>(since_ns - length_ns)) / MS - self.jitter_ms) / 16
            if since_ns > BROKEN_NS:
                self.end_block()
        self.frames += 1
        self.last_ns = now_ns
        self.sent_ns += length_ns
        self.block[self.n_block] = now_ns - self.sent_ns
        self.n_block += 1
        if self.n_block == SECOND:
            self.end_block()

    cdef void count_agent(self, int64_t now_ns, double ms, int64_t event_id) noexcept:
        cdef double pause_ms = <double>(now_ns - self.plays_until_ns) / MS
        if event_id == self.event_id and self.plays_until_ns and pause_ms > UNDERRUN_MS:
            self.underruns += 1
            self.underrun_ms += pause_ms
        self.event_id = event_id
        self.plays_until_ns = max(now_ns, self.plays_until_ns) + <int64_t>(ms * MS)

    cdef void end_block(self) noexcept:
        cdef int64_t least
        cdef double late_ms
        cdef int i
        if not self.n_block:
            return
        least = self.block[0]
        for i in range(1, self.n_block):
            least = min(least, self.block[i])
        if self.block_known and self.n_block == SECOND and least - self.block_least > SKIPPED_NS:
            self.missing += <int64_t>rint(<double>(least - self.block_least) / FRAME_NS)
        if self.n_block == SECOND or not self.block_known:
            self.block_least, self.block_known = least, True
        for i in range(self.n_block):
            late_ms = <double>(self.block[i] - least) / MS
            if late_ms > LATE_MS:
                self.late += 1
            if late_ms > self.latest_ms:
                self.latest_ms = late_ms
        self.n_block = 0
