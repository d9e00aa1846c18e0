/* Preloaded into a server: keeps the instants of the system calls by which its event loop looks at its sockets and reads
 * them. One thread's: the first that waits. The file is that of `turns.py`: a count, then fixed records. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WAIT = 1, READ = 2 };
enum { MOST = 4000000, HEAD = 64 };

typedef struct {
    uint64_t began_ns, ended_ns;
    int64_t result;
    uint64_t kind;
} Record;

static uint64_t *count;
static Record *records;
static pid_t looks;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* TURNS_FILE is made by the first process that has it: the server's own children record nothing. */
__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("TURNS_FILE");
    size_t size = HEAD + (size_t)MOST * sizeof(Record);
    void *map;
    int file = path ? open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (file < 0) return;
    map = ftruncate(file, (off_t)size) ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (map == MAP_FAILED) return;
    count = map;
    records = (Record *)((char *)map + HEAD);
}

/* A timer and another thread's wake-up are read, too, and are no messages. */
static int is_socket(int fd) {
    struct stat found;
    return fstat(fd, &found) == 0 && S_ISSOCK(found.st_mode);
}

static void keep(int fd, uint64_t began_ns, int kind, int64_t result) {
    int error = errno;
    uint64_t ended_ns = now_ns(), at;
    pid_t me = (pid_t)syscall(SYS_gettid);
    if (kind == WAIT && !looks) looks = me;
    if (me == looks && (kind == WAIT || is_socket(fd)) && (at = *count) < MOST) {
        records[at] = (Record){began_ns, ended_ns, result, (uint64_t)kind};
        __atomic_store_n(count, at + 1, __ATOMIC_RELEASE);
    }
    errno = error;
}

#define KEPT(type, name, kind, parameters, arguments) \
    type name parameters { \
        static type(*real) parameters; \
        uint64_t began_ns; \
        type result; \
        if (!real) real = (type(*) parameters)dlsym(RTLD_NEXT, #name); \
        if (!count) return real arguments; \
        began_ns = now_ns(); \
        result = real arguments; \
        keep(fd, began_ns, kind, (int64_t)result); \
        return result; \
    }

KEPT(int, epoll_wait, WAIT, (int fd, struct epoll_event *e, int n, int ms), (fd, e, n, ms))
KEPT(int, epoll_pwait, WAIT, (int fd, struct epoll_event *e, int n, int ms, const sigset_t *s), (fd, e, n, ms, s))
KEPT(ssize_t, recv, READ, (int fd, void *b, size_t n, int f), (fd, b, n, f))
KEPT(ssize_t, read, READ, (int fd, void *b, size_t n), (fd, b, n))
