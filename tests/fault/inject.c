/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a program (LD_PRELOAD), does something to the n-th of its system calls or allocations.
 *
 *   FAULT_CALL    which calls count: read, write, fsync, rename, mkdir, unlink (and rmdir), open, mmap, malloc, or any
 *                 (all but malloc);
 *                 of open, mkdir and rename only those that name PATH, where FAULT_PATH=PATH is given
 *   FAULT_AT      which of them, from 1 on; without it they are only counted
 *   FAULT_LASTING given: all later ones, too
 *   FAULT_DO      what happens: an errno as a number, short (one byte moves), kill (SIGKILL), wait (sleeps 30 s), slow
 *                 (sleeps 1 ms) or a command of the shell, which ends before the call goes on as if nothing were
 *   FAULT_COUNT   a file that gets the number of calls at the end
 *   FAULT_PLACES  a file that gets the numbers of those calls that come from a new place: with a call stack that none had
 *                 before
 *   FAULT_LOG     a file that gets a line for each fsync, rename, mkdir, unlink and rmdir: name and paths
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *call_name, *action, *count_file, *log_file, *path_part, *places_file;
static long at = -1;
static int lasting, is_ready;
static atomic_long calls;

__attribute__((constructor)) static void begin(void) {
    call_name = getenv("FAULT_CALL");
    action = getenv("FAULT_DO");
    count_file = getenv("FAULT_COUNT");
    log_file = getenv("FAULT_LOG");
    path_part = getenv("FAULT_PATH");
    places_file = getenv("FAULT_PLACES");
    lasting = getenv("FAULT_LASTING") != NULL;
    if (getenv("FAULT_AT")) at = atol(getenv("FAULT_AT"));
    is_ready = 1;
}

static void put(const char* file, const char* text) {
    const int to = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (to < 0) return;
    if (syscall(SYS_write, to, text, strlen(text)) < 0) {
    }
    syscall(SYS_close, to);
}

__attribute__((destructor)) static void end(void) {
    char number[32];
    if (!count_file) return;
    snprintf(number, sizeof number, "%ld\n", atomic_load(&calls));
    put(count_file, number);
}

/* Whether no call came from this place before: a table of the hashes of call stacks. */
static int is_new_place(void) {
    enum { size = 1 << 18, deepest = 64 };
    static _Atomic uint64_t known[size];
    void* frames[deepest];
    const int count = backtrace(frames, deepest);
    uint64_t hash = 1;
    for (int i = 0; i < count; ++i) hash = (hash ^ (uint64_t)(uintptr_t)frames[i]) * 0x9E3779B97F4A7C15 ^ hash >> 29;
    for (uint64_t at = hash % size;; at = (at + 1) % size) {
        uint64_t free_place = 0;
        if (atomic_compare_exchange_strong(&known[at], &free_place, hash)) return 1;
        if (free_place == hash) return 0;
    }
}

static void note_place(long number) {
    static __thread int is_inside; /* backtrace() itself takes memory, at first */
    char text[32];
    if (!places_file || is_inside) return;
    is_inside = 1;
    if (is_new_place()) {
        snprintf(text, sizeof text, "%ld\n", number);
        put(places_file, text);
    }
    is_inside = 0;
}

static void note(const char* call, const char* path, const char* other) {
    char line[9000];
    if (!log_file) return;
    snprintf(line, sizeof line, "%s %s%s%s\n", call, path, other ? "\t" : "", other ? other : "");
    put(log_file, line);
}

static void note_file(const char* call, int file) {
    char link[64], path[4200];
    if (!log_file) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    const ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    note(call, path, NULL);
}

static void run_command(const char* command) {
    char* const arguments[] = {"sh", "-c", (char*)command, NULL};
    char* const environment[] = {"PATH=/usr/bin:/bin", NULL};
    pid_t child;
    int status;
    if (posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environment) == 0) waitpid(child, &status, 0);
}

static void sleep_for(long milliseconds) {
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (syscall(SYS_nanosleep, &left, &left) != 0 && errno == EINTR) {
    }
}

enum { nothing, fails, is_short };

/* What is to happen to this call; errno is set where it is to fail. */
static int fault(const char* call, const char* path) {
    if (!is_ready || !call_name) return nothing;
    if (strcmp(call, call_name) != 0 && (strcmp(call_name, "any") != 0 || strcmp(call, "malloc") == 0)) return nothing;
    if (path_part && (!path || !strstr(path, path_part))) return nothing;
    const long number = atomic_fetch_add(&calls, 1) + 1;
    note_place(number);
    if (at < 0 || !action || number < at || (number > at && !lasting)) return nothing;
    if (strcmp(action, "short") == 0) return is_short;
    if (strcmp(action, "kill") == 0) kill(getpid(), SIGKILL);
    if (strcmp(action, "wait") == 0) return sleep_for(30000), nothing;
    if (strcmp(action, "slow") == 0) return sleep_for(1), nothing;
    if (action[0] < '0' || action[0] > '9') return run_command(action), nothing;
    errno = atoi(action);
    return fails;
}

#define REAL(result, name, ...)                                              \
    static result (*real)(__VA_ARGS__);                                     \
    if (!real) *(void**)&real = dlsym(RTLD_NEXT, name)

/* ---- reading and writing */

ssize_t read(int file, void* buffer, size_t bytes) {
    const int what = fault("read", NULL);
    if (what == fails) return -1;
    return syscall(SYS_read, file, buffer, what == is_short && bytes > 1 ? 1 : bytes);
}
ssize_t pread(int file, void* buffer, size_t bytes, off_t offset) {
    const int what = fault("read", NULL);
    if (what == fails) return -1;
    return syscall(SYS_pread64, file, buffer, what == is_short && bytes > 1 ? 1 : bytes, offset);
}
ssize_t pread64(int file, void* buffer, size_t bytes, off_t offset) { return pread(file, buffer, bytes, offset); }
ssize_t preadv(int file, const struct iovec* buffers, int count, off_t offset) {
    REAL(ssize_t, "preadv", int, const struct iovec*, int, off_t);
    const int what = fault("read", NULL);
    if (what == fails) return -1;
    if (what == is_short && count > 0 && buffers[0].iov_len > 0)
        return syscall(SYS_pread64, file, buffers[0].iov_base, 1, offset);
    return real(file, buffers, count, offset);
}
ssize_t preadv64(int file, const struct iovec* buffers, int count, off_t offset) {
    return preadv(file, buffers, count, offset);
}

/* What is printed is not what is tested. */
static int is_output(int file) { return file == STDOUT_FILENO || file == STDERR_FILENO; }

ssize_t write(int file, const void* buffer, size_t bytes) {
    const int what = is_output(file) ? nothing : fault("write", NULL);
    if (what == fails) return -1;
    return syscall(SYS_write, file, buffer, what == is_short && bytes > 1 ? 1 : bytes);
}
ssize_t pwrite(int file, const void* buffer, size_t bytes, off_t offset) {
    const int what = fault("write", NULL);
    if (what == fails) return -1;
    return syscall(SYS_pwrite64, file, buffer, what == is_short && bytes > 1 ? 1 : bytes, offset);
}
ssize_t pwrite64(int file, const void* buffer, size_t bytes, off_t offset) {
    return pwrite(file, buffer, bytes, offset);
}
ssize_t pwritev(int file, const struct iovec* buffers, int count, off_t offset) {
    REAL(ssize_t, "pwritev", int, const struct iovec*, int, off_t);
    const int what = fault("write", NULL);
    if (what == fails) return -1;
    if (what == is_short && count > 0 && buffers[0].iov_len > 0)
        return syscall(SYS_pwrite64, file, buffers[0].iov_base, 1, offset);
    return real(file, buffers, count, offset);
}
ssize_t pwritev64(int file, const struct iovec* buffers, int count, off_t offset) {
    return pwritev(file, buffers, count, offset);
}

/* ---- names */

int fsync(int file) {
    note_file("fsync", file);
    return fault("fsync", NULL) == fails ? -1 : (int)syscall(SYS_fsync, file);
}
int rename(const char* from, const char* to) {
    note("rename", from, to);
    return fault("rename", to) == fails ? -1 : (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}
int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
    note(flags != 0 ? "exchange" : "rename", from, to);
    return fault("rename", to) == fails ? -1 : (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}
int mkdir(const char* path, mode_t mode) {
    note("mkdir", path, NULL);
    return fault("mkdir", path) == fails ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}
int unlink(const char* path) {
    note("unlink", path, NULL);
    return fault("unlink", path) == fails ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
int unlinkat(int folder, const char* path, int flags) {
    note((flags & AT_REMOVEDIR) != 0 ? "rmdir" : "unlink", path, NULL);
    return fault("unlink", path) == fails ? -1 : (int)syscall(SYS_unlinkat, folder, path, flags);
}
int rmdir(const char* path) {
    note("rmdir", path, NULL);
    return fault("unlink", path) == fails ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

static int open_in(int folder, const char* path, int flags, mode_t mode) {
    return fault("open", path) == fails ? -1 : (int)syscall(SYS_openat, folder, path, flags, mode);
}
static mode_t mode_of(int flags, va_list rest) {
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}
int open(const char* path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return open_in(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return open_in(AT_FDCWD, path, flags, mode);
}
int openat(int folder, const char* path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return open_in(folder, path, flags, mode);
}

/* ---- memory */

void* mmap(void* place, size_t bytes, int protection, int flags, int file, off_t offset) {
    if (fault("mmap", NULL) == fails) return MAP_FAILED;
    return (void*)syscall(SYS_mmap, place, bytes, protection, flags, file, offset);
}
void* mmap64(void* place, size_t bytes, int protection, int flags, int file, off_t offset) {
    return mmap(place, bytes, protection, flags, file, offset);
}

extern void* __libc_malloc(size_t bytes);
extern void* __libc_calloc(size_t count, size_t bytes);
extern void* __libc_realloc(void* block, size_t bytes);
extern void* __libc_memalign(size_t alignment, size_t bytes);

void* malloc(size_t bytes) { return fault("malloc", NULL) == fails ? NULL : __libc_malloc(bytes); }
void* calloc(size_t count, size_t bytes) {
    return fault("malloc", NULL) == fails ? NULL : __libc_calloc(count, bytes);
}
void* realloc(void* block, size_t bytes) {
    return fault("malloc", NULL) == fails ? NULL : __libc_realloc(block, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
    return fault("malloc", NULL) == fails ? NULL : __libc_memalign(alignment, bytes);
}
int posix_memalign(void** out, size_t alignment, size_t bytes) {
    if (fault("malloc", NULL) == fails) return ENOMEM;
    *out = __libc_memalign(alignment, bytes);
    return *out ? 0 : ENOMEM;
}
