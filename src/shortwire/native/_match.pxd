# How `_media.pyx` tells messages apart: each step answers where it has come to in the text, or NULL; a step that begins
# at NULL ends there, so that steps can stand inside each other.

from libc.stdint cimport int64_t, uint8_t

cdef extern from *:
    """
    #include <Python.h>
    /* The compiler knows the length of each text, and compares short ones in registers. */
    static inline __attribute__((always_inline)) const unsigned char *sw_after(
        const unsigned char *at, const unsigned char *end, const char *text
    ) {
        Py_ssize_t size = (Py_ssize_t)__builtin_strlen(text);
        return at && end - at >= size && __builtin_memcmp(at, text, size) == 0 ? at + size : NULL;
    }
    """
    const uint8_t* after "sw_after"(const uint8_t* at, const uint8_t* end, const char* text) noexcept nogil


cdef inline const uint8_t* digits(const uint8_t* at, const uint8_t* end, int most) noexcept:
    """Behind at least one and at most so many digits."""
    cdef int n = 0
    if at == NULL:
        return NULL
    while at < end and n < most and 48 <= at[0] <= 57:
        at += 1
        n += 1
    return at if n else NULL


cdef inline int64_t number_of(const uint8_t* at, const uint8_t* end) noexcept:
    """Of at most 18 digits; -1: JSON has no such number, as it begins with a zero."""
    cdef int64_t value = 0
    if at[0] == 48 and end - at > 1:
        return -1
    while at < end:
        value = value * 10 + (at[0] - 48)
        at += 1
    return value
