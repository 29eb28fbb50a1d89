/*
 * Listening sockets. The monitor owns them; they outlive generations, so a reload loses no
 * connection. A TCP address of POP3 has one socket a front (SO_REUSEPORT: the kernel spreads
 * connections). POP3S and a path have one socket for all fronts: a front takes a connection from it
 * when it has time for the handshake, and no connection waits behind the handshakes of a busy front
 * while another front is idle.
 */
#ifndef SERVER_MONITOR_LISTENERS_H
#define SERVER_MONITOR_LISTENERS_H

#include "base/err.h"
#include "config/config.h"
#include "server/monitor/activation.h"
#include "server/monitor/handover.h"

struct listeners;

struct listeners *listeners_create(void);
void listeners_destroy(struct listeners *listeners);
/* Sockets that a service manager has opened (activation.h): those of config's listeners are taken;
 * each is one for all fronts, stays open as long as valijad runs, and is never shut, so that the
 * manager has it for the next start. Others are closed, with a line in the log. */
void listeners_give(struct listeners *listeners, const struct config *config,
		    const struct activation_socket *sockets, unsigned count);
/* Opens the sockets that config asks for and that are not open yet, for that number of fronts. On
 * failure the open ones stay as they were. */
int listeners_open(struct listeners *listeners, const struct config *config, unsigned fronts,
		   struct err *err);
/* Tries to listen where config says, and stops at once; no path is made or removed. held: listeners
 * that are open already, or NULL. Returns -1 with err (its errnum: EADDRINUSE, …) for the first
 * that could not be opened. */
int listeners_try(const struct config *config, const struct listeners *held, struct err *err);
/* Checks each socket, opens those anew that do not listen any more (a process with a copy may have
 * shut one), and calls opened for each new one. Returns how many could not be opened. */
typedef void listeners_opened(void *context, const struct config_listener *wanted, unsigned front);
unsigned listeners_mend(struct listeners *listeners, listeners_opened *opened, void *context);
/* Closes the sockets that config does not ask for. */
void listeners_retain(struct listeners *listeners, const struct config *config, unsigned fronts);
/* Closes those of the services for mail: POP3, POP3S, LMTP. The next listeners_open opens them. */
void listeners_close_mail(struct listeners *listeners);
/* Whether listeners_open leaves those closed, and listeners_try untried: the server is drained, and
 * is upgraded. */
void listeners_leave_mail(struct listeners *listeners, bool leave);
/* Returns how many sockets of wanted listen; *ret_port: the real port, where port 0 was asked for.
 */
unsigned listeners_count(const struct listeners *listeners, const struct config_listener *wanted,
			 uint16_t *ret_port);
/* Whether both are the same address, served in the same way. */
bool listeners_same(const struct config_listener *a, const struct config_listener *b);
/* The socket of config's listener for the front of that index; -1: none. It stays owned by
 * listeners. */
int listeners_fd(const struct listeners *listeners, const struct config_listener *wanted,
		 unsigned front);
/* For an upgrade: what is open goes to the next program, which takes over the records of it. */
void listeners_hand_on(const struct listeners *listeners, struct handover *ret);
void listeners_adopt(struct listeners *listeners, struct handover_reader *reader);
/* Frees listeners of another process: nothing is closed, no path is removed. */
void listeners_forget(struct listeners *listeners);
void listeners_wanted(const struct handover_wanted *record, struct config_listener *ret);
/* Writes "pop3 127.0.0.1:1110, …" with the real port where port 0 was asked for. */
void listeners_describe(const struct listeners *listeners, char *buf, size_t size);

#endif
