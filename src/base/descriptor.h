/* Descriptors: whole reads and writes, sealed memory files, and closing in cleanup paths. Any
 * process and thread. */
#ifndef BASE_DESCRIPTOR_H
#define BASE_DESCRIPTOR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Closes *fd, if it is one (-1: none), and sets it to -1. errno is kept, so that a failure can be
 * cleaned up before it is reported. */
void close_fd(int *fd);
/* Reads up to the end, or cap octets. A signal interrupts nothing. Returns how many; -1: errno. */
ssize_t read_all(int fd, void *buf, size_t cap);
/* Writes all of it, by a write(2) of the caller's. A signal interrupts nothing. -1: errno. */
int write_all_by(ssize_t (*write_some)(int fd, const void *data, size_t size), int fd,
		 const void *data, size_t size);
/* The same, by write(2). A signal interrupts nothing. -1: errno. */
int write_all(int fd, const void *data, size_t size);

/*
 * The events that poll(2) has of a descriptor within ms milliseconds; ms 0: those of now. A signal
 * interrupts nothing and prolongs nothing: poll itself fails with EINTR of a signal that waits to
 * be delivered, though it was not to wait. Returns them; 0: none in that time; -1: errno.
 */
int wait_fd(int fd, short events, int ms);

/* A memory file with these octets that nobody can change any more; close-on-exec. -1: errno. */
int seal_octets(const char *name, const void *data, size_t size);
/* All octets of such a file of that size, which the caller frees, and wipes where they are secret.
 * NULL: it has none, or more than most, cannot be read, or memory is short; fd may be -1. */
char *unseal_octets(int fd, uint64_t size, uint64_t most);

#endif
