# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=False
"""The media path's usual case without an interpreter: from the text of a message to the frame picows writes.

What is not usual (a message of another shape, a socket that is not picows') is answered with "not mine", and nothing
has been done then: the Python beside it takes over (`call/uplink.py`, `call/downlink.py`), which does all of it where
this module is not built. Both are held to the same tests.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy
from picows.picows cimport WSMsgType, WSTransport

from shortwire.native._clock cimport now_ns
from shortwire.native._notes cimport Recorder, is_base64
from shortwire.native._match cimport after, digits, number_of
from shortwire.native._playout cimport Playout

cdef extern from *:
    """
    #include <stdio.h>
    static inline int sw_name(char *name, long long epoch, long long serial) {
        return sprintf(name, "%lld.%lld", epoch, serial);
    }
    static inline int sw_bits(unsigned long long n) { return n ? 64 - __builtin_clzll(n) : 0; }
    """
    int sw_name(char* name, int64_t epoch, int64_t serial) noexcept nogil
    int sw_bits(uint64_t n) noexcept nogil


DEF ROOM = 16                 # before a message, for picows to write the frame's head into (at most 14)
DEF LARGEST = 32768           # bytes of payload that go this way: three seconds of audio
DEF AROUND = 1024             # two pieces and two marks around it: what names a stream has at most 64 characters

cdef int64_t NOT_TOLD = -(<int64_t>1 << 62)

cdef enum:
    # Kinds of the side log (`shortwire.call.side`).
    SIDE_DOWNLINK = 2
    SIDE_HEARD = 4
    SIDE_AGENT_AUDIO = 12
    # `shortwire.ulaw.CUT_MS`, and its base64.
    FIRST_MS = 60
    FIRST_CHARS = 640

cdef class Send:
    """Writes one text message to a picows socket; a `MessageSocket`'s `send`."""

    cdef WSTransport transport

    def __init__(self, WSTransport transport not None):
        self.transport = transport

    def __call__(self, message not None):
        self.transport.send(WSMsgType.TEXT, message)


cdef class Delays:
    """Durations counted where `shortwire.call.summary.Histogram` keeps its buckets."""

    def __init__(self, buckets not None):
        self.buckets = buckets

    cdef void count(self, int64_t ns) noexcept:
        cdef int shift
        cdef Py_ssize_t last = self.buckets.shape[0] - 1
        cdef int64_t bucket
        if ns > self.max_ns:
            self.max_ns = ns
        if ns < 0:
            ns = 0
        shift = sw_bits(<uint64_t>ns) - 6
        bucket = ns if shift <= 0 else (<int64_t>shift << 5) + (ns >> shift)
        self.buckets[bucket if bucket < last else last] += 1


cdef uint8_t[ROOM + LARGEST + AROUND] _out
cdef bint _out_taken = False


cdef class Shortcut:
    """One direction of one call."""

    def __init__(self, Recorder recorder not None, Delays delays not None):
        self.recorder = recorder
        self.delays = delays
        self.head = self.tail = b""

    def aim(self, send):
        """Where straight audio goes; anything but a `Send` closes the shortcut."""
        self.target = (<Send>send).transport if isinstance(send, Send) else None

    def end(self):
        """Nothing goes this way any more; what it held on to is let go."""
        self.target = None

    cdef int take(self, const uint8_t* text, Py_ssize_t size, int64_t read_ns) except -2:
        return NOT_MINE


cdef int _write_around(
    WSTransport target, bytes head, const uint8_t* payload, Py_ssize_t size, bytes tail
) except -2:
    """Write head, payload and tail as one message."""
    cdef Py_ssize_t before = PyBytes_GET_SIZE(head), after_it = PyBytes_GET_SIZE(tail)
    cdef char* out = <char*>_out + ROOM
    memcpy(out, PyBytes_AS_STRING(head), before)
    memcpy(out + before, payload, size)
    memcpy(out + before + size, PyBytes_AS_STRING(tail), after_it)
    return _write(target, before + size + after_it)


cdef int _write(WSTransport target, Py_ssize_t size) except -2:
    """Send what stands in `_out`, which nobody else may use meanwhile: a socket that is full tells its listener."""
    global _out_taken
    _out_taken = True
    try:
        target.send_reuse_external_buffer(WSMsgType.TEXT, <char*>_out + ROOM, size)
    finally:
        _out_taken = False
    return 0


cdef Py_ssize_t _add(Py_ssize_t filled, bytes head, const uint8_t* payload, Py_ssize_t size, bytes tail) noexcept:
    """Put one more message, framed as a server does (RFC 6455 section 5.2), behind the `filled` bytes that stand in
    `_out`; how many stand there then. What belongs together leaves with one call to the kernel: each wakes the
    carrier up, and costs as much as all of the work before it."""
    cdef Py_ssize_t before = PyBytes_GET_SIZE(head), after_it = PyBytes_GET_SIZE(tail)
    cdef Py_ssize_t whole = before + size + after_it
    cdef uint8_t* out = <uint8_t*>_out + filled
    out[0] = WHOLE_TEXT
    if whole < 126:
        out[1] = <uint8_t>whole
        out += 2
    else:
        out[1], out[2], out[3] = 126, <uint8_t>(whole >> 8), <uint8_t>whole
        out += 4
    memcpy(out, PyBytes_AS_STRING(head), before)
    memcpy(out + before, payload, size)
    memcpy(out + before + size, PyBytes_AS_STRING(tail), after_it)
    return out + whole - <uint8_t*>_out


cdef int _flush(WSTransport target, Py_ssize_t filled) except -2:
    """Write the frames that stand in `_out`."""
    global _out_taken
    if target.is_close_frame_sent or target.is_disconnected:
        return 0
    _out_taken = True
    try:
        target._fast_write(<char*>_out, filled)
    finally:
        _out_taken = False
    return 0


DEF MEDIA = b'{"event":"media","sequenceNumber":"'
DEF CHUNK = b'","media":{"track":"inbound","chunk":"'
DEF STAMP = b'","timestamp":"'
DEF PAYLOAD = b'","payload":"'
DEF MARK = b'{"event":"mark","sequenceNumber":"'
DEF MARK_END = b'"}}'


cdef class UplinkShortcut(Shortcut):
    """Party audio to the agent: the shape and the rules of `shortwire.wire.splice.phone_cut`. And marks that return."""

    cdef bytes ending
    cdef bytes before_name
    cdef Playout playout

    def confirm(self, before_name not None, playout not None):
        """Marks are confirmed in `playout`; `before_name` is what stands before their names in this stream. A ledger
        that is not compiled does it itself."""
        self.before_name = before_name
        self.playout = playout if isinstance(playout, Playout) else None

    def begin(self, ending not None, head not None, tail not None):
        """`ending` is what follows the payload in this stream's messages; `head` and `tail` go around it."""
        self.ending, self.head, self.tail = ending, head, tail

    cdef int take(self, const uint8_t* text, Py_ssize_t size, int64_t read_ns) except -2:
        cdef const uint8_t* end = text + size
        cdef const uint8_t* at
        cdef Py_ssize_t ending, length
        if self.target is None or self.ending is None or _out_taken:
            return NOT_MINE
        at = digits(after(text, end, MEDIA), end, 12)
        at = digits(after(at, end, CHUNK), end, 12)
        at = after(digits(after(at, end, STAMP), end, 12), end, PAYLOAD)
        if at == NULL:
            return self.mark(text, end, read_ns)
        ending = PyBytes_GET_SIZE(self.ending)
        length = end - at - ending
        if length <= 0 or length > LARGEST or memcmp(at + length, PyBytes_AS_STRING(self.ending), ending) != 0:
            return NOT_MINE
        if not is_base64(at, length):
            return NOT_MINE
        _write_around(self.target, self.head, at, length, self.tail)
        self.delays.count(now_ns() - read_ns)
        self.relayed += 1
        self.last_ns = read_ns
        self.recorder.caller(read_ns, at, length)
        return RELAYED

    cdef int mark(self, const uint8_t* text, const uint8_t* end, int64_t read_ns) except -2:
        """A mark of ours has come back: `call.downlink.Downlink.mark_returned`."""
        cdef const uint8_t* at
        cdef const uint8_t* dot
        cdef const uint8_t* behind
        cdef Py_ssize_t size
        cdef int64_t epoch, serial, started_ns = NOT_TOLD
        cdef Playout playout = self.playout
        if playout is None:
            return NOT_MINE
        at = digits(after(text, end, MARK), end, 12)
        size = PyBytes_GET_SIZE(self.before_name)
        if at == NULL or end - at < size or memcmp(at, PyBytes_AS_STRING(self.before_name), size) != 0:
            return NOT_MINE
        at += size
        dot = digits(at, end, 15)
        behind = digits(after(dot, end, b"."), end, 15)
        if behind == NULL:
            return NOT_MINE
        epoch, serial = number_of(at, dot), number_of(dot + 1, behind)
        if epoch < 0 or serial < 0 or after(behind, end, MARK_END) != end:
            return NOT_MINE
        if playout.confirm(epoch, serial, read_ns, &started_ns):
            started = None if started_ns == NOT_TOLD else started_ns
            self.recorder.side.append((read_ns, <int>SIDE_HEARD, (started, playout.written.ms - playout.confirmed_ms)))
        return DONE


DEF AUDIO = b'{"audio_event":{"audio_base_64":"'
DEF EVENT = b'","event_id":'
DEF FINAL = b',"is_final":'
DEF TRUE = b"true"
DEF FALSE = b"false"
DEF END = b'},"type":"audio"}'
# A ping as it is captured, and as it is documented.
DEF PING = b'{"ping_event":{"event_id":'
DEF PING_END = b'},"type":"ping"}'
DEF TYPED_PING = b'{"type":"ping","ping_event":{"event_id":'
DEF TYPED_PING_END = b'}}'
DEF PING_MS = b',"ping_ms":'
DEF NULL_TEXT = b"null"
DEF CUT_OFF = b'{"interruption_event":{"event_id":'
DEF CUT_OFF_END = b'},"type":"interruption"}'
DEF TYPED_CUT_OFF = b'{"type":"interruption","interruption_event":{"event_id":'
DEF TYPED_CUT_OFF_END = b'}}'
DEF PONG = b'{"type":"pong","event_id":'


cdef class DownlinkShortcut(Shortcut):
    """Agent audio to the phone: the shapes and the rules of `shortwire.wire.splice.cut_agent_audio`."""

    cdef readonly Playout playout
    cdef object mark
    cdef WSTransport agent
    cdef bytes clear_message, mark_head, mark_tail
    cdef Py_ssize_t most_marks

    def __init__(self, Recorder recorder not None, Delays delays not None):
        super().__init__(recorder, delays)
        self.playout = Playout()

    def begin(self, head not None, tail not None, mark not None):
        """`head` and `tail` go around the payload; `mark(now_ns)` writes a mark, where one is due."""
        self.head, self.tail, self.mark = head, tail, mark

    def manage(self, clear not None, mark_head not None, mark_tail not None, most_marks):
        """See `call.shortcut.DownlinkShortcut`."""
        self.clear_message, self.mark_head, self.mark_tail = clear, mark_head, mark_tail
        self.most_marks = most_marks

    def answer(self, send):
        """Where pings are answered; None: not here."""
        self.agent = (<Send>send).transport if isinstance(send, Send) else None

    def end(self):
        self.target = self.agent = None
        self.mark = None

    cdef int take(self, const uint8_t* text, Py_ssize_t size, int64_t read_ns) except -2:
        cdef const uint8_t* end = text + size
        cdef const uint8_t* at
        cdef const uint8_t* quote
        cdef const uint8_t* digit
        cdef Py_ssize_t length, chars
        cdef int64_t event_id
        cdef Py_ssize_t filled
        cdef double ms
        cdef bint due
        # A socket that is full says so while it is written to, and is not aimed at any more: what belongs behind that
        # goes there all the same.
        cdef WSTransport target = self.target
        if target is None or self.mark is None or _out_taken:
            return NOT_MINE
        at = after(text, end, AUDIO)
        if at == NULL:
            return self.other(text, end, read_ns)
        quote = <const uint8_t*>memchr(at, 34, end - at)
        if quote == NULL:
            return NOT_MINE
        length = quote - at
        if length == 0 or length > LARGEST or not is_base64(at, length):
            return NOT_MINE
        digit = after(quote, end, EVENT)
        quote = digits(digit, end, 15)
        if quote == NULL:
            return NOT_MINE
        event_id = number_of(digit, quote)
        if after(quote, end, FINAL) != NULL:
            quote += len(FINAL)
            digit = after(quote, end, TRUE)
            quote = digit if digit != NULL else after(quote, end, FALSE)
        if after(quote, end, END) != end or event_id < 0 or event_id < self.playout.stale:
            return NOT_MINE
        chars = length
        if length > 1 and at[length - 1] == 61:
            chars -= 2 if at[length - 2] == 61 else 1
        chars = chars * 3 >> 2
        ms = chars / 8.0
        if not self.playout.written.extends(read_ns, ms):
            return self.first(target, at, length, ms, event_id, read_ns)
        filled = _add(0, self.head, at, length, self.tail)
        due = self.playout.written.mark_due()
        if due and self.mark_head is not None:
            filled = self.add_mark(filled)
        _flush(target, filled)
        self.delays.count(now_ns() - read_ns)
        self.relayed += 1
        self.last_ns = read_ns
        self.recorder.agent(read_ns, at, length, event_id, ms)
        if due and self.mark_head is None:
            self.mark(read_ns)
        return RELAYED

    cdef int first(
        self, WSTransport target, const uint8_t* payload, Py_ssize_t size, double ms, int64_t event_id, int64_t read_ns
    ) except -2:
        """A run begins: `call.downlink.Downlink._write`."""
        cdef Py_ssize_t filled, rest, first = size
        cdef double first_ms = ms
        if self.mark_head is None:
            return NOT_MINE
        self.relayed += 1
        self.last_ns = read_ns
        if ms > FIRST_MS:
            first, first_ms = FIRST_CHARS, FIRST_MS
        rest = size - first
        self.playout.wrote(read_ns, first_ms)
        filled = self.add_mark(_add(0, self.head, payload, first, self.tail))
        if rest:
            self.playout.wrote(read_ns, ms - first_ms)
            filled = _add(filled, self.head, payload + first, rest, self.tail)
            if ms - first_ms <= FIRST_MS or self.playout.written.mark_due():
                filled = self.add_mark(filled)
        _flush(target, filled)
        text = PyBytes_FromStringAndSize(<const char*>payload, size)
        self.recorder.side.append((read_ns, <int>SIDE_AGENT_AUDIO, (event_id, text, False)))
        self.piece(payload, first, event_id, read_ns)
        if rest:
            self.piece(payload + first, rest, event_id, read_ns)
        return WRITTEN

    cdef int piece(self, const uint8_t* payload, Py_ssize_t size, int64_t event_id, int64_t read_ns) except -2:
        """Audio that begins a run was written: said to the side log."""
        text = PyBytes_FromStringAndSize(<const char*>payload, size)
        self.recorder.side.append((read_ns, <int>SIDE_DOWNLINK, (text, False, event_id)))
        return 0

    cdef Py_ssize_t add_mark(self, Py_ssize_t filled) except -1:
        """A mark behind what stands in `_out`, unless too many are out."""
        cdef char[48] name
        cdef int size
        if self.playout.outstanding >= self.most_marks:
            return filled
        self.playout.note_mark()
        size = sw_name(name, self.playout.epoch, self.playout.serial)
        return _add(filled, self.mark_head, <const uint8_t*>name, size, self.mark_tail)

    cdef int other(self, const uint8_t* text, const uint8_t* end, int64_t read_ns) except -2:
        """What is no audio: usual pings and interruptions."""
        cdef const uint8_t* number = after(text, end, PING)
        if number != NULL:
            return self.pong(number, end, False)
        number = after(text, end, TYPED_PING)
        if number != NULL:
            return self.pong(number, end, True)
        number = after(text, end, CUT_OFF)
        if number != NULL:
            return self.clear(number, end, False, read_ns)
        number = after(text, end, TYPED_CUT_OFF)
        if number != NULL:
            return self.clear(number, end, True, read_ns)
        return NOT_MINE

    cdef int clear(self, const uint8_t* number, const uint8_t* end, bint typed, int64_t read_ns) except -2:
        """The party has interrupted: `call.downlink.Downlink.interrupt`."""
        cdef const uint8_t* at = digits(number, end, 15)
        cdef int64_t event_id
        cdef Py_ssize_t size
        if self.clear_message is None or at == NULL:
            return NOT_MINE
        event_id = number_of(number, at)
        if event_id < 0 or (after(at, end, TYPED_CUT_OFF_END) if typed else after(at, end, CUT_OFF_END)) != end:
            return NOT_MINE
        size = PyBytes_GET_SIZE(self.clear_message)
        memcpy(<char*>_out + ROOM, PyBytes_AS_STRING(self.clear_message), size)
        _write(self.target, size)
        self.playout.stale = max(self.playout.stale, event_id)
        self.playout.cleared(read_ns)
        return WRITTEN

    cdef int pong(self, const uint8_t* number, const uint8_t* end, bint typed) except -2:
        """Answer a ping. The Python for it takes as long as one and a half messages of audio."""
        cdef const uint8_t* at = digits(number, end, 15)
        cdef const uint8_t* value
        cdef Py_ssize_t length
        cdef char* out = <char*>_out + ROOM
        if self.agent is None or at == NULL or number_of(number, at) < 0:
            return NOT_MINE
        length = at - number
        value = after(at, end, PING_MS)
        at = after(value, end, NULL_TEXT)
        if at == NULL:
            at = digits(value, end, 9)
        if (after(at, end, TYPED_PING_END) if typed else after(at, end, PING_END)) != end:
            return NOT_MINE
        memcpy(out, PONG, len(PONG))
        memcpy(out + len(PONG), number, length)
        out[len(PONG) + length] = b"}"
        _write(self.agent, len(PONG) + length + 1)
        return DONE
