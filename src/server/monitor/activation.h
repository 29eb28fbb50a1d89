/*
 * Listening sockets that a service manager opened before it started valijad (socket units; the
 * protocol is sd_listen_fds(3)): found at the start, matched by their address to the listeners of
 * the configuration. Runs in the monitor, as root when that is root.
 */
#ifndef SERVER_MONITOR_ACTIVATION_H
#define SERVER_MONITOR_ACTIVATION_H

#include "config/config.h"

#include <stdbool.h>
#include <sys/socket.h>

enum { ACTIVATION_MAX = CONFIG_LISTENERS_MAX };

struct activation_socket {
	int fd;
	char name[64]; /* FileDescriptorName= of its unit */
	struct sockaddr_storage address;
	socklen_t size;
	bool only_six;
};

/* Takes those that were passed to this process; what is no listening stream socket, or too many,
 * is closed, with a line in the log. Returns their number. */
unsigned activation_take(struct activation_socket ret[ACTIVATION_MAX]);
/* Whether connections to the listener arrive at this socket. */
bool activation_is_of(const struct activation_socket *socket,
		      const struct config_listener *listener);

#endif
