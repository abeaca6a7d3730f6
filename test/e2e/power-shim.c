/*
 * A power cut for files, by LD_PRELOAD. Every write to a file below $GYRE_POWER_DATA that was not synced yet is kept in
 * $GYRE_POWER_LOG/<inode>: what was there before and what was written. A sync of the file empties its record. When the process
 * has been killed, power-files.ts takes back what a power cut could have lost: all of it, or any part.
 *
 * Names (making, renaming and removing files) are taken for durable at once. Only what Node, libuv and SQLite call is
 * interposed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX 65536
enum { WRITE = 0, TRUNCATE = 1 };

static char tracked[FDS_MAX];
static const char *data_dir, *log_dir;
static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_close)(int);
static int (*real_unlink)(const char *);
static int (*real_rename)(const char *, const char *);

__attribute__((constructor)) static void init(void) {
  if (real_open != NULL) return;
  real_openat = dlsym(RTLD_NEXT, "openat64");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
  real_write = dlsym(RTLD_NEXT, "write");
  real_writev = dlsym(RTLD_NEXT, "writev");
  real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_close = dlsym(RTLD_NEXT, "close");
  real_unlink = dlsym(RTLD_NEXT, "unlink");
  real_rename = dlsym(RTLD_NEXT, "rename");
  data_dir = getenv("GYRE_POWER_DATA");
  log_dir = getenv("GYRE_POWER_LOG");
  if (log_dir != NULL) mkdir(log_dir, 0700);
  real_open = dlsym(RTLD_NEXT, "open64");
}

static int is_data(const char *path) {
  return data_dir != NULL && log_dir != NULL && path != NULL &&
         strncmp(path, data_dir, strlen(data_dir)) == 0 && strstr(path, "/lock") == NULL;
}

static void log_path(char *out, size_t size, ino_t inode) {
  snprintf(out, size, "%s/%llu", log_dir, (unsigned long long)inode);
}

/* What is about to be done to the file, with what is there now. */
static void record(int fd, uint64_t type, off_t offset, const void *bytes, size_t length) {
  struct stat st;
  if (fstat(fd, &st) != 0) return;
  char path[4096];
  log_path(path, sizeof path, st.st_ino);
  int log = real_open(path, O_CREAT | O_WRONLY | O_APPEND, 0600);
  if (log < 0) return;
  uint64_t head[4] = {type, (uint64_t)offset, length, (uint64_t)st.st_size};
  size_t total = sizeof head + length + (type == WRITE ? length : 0);
  char *buffer = calloc(1, total);
  memcpy(buffer, head, sizeof head);
  char name[64];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  /* The descriptor itself may be for writing only. Short at the end of the file: the rest stays zero. */
  int reader = real_open(name, O_RDONLY);
  if (reader >= 0) {
    if (pread(reader, buffer + sizeof head, length, offset) < 0) { /* nothing was there */ }
    real_close(reader);
  }
  if (type == WRITE) memcpy(buffer + sizeof head + length, bytes, length);
  if (real_write(log, buffer, total) < 0) abort();
  free(buffer);
  real_close(log);
}

static void forget(ino_t inode) {
  char path[4096];
  log_path(path, sizeof path, inode);
  real_unlink(path);
}

static void forget_path(const char *path) {
  struct stat st;
  if (is_data(path) && stat(path, &st) == 0) forget(st.st_ino);
}

static int opened(int fd, const char *path, int flags) {
  if (fd >= 0 && fd < FDS_MAX) tracked[fd] = (flags & O_ACCMODE) != O_RDONLY && is_data(path);
  return fd;
}

static int is_tracked(int fd) {
  return fd >= 0 && fd < FDS_MAX && tracked[fd];
}

/* O_TRUNC loses what was there: it is done here by a recorded truncation. */
static int open_by(int directory, const char *path, int flags, int mode) {
  init();
  int truncates = (flags & O_TRUNC) != 0 && is_data(path);
  int fd = real_openat(directory, path, truncates ? flags & ~O_TRUNC : flags, mode);
  opened(fd, path, flags);
  if (truncates && fd >= 0) ftruncate64(fd, 0);
  return fd;
}

#define MODE_OF(flags, mode)                       \
  int mode = 0;                                    \
  if ((flags & (O_CREAT | O_TMPFILE)) != 0) {      \
    va_list arguments;                             \
    va_start(arguments, flags);                    \
    mode = va_arg(arguments, int);                 \
    va_end(arguments);                             \
  }

int open(const char *path, int flags, ...) {
  MODE_OF(flags, mode)
  return open_by(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  MODE_OF(flags, mode)
  return open_by(AT_FDCWD, path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...) {
  MODE_OF(flags, mode)
  return open_by(directory, path, flags, mode);
}

int openat64(int directory, const char *path, int flags, ...) {
  MODE_OF(flags, mode)
  return open_by(directory, path, flags, mode);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) {
  init();
  if (is_tracked(fd)) record(fd, WRITE, offset, bytes, length);
  return real_pwrite(fd, bytes, length, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
  return pwrite64(fd, bytes, length, offset);
}

ssize_t write(int fd, const void *bytes, size_t length) {
  init();
  if (is_tracked(fd)) record(fd, WRITE, lseek(fd, 0, SEEK_CUR), bytes, length);
  return real_write(fd, bytes, length);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  init();
  if (!is_tracked(fd)) return real_writev(fd, parts, count);
  ssize_t total = 0;
  for (int i = 0; i < count; i++) {
    ssize_t written = write(fd, parts[i].iov_base, parts[i].iov_len);
    if (written < 0) return total > 0 ? total : written;
    total += written;
  }
  return total;
}

int ftruncate64(int fd, off_t size) {
  init();
  struct stat st;
  if (is_tracked(fd) && fstat(fd, &st) == 0)
    record(fd, TRUNCATE, size, NULL, size < st.st_size ? (size_t)(st.st_size - size) : 0);
  return real_ftruncate(fd, size);
}

int ftruncate(int fd, off_t size) {
  return ftruncate64(fd, size);
}

static int synced(int fd, int result) {
  struct stat st;
  if (result == 0 && is_tracked(fd) && fstat(fd, &st) == 0) forget(st.st_ino);
  return result;
}

int fsync(int fd) {
  init();
  return synced(fd, real_fsync(fd));
}

int fdatasync(int fd) {
  init();
  return synced(fd, real_fdatasync(fd));
}

int close(int fd) {
  init();
  if (fd >= 0 && fd < FDS_MAX) tracked[fd] = 0;
  return real_close(fd);
}

/* The number of a file that is gone may be given to the next one. */
int unlink(const char *path) {
  init();
  forget_path(path);
  return real_unlink(path);
}

int rename(const char *from, const char *to) {
  init();
  forget_path(to);
  return real_rename(from, to);
}
