# cython: language_level=3, freethreading_compatible=False
"""Descriptors watched by uvloop's own libuv, without an object or a context for each time that one is readable.

A handle belongs to its loop, so it has to be the libuv inside uvloop: its module exports the functions, and lends its
loop for just this (`uvloop.loop.libuv_get_loop_t_ptr`). Documented at docs.libuv.org, "uv_poll_t"; where they are not
found, or the loop is another, nothing is watched and whoever asks has another way.
"""

import asyncio

from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport Py_DECREF, Py_INCREF

try:
    import uvloop.loop
except ImportError:
    uvloop = None

cdef extern from *:
    """
    #include <dlfcn.h>
    #include <stdlib.h>
    #include <unistd.h>

    typedef void (*sw_tell)(void *owner, int failed);
    typedef struct { void *owner; sw_tell tell; } sw_watcher;

    static int (*sw_poll_init)(void *loop, void *handle, int fd);
    static int (*sw_poll_start)(void *handle, int events, void (*ready)(void *handle, int status, int events));
    static void (*sw_unref)(void *handle);
    static void (*sw_close)(void *handle, void (*closed)(void *handle));
    static size_t sw_handle_size;

    enum { SW_UV_POLL = 8, SW_UV_READABLE = 1 };

    /* Whether this library, which is loaded already, has all of it. */
    static int sw_find(const char *path) {
        void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
        size_t (*handle_size)(int type);
        if (library == NULL) return 0;
        sw_poll_init = dlsym(library, "uv_poll_init");
        sw_poll_start = dlsym(library, "uv_poll_start");
        sw_unref = dlsym(library, "uv_unref");
        sw_close = dlsym(library, "uv_close");
        handle_size = dlsym(library, "uv_handle_size");
        if (!(sw_poll_init && sw_poll_start && sw_unref && sw_close && handle_size)) return 0;
        sw_handle_size = handle_size(SW_UV_POLL);
        return 1;
    }

    /* Who watches stands behind the handle: its own `data` stays NULL, for uvloop takes that for an object of its. */
    static sw_watcher *sw_watcher_of(void *handle) { return (sw_watcher *)((char *)handle + sw_handle_size); }

    static void sw_ready(void *handle, int status, int events) {
        sw_watcher *watcher = sw_watcher_of(handle);
        (void)events;
        watcher->tell(watcher->owner, status < 0);
    }

    static void *sw_watch(void *loop, int fd, void *owner, sw_tell tell) {
        void *handle = calloc(1, sw_handle_size + sizeof(sw_watcher));
        if (handle == NULL) return NULL;
        *sw_watcher_of(handle) = (sw_watcher){owner, tell};
        if (sw_poll_init(loop, handle, fd) < 0) {
            free(handle);
            return NULL;
        }
        if (sw_poll_start(handle, SW_UV_READABLE, sw_ready) < 0) {
            sw_close(handle, free);
            return NULL;
        }
        sw_unref(handle);
        return handle;
    }

    static void sw_unwatch(void *handle) { sw_close(handle, free); }
    """
    ctypedef void (*sw_tell)(void* owner, int failed) noexcept
    bint sw_find(const char* path)
    void* sw_watch(void* loop, int fd, void* owner, sw_tell tell)
    void sw_unwatch(void* handle)
    int close(int fd)


cdef bint _found = uvloop is not None and sw_find(uvloop.loop.__file__.encode())


cdef void _readable(void* owner, int failed) noexcept with gil:
    cdef Watcher watcher = <Watcher>owner  # a reference of our own: it may stop meanwhile
    watcher.readable(failed)


cdef class Watcher:
    """Watches a descriptor of its own, and lives as long as it does."""

    cdef bint watch(self, int fd) except *:
        """From now on `readable` is called in each turn of the running loop in which there is something to read. Does
        not keep the loop running. The descriptor is taken over, and closed at once where this loop has no such thing:
        False."""
        loop = asyncio.get_running_loop()
        if fd < 0:
            return False
        if _found and isinstance(loop, uvloop.loop.Loop):
            self.handle = sw_watch(
                PyCapsule_GetPointer(uvloop.loop.libuv_get_loop_t_ptr(loop), NULL), fd, <void*>self, _readable
            )
        if self.handle == NULL:
            close(fd)
            return False
        self.fd = fd
        Py_INCREF(self)  # for the handle
        return True

    cdef void unwatch(self) noexcept:
        """Close the descriptor; harmless if nothing is watched. Needs the loop not to be closed, which lets go of the
        handle in its next turn."""
        if self.handle != NULL:
            sw_unwatch(self.handle)
            self.handle = NULL
            close(self.fd)
            Py_DECREF(self)

    cdef void readable(self, bint failed) noexcept:
        """There is something to read, or (`failed`) it cannot be watched any more."""
