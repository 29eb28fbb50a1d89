/*
 * For programs that play the monitor for real processes of valijad and some other process besides:
 * packets by hand (what ipc_send would refuse must be sendable here) and what a monitor tells a
 * child. Everything that fails ends the program.
 */
#ifndef HOSTILE_PLAY_H
#define HOSTILE_PLAY_H

#include "ipc/messages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PATIENCE_MS 20000 /* until a real process must have answered */
#define SILENCE_MS 300    /* for how long an answer that must not come is waited for */

struct play {
	int exe, config_fd; /* valijad; the sealed configuration */
	int mail_fd, users_fd;
	int arena;    /* the last that came */
	int index[2]; /* base and delta of the last OPENED that came */
	int listener; /* on the loopback, at port */
	uint16_t port;
	uint64_t instances;
	bool tls;        /* set before play_prepare: the office's certificates stay */
	size_t received; /* octets of the last packet: it may hold several messages */
};
extern struct play play;

struct real {
	enum ipc_role role;
	uint64_t instance;
	pid_t pid;
	int fd; /* its channel to the monitor: this program */
};

void die(const char *what);
void need(bool good, const char *what);

ssize_t send_raw(int fd, const void *data, size_t size, const int *fds, unsigned fd_count,
		 int flags);
/* type and tail are the message's own; fixed: its struct. Blocks until there is room. */
void send_message(int fd, enum ipc_type type, void *fixed, size_t size, const void *tail,
		  size_t tail_size, const int *fds, unsigned fd_count);
#define SEND(fd, type, fixed, tail, tail_size) \
	send_message(fd, type, fixed, sizeof(*(fixed)), tail, tail_size, NULL, 0)
/* With texts: up to IPC_TEXTS_MAX, the sizes of which go into the head. */
void send_texts(int fd, enum ipc_type type, void *fixed, size_t size, const char *const *texts,
		unsigned count);
#define SEND_TEXTS(fd, type, fixed, ...)                                             \
	send_texts(fd, type, fixed, sizeof(*(fixed)), (const char *[]){__VA_ARGS__}, \
		   sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))
/* The next packet's type; IPC_NONE: cut, or nothing within ms. Descriptors are closed, but for an
 * arena's. */
enum ipc_type receive(int fd, void *buf, size_t size, int ms);
enum ipc_type wait_for(int fd, void *buf, size_t size, enum ipc_type wanted);
void expect_silence(int fd, const char *what);
void expect_cut(int fd, const char *what);
/* Until the other end has taken all that was sent. */
void wait_taken(int fd);

/* conf: an office made by `valija init`. */
void play_prepare(const char *program, const char *conf);
void play_spawn(struct real *real, enum ipc_role role);
void play_directory(struct real *real, enum ipc_directory_kind kind, int fd, const char *name);
void play_peer(const struct real *to, enum ipc_role role, uint64_t instance, int fd);
/* Keeper number index of size. */
void play_keeper(const struct real *to, uint64_t instance, int fd, uint32_t index, uint32_t size);
void play_wire(struct real *a, struct real *b);
void play_start(struct real *real); /* and waits until it is ready */

/* A client of the real front. */
int play_dial(void);
int play_listen(uint16_t *ret_port); /* one more listener, for another front */
int play_dial_port(uint16_t port);
void play_say(int fd, const char *command);
/* A command, if any, and how the last line of the answer must begin. */
void play_line(int fd, const char *command, const char *wanted);

#endif
