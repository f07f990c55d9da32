// SPDX-License-Identifier: MIT
// A disk that can lose power, fill up and fail, and a clock that can jump: preloaded into the daemon
// by the fault harness (disk.py), and steered through the shared file $BITNETD_SHIM.
//
// Power loss: for every file written below $BITNETD_SHIM_ROOT the length that fsync or fdatasync
// covered is kept in the shared file, which outlives the process; small files (the witness is
// written in place) are kept whole. After a SIGKILL the driver cuts each file back to that. What
// RocksDB writes only grows, so that this is what a disk keeps that had written nothing else.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { n_slots = 4096, whole_bytes = 8192 };

// Must be as disk.py has it.
struct slot {
  uint64_t device, inode;
  int64_t synced;               // bytes of the file that are on the disk
  int64_t kept;                 // of them in `content`; -1: none
  unsigned char content[whole_bytes];
};
struct shared {
  int64_t room;                 // bytes that may still be written; negative: no bound
  int64_t failing_sync;         // not 0: fsync and fdatasync fail with EIO
  int64_t failing_read;         // not 0: reads fail with EIO
  int64_t clock_offset_us;      // added to CLOCK_REALTIME
  int64_t syncs;                // how many there were
  int64_t writes;               // likewise
  int64_t failing_write;        // not 0: so many writes from now on the first one fails ...
  int64_t failing_once;         // ... and, where this is 0, each one after it ...
  int64_t failing_errno;        // ... with this
  struct slot slots[n_slots];
};

static struct shared* state;
static char root[4096];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
// By descriptor: 1 + slot index; 0: not ours.
static int slot_of[65536];

#define REAL(name) static __typeof__(name)* real; if (!real) real = (__typeof__(name)*)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
  const char* file = getenv("BITNETD_SHIM");
  const char* below = getenv("BITNETD_SHIM_ROOT");
  if (!file || !below || strlen(below) >= sizeof root)
    return;
  strcpy(root, below);
  int (*open_it)(const char*, int, ...) = (int (*)(const char*, int, ...))dlsym(RTLD_NEXT, "open");
  const int fd = open_it(file, O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return;
  void* at = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (at != MAP_FAILED)
    state = at;
}

static int ours(int fd) { return state && fd >= 0 && fd < 65536 && slot_of[fd] > 0; }

// A file that was there before this process is taken to be on the disk as it is.
static void opened(int fd, const char* path) {
  struct stat info;
  if (!state || fd < 0 || fd >= 65536)
    return;
  slot_of[fd] = 0;
  if (strncmp(path, root, strlen(root)) != 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
    return;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < n_slots; ++i) {
    struct slot* s = &state->slots[i];
    if (s->inode == 0) {
      s->device = info.st_dev;
      s->inode = info.st_ino;
      s->synced = info.st_size;
      s->kept = -1;
    }
    if (s->inode == info.st_ino && s->device == info.st_dev && info.st_size == 0) {
      s->synced = 0; // new, maybe under the number of one that was removed
      s->kept = -1;
    }
    if (s->inode == info.st_ino && s->device == info.st_dev) {
      slot_of[fd] = i + 1;
      break;
    }
  }
  pthread_mutex_unlock(&lock);
}

static void synced(int fd) {
  struct stat info;
  if (!ours(fd) || fstat(fd, &info) != 0)
    return;
  static ssize_t (*read_it)(int, void*, size_t, off_t);
  if (!read_it)
    read_it = (ssize_t(*)(int, void*, size_t, off_t))dlsym(RTLD_NEXT, "pread");
  pthread_mutex_lock(&lock);
  struct slot* s = &state->slots[slot_of[fd] - 1];
  if (info.st_size <= whole_bytes) {
    const ssize_t n = read_it(fd, s->content, whole_bytes, 0);
    if (n == info.st_size) // a descriptor for writing only cannot be read: its length will do
      s->kept = n;
  } else {
    s->kept = -1;
  }
  s->synced = info.st_size;
  ++state->syncs;
  pthread_mutex_unlock(&lock);
}

// Whether it is this write's turn to fail.
static int fails_now(void) {
  int64_t n = __atomic_load_n(&state->failing_write, __ATOMIC_SEQ_CST);
  while (n > 1)
    if (__atomic_compare_exchange_n(&state->failing_write, &n, n - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
      return 0;
  if (n == 1 && state->failing_once)
    __atomic_store_n(&state->failing_write, 0, __ATOMIC_SEQ_CST);
  return n == 1;
}

// How many of these bytes may be written; -1 and errno when none.
static ssize_t let_through(size_t wanted) {
  __atomic_add_fetch(&state->writes, 1, __ATOMIC_SEQ_CST);
  if (fails_now()) {
    errno = (int)state->failing_errno;
    return -1;
  }
  const int64_t room = __atomic_load_n(&state->room, __ATOMIC_SEQ_CST);
  if (room < 0)
    return (ssize_t)wanted;
  if (room == 0 && wanted > 0) {
    errno = ENOSPC;
    return -1;
  }
  const int64_t taken = room < (int64_t)wanted ? room : (int64_t)wanted;
  __atomic_sub_fetch(&state->room, taken, __ATOMIC_SEQ_CST);
  return (ssize_t)taken;
}

#define OPEN(name)                                                                                \
  int name(const char* path, int flags, ...) {                                                    \
    REAL(name);                                                                                   \
    mode_t mode = 0;                                                                              \
    if (flags & (O_CREAT | __O_TMPFILE)) {                                                        \
      va_list list;                                                                               \
      va_start(list, flags);                                                                      \
      mode = va_arg(list, mode_t);                                                                \
      va_end(list);                                                                               \
    }                                                                                             \
    const int fd = real(path, flags, mode);                                                       \
    const int error = errno;                                                                      \
    opened(fd, path);                                                                             \
    errno = error;                                                                                \
    return fd;                                                                                    \
  }
OPEN(open)
OPEN(open64)

int close(int fd) {
  REAL(close);
  if (fd >= 0 && fd < 65536)
    slot_of[fd] = 0;
  return real(fd);
}

ssize_t write(int fd, const void* from, size_t n) {
  REAL(write);
  const ssize_t fits = ours(fd) ? let_through(n) : (ssize_t)n;
  return fits < 0 ? -1 : real(fd, from, (size_t)fits);
}

#define PWRITE(name, offset)                                                                      \
  ssize_t name(int fd, const void* from, size_t n, offset at) {                                   \
    REAL(name);                                                                                   \
    const ssize_t fits = ours(fd) ? let_through(n) : (ssize_t)n;                                     \
    return fits < 0 ? -1 : real(fd, from, (size_t)fits, at);                                      \
  }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define PREAD(name, offset)                                                                       \
  ssize_t name(int fd, void* into, size_t n, offset at) {                                         \
    REAL(name);                                                                                   \
    if (ours(fd) && state->failing_read) {                                                        \
      errno = EIO;                                                                                \
      return -1;                                                                                  \
    }                                                                                             \
    return real(fd, into, n, at);                                                                 \
  }
PREAD(pread, off_t)
PREAD(pread64, off64_t)

#define SYNC(name)                                                                                \
  int name(int fd) {                                                                              \
    REAL(name);                                                                                   \
    if (ours(fd) && state->failing_sync) {                                                        \
      errno = EIO;                                                                                \
      return -1;                                                                                  \
    }                                                                                             \
    const int rc = real(fd);                                                                      \
    if (rc == 0)                                                                                  \
      synced(fd);                                                                                 \
    return rc;                                                                                    \
  }
SYNC(fsync)
SYNC(fdatasync)

// What a program that looks at the free space sees.
#define STATVFS(name, type)                                                                       \
  int name(const char* path, struct type* out) {                                                  \
    REAL(name);                                                                                   \
    const int rc = real(path, out);                                                               \
    if (rc == 0 && state && state->room >= 0 && strncmp(path, root, strlen(root)) == 0)           \
      out->f_bavail = out->f_bfree = (uint64_t)state->room / (out->f_frsize ? out->f_frsize : 1); \
    return rc;                                                                                    \
  }
STATVFS(statvfs, statvfs)
STATVFS(statvfs64, statvfs64)

int clock_gettime(clockid_t which, struct timespec* out) {
  REAL(clock_gettime);
  const int rc = real(which, out);
  if (rc == 0 && which == CLOCK_REALTIME && state && state->clock_offset_us != 0) {
    const int64_t ns = out->tv_sec * 1000000000LL + out->tv_nsec + state->clock_offset_us * 1000;
    out->tv_sec = ns / 1000000000LL;
    out->tv_nsec = ns % 1000000000LL;
  }
  return rc;
}
