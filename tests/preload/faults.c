/* Calls of the system that fail on demand: a library to be loaded before the C library (LD_PRELOAD).
 *
 * BRAID_FAULT         CALL,SUFFIX,NTH,AGAIN,EFFECT
 *   CALL              sync, write, read, truncate, create, open, rename, unlink, map
 *   SUFFIX            how the path ends; may be empty
 *   NTH, AGAIN        the call that is met, from 1, and which others: once, always (from there on), every (each NTH)
 *   EFFECT            a number: fails with this errno, and does nothing; done-NUMBER: is done, and fails;
 *                     short: moves one byte less than asked, zero: moves none and says so;
 *                     kill-before, kill-after: the process dies as by kill -9, before or after the call
 * BRAID_FAULT_WITHIN  only paths that hold this
 * BRAID_FAULT_REPORT  a file that gets the line `fired` whenever a call is met, and `retried` when a file whose sync was
 *                     made to fail is synced again
 *
 * A file whose sync failed is kept open, so that no other file gets its inode number.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

enum { FAILED_MAX = 16 };
enum effect { NONE, ERRNO, DONE, SHORT, ZERO, KILL_BEFORE, KILL_AFTER };

static char call_wanted[16], suffix[64], again[16], effect_name[24];
static long nth;
static const char *within, *report;
static atomic_long met;
static atomic_int failed_count;
static struct stat failed[FAILED_MAX];

__attribute__((constructor)) static void read_plan(void) {
    const char *plan = getenv("BRAID_FAULT");
    within = getenv("BRAID_FAULT_WITHIN");
    report = getenv("BRAID_FAULT_REPORT");
    if (plan == NULL || within == NULL || report == NULL)
        return;
    char copy[256], *rest = copy;
    snprintf(copy, sizeof copy, "%s", plan);
    const char *fields[5] = {"", "", "", "", ""};
    for (int i = 0; i < 5 && rest != NULL; i++)
        fields[i] = strsep(&rest, ",");
    snprintf(call_wanted, sizeof call_wanted, "%s", fields[0]);
    snprintf(suffix, sizeof suffix, "%s", fields[1]);
    nth = atol(fields[2]);
    snprintf(again, sizeof again, "%s", fields[3]);
    snprintf(effect_name, sizeof effect_name, "%s", fields[4]);
}

static void tell(const char *line) {
    int file = (int)syscall(SYS_openat, AT_FDCWD, report, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file >= 0) {
        if (syscall(SYS_write, file, line, strlen(line)) < 0)
            abort();
        syscall(SYS_close, file);
    }
}

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

static int matches(const char *call, const char *path) {
    if (nth <= 0 || strcmp(call, call_wanted) != 0 || strstr(path, within) == NULL)
        return 0;
    size_t length = strlen(path), tail = strlen(suffix);
    return length >= tail && strcmp(path + length - tail, suffix) == 0;
}

/* What becomes of a call; errno is set where it fails. */
static enum effect meet(const char *call, const char *path) {
    if (!matches(call, path))
        return NONE;
    long count = atomic_fetch_add(&met, 1) + 1;
    int hit = strcmp(again, "always") == 0  ? count >= nth
              : strcmp(again, "every") == 0 ? count % nth == 0
                                            : count == nth;
    if (!hit)
        return NONE;
    tell("fired\n");
    if (strcmp(effect_name, "kill-before") == 0)
        die();
    if (strcmp(effect_name, "kill-after") == 0)
        return KILL_AFTER;
    if (strcmp(effect_name, "short") == 0)
        return SHORT;
    if (strcmp(effect_name, "zero") == 0)
        return ZERO;
    int done = strncmp(effect_name, "done-", 5) == 0;
    errno = atoi(effect_name + (done ? 5 : 0));
    return done ? DONE : ERRNO;
}

static enum effect meet_file(const char *call, int file) {
    if (strcmp(call, call_wanted) != 0)
        return NONE;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return NONE;
    path[length] = 0;
    return meet(call, path);
}

/* Does the call as the plan has it. A failure keeps the errno of the plan. */
#define DO(fate, failure, work)                                                                                        \
    do {                                                                                                               \
        enum effect effect_ = (fate);                                                                                  \
        int errno_ = errno;                                                                                            \
        if (effect_ == ERRNO)                                                                                          \
            return failure;                                                                                            \
        __typeof__(work) result_ = work;                                                                               \
        if (effect_ == KILL_AFTER)                                                                                     \
            die();                                                                                                     \
        if (effect_ == DONE) {                                                                                         \
            errno = errno_;                                                                                            \
            return failure;                                                                                            \
        }                                                                                                              \
        return result_;                                                                                                \
    } while (0)

static int sync_file(int file, int (*next)(int)) {
    struct stat now;
    if (strcmp("sync", call_wanted) == 0 && fstat(file, &now) == 0 && S_ISREG(now.st_mode)) {
        int count = atomic_load(&failed_count);
        for (int i = 0; i < count && i < FAILED_MAX; i++)
            if (failed[i].st_dev == now.st_dev && failed[i].st_ino == now.st_ino)
                tell("retried\n");
    }
    enum effect effect = meet_file("sync", file);
    if ((effect == ERRNO || effect == DONE) && fstat(file, &now) == 0 && S_ISREG(now.st_mode)) {
        int error = errno, place = atomic_load(&failed_count);
        if (place < FAILED_MAX && dup(file) >= 0) {
            failed[place] = now;
            atomic_store(&failed_count, place + 1);
        }
        errno = error;
    }
    DO(effect, -1, next(file));
}

int fsync(int file) { return sync_file(file, NEXT(fsync)); }
int fdatasync(int file) { return sync_file(file, NEXT(fdatasync)); }

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) {
    enum effect effect = meet_file("write", file);
    if (effect == ZERO)
        return 0;
    if (effect == SHORT && count > 1)
        count--;
    DO(effect, -1, NEXT(pwrite64)(file, bytes, count, offset));
}

ssize_t pread64(int file, void *bytes, size_t count, off64_t offset) {
    enum effect effect = meet_file("read", file);
    if (effect == SHORT && count > 1)
        count--;
    DO(effect, -1, NEXT(pread64)(file, bytes, count, offset));
}

int ftruncate64(int file, off64_t length) { DO(meet_file("truncate", file), -1, NEXT(ftruncate64)(file, length)); }

int open64(const char *path, int flags, ...) {
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    DO(meet(flags & O_CREAT ? "create" : "open", path), -1, NEXT(open64)(path, flags, mode));
}

int rename(const char *from, const char *to) { DO(meet("rename", to), -1, NEXT(rename)(from, to)); }
int unlink(const char *path) { DO(meet("unlink", path), -1, NEXT(unlink)(path)); }

void *mmap64(void *address, size_t length, int protection, int flags, int file, off64_t offset) {
    if (file < 0 || !(protection & PROT_WRITE))
        return NEXT(mmap64)(address, length, protection, flags, file, offset);
    DO(meet_file("map", file), MAP_FAILED, NEXT(mmap64)(address, length, protection, flags, file, offset));
}
