# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=False
"""Hears what was noted of a call (`_notes.pyx`), beside the media path: speech, when it was spoken, the counts of
`audio/meter.py`. Twins in Python: `audio/ear.py` with what it is made of, and `Analyst` for `Ear.digest`."""

from libc.math cimport fabs, rint
from libc.stdint cimport int64_t, uint16_t, uint32_t

from shortwire.native._notes cimport NOBODYS, Frames, Noted

cdef enum:
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

cdef struct Stretch:
    # What the tracker has not been told of: caller's frames in a row that are alike, and audio that continues a reply.
    int frames
    bint voiced
    int64_t first_ns          # of the frames: the first and the last as placed, and when the last was read
    int64_t last_ns
    int64_t sent_ns
    bint more
    int64_t event_id          # of the reply, and all that was read of it
    double read_ms


cdef int tell_frames(Stretch* like, tracker) except -1:
    if like.frames:
        tracker.uplink_frames(like.frames, bool(like.voiced), like.first_ns, like.last_ns, like.sent_ns)
        like.frames = 0
    return 0


cdef int tell_audio(Stretch* like, tracker) except -1:
    if like.more:
        tracker.more_audio(like.read_ms, like.event_id)
        like.more = False
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
        cdef int64_t due_ns, from_ns, ends_ns, placed_ns
        cdef Stretch like
        cdef bint voiced
        cdef int i
        cdef Noted* one
        like.frames, like.voiced, like.more = 0, False, False
        due_ns, like.event_id, like.read_ms, from_ns, ends_ns = tracker.outlook()
        for i in range(frames.count):
            one = &frames.noted[i]
            if one.event_id == NOBODYS:
                voiced = self.judge(one.amount)
                self.count_frame(one.read_ns, one.size, one.amount, one.clipped, voiced)
                placed_ns = self.place(one.read_ns)
                if voiced != like.voiced or one.read_ns >= due_ns:
                    tell_frames(&like, tracker)
                if one.read_ns < due_ns:
                    if not like.frames:
                        like.first_ns = placed_ns
                    like.frames += 1
                    like.voiced, like.last_ns, like.sent_ns = voiced, placed_ns, one.read_ns
                    continue
                tell_audio(&like, tracker)
                tracker.uplink_frame(one.read_ns, bool(voiced), one.read_ns, placed_ns)
            else:
                self.count_agent(one.read_ns, one.amount, one.event_id)
                if one.event_id == like.event_id or (ends_ns and one.read_ns <= ends_ns):
                    like.event_id = one.event_id
                    like.read_ms += one.amount
                    like.more = True
                    if ends_ns:
                        ends_ns = from_ns + <int64_t>(like.read_ms * MS)
                    continue
                tell_frames(&like, tracker)
                tell_audio(&like, tracker)
                tracker.agent_audio(one.read_ns, one.amount, one.event_id)
                tracker.audio_written(one.read_ns, one.amount)
            due_ns, like.event_id, like.read_ms, from_ns, ends_ns = tracker.outlook()
        tell_frames(&like, tracker)
        tell_audio(&like, tracker)

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
