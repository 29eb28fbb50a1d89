/*
 * Children of the monitor: fork + exec of the descriptor that was opened at start (an upgrade on
 * disk changes nothing until asked), with exactly the descriptors given, a clean environment and
 * signal mask. Runs in the monitor, as root.
 */
#ifndef SYS_PROCESS_H
#define SYS_PROCESS_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* The group (nogroup, nobody) of a process that shall have no group's files. */
enum { PROCESS_NO_GROUP = 65534 };

/* Opens the running program (/proc/self/exe), close-on-exec. */
int process_self(struct err *err);
/* A network namespace of its own, without an interface that is up, for children that face no
 * network; close-on-exec. -1: it takes CAP_SYS_ADMIN, or the kernel has none. */
int process_empty_network(void);
/* argv[0] is what ps shows. fds[i] becomes descriptor 3 + i in the child; error_fd becomes its
 * standard error (-1: that of this process is kept), stdin and stdout become /dev/null. PDEATHSIG =
 * SIGKILL. network_fd: the network namespace to enter, -1: the parent's. Returns the pid or -1. */
pid_t process_spawn(int exe_fd, int network_fd, char *const argv[], const int *fds,
		    unsigned fd_count, int error_fd, struct err *err);
/* The same for a program that is tried and ends by itself: it has this process's environment. */
pid_t process_try(int exe_fd, char *const argv[], const int *fds, unsigned fd_count, int error_fd,
		  struct err *err);
/* This process becomes the program, with its pid, environment and those descriptors, which keep
 * their numbers. Returns only if it fails: -1, and all is as before. */
int process_become(int exe_fd, char *const argv[], const int *fds, size_t fd_count,
		   struct err *err);
/* Signals are kept back in the kernel, over process_become as well, where a handler could not tell
 * the next program of them; or come again. */
void process_hold_signals(bool hold);
/* The path by which the running program was started: argv[0], name, if that leads to it, else what
 * the kernel says. Called at the start: later another file may be there. */
int process_path(const char *name, char *ret, size_t size, struct err *err);

enum { PROCESS_ANSWER_FDS = 3 };
/*
 * Asks something that may never answer, such as a filesystem, in a process of its own, which has
 * this program's memory, fd and a socket, and nothing else that is open. ask makes system calls
 * only (other threads may hold locks), and sends its answer by out; then the process ends. Returns
 * its pid and the socket's other end, from which process_answer_take takes the answer without
 * waiting, and which ends with the process; or -1.
 */
pid_t process_ask(void (*ask)(int fd, int out, const void *context), int fd, const void *context,
		  int *ret_answer, struct err *err);
/* In that process: sends its answer, and with it at most PROCESS_ANSWER_FDS descriptors. */
void process_answer(int out, const void *answer, size_t size, const int *fds, unsigned fd_count);
/* Takes an answer of size octets, if it came. fds_of: how many descriptors an answer has; NULL:
 * none. They are put into ret_fds, of PROCESS_ANSWER_FDS, and are the caller's. 1: it came; 0: not
 * yet; -1: the process ended without, or descriptors are missing, since no more were free. */
int process_answer_take(int answer_fd, void *ret, size_t size,
			unsigned (*fds_of)(const void *answer), int *ret_fds);
/* Kills the process of process_ask if it has neither answered nor ended: its end of the socket is
 * open as long as it lives, and no other process has its pid. answer_fd: of process_ask; -1: there
 * is none. */
void process_ask_kill(pid_t pid, int answer_fd);
/* Raises the soft descriptor limit to the hard one, and as root the hard one up to want. Returns
 * the limit that is in force. */
unsigned long process_raise_nofile(unsigned long want);

#endif
