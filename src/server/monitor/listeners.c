/* See listeners.h. Runs in the monitor, as root if that is root. */
#include "server/monitor/listeners.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#define BACKLOG 1024

struct entry {
	struct entry *next;
	struct config_listener wanted;
	unsigned count;
	uint16_t port; /* the real one */
	int fds[];
};

struct listeners {
	struct entry *entries;
};

static bool is_path(const struct config_listener *wanted)
{
	return wanted->port == 0 && strchr(wanted->address, '/');
}

static bool same(const struct config_listener *a, const struct config_listener *b)
{
	return a->service == b->service && a->port == b->port &&
	       strcmp(a->address, b->address) == 0;
}

static bool is_shared(const struct config_listener *wanted)
{
	return is_path(wanted) || wanted->service == SERVICE_POP3S;
}

/* How many sockets are accepted from: LMTP has one front. One that nobody accepts from would
 * swallow its share of the connections. */
static unsigned sockets_of(const struct config_listener *wanted, unsigned fronts)
{
	return is_shared(wanted) || wanted->service == SERVICE_LMTP ? 1 : fronts;
}

struct listeners *listeners_create(void)
{
	return calloc(1, sizeof(struct listeners));
}

static void close_entry(struct entry *entry)
{
	for (unsigned i = 0; i < entry->count; i++)
		close(entry->fds[i]);
	if (is_path(&entry->wanted))
		unlink(entry->wanted.address);
	free(entry);
}

void listeners_destroy(struct listeners *listeners)
{
	while (listeners && listeners->entries) {
		struct entry *entry = listeners->entries;

		listeners->entries = entry->next;
		close_entry(entry);
	}
	free(listeners);
}

static struct entry *find(const struct listeners *listeners, const struct config_listener *wanted)
{
	struct entry *entry = listeners->entries;

	while (entry && !same(&entry->wanted, wanted))
		entry = entry->next;
	return entry;
}

int listeners_fd(const struct listeners *listeners, const struct config_listener *wanted,
		 unsigned front)
{
	struct entry *entry = find(listeners, wanted);

	if (!entry || entry->count == 0)
		return -1;
	return is_shared(wanted) ? entry->fds[0] : front < entry->count ? entry->fds[front] : -1;
}

/* A socket that somebody left behind is removed, one that somebody serves is not. */
static int clear_stale(const struct sockaddr_un *address, struct err *err)
{
	struct stat st;
	int fd, refused;

	if (lstat(address->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, EX_CONFIG, "%s exists and is not a socket", address->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	refused = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0;
	if (fd >= 0)
		close(fd);
	if (!refused)
		return err_set(err, EX_UNAVAILABLE, "%s: another program is serving it",
			       address->sun_path);
	return unlink(address->sun_path);
}

static int open_path(const struct config_listener *wanted, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t size = strlen(wanted->address);
	int fd;

	if (size >= sizeof(address.sun_path))
		return err_set(err, EX_CONFIG,
			       "%s: longer than a socket's path may be (%zu octets)",
			       wanted->address, sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, wanted->address, size);
	if (clear_stale(&address, err) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* whoever may reach the directory may deliver, as with any local mail: the directory's mode
	 * decides */
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(wanted->address, 0666) < 0 || listen(fd, BACKLOG) < 0) {
		err_sys(err, EX_OSERR, errno, "cannot listen on %s", wanted->address);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

static int open_tcp(const struct addrinfo *info, const struct config_listener *wanted, bool share,
		    struct err *err)
{
	int one = 1, fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		err_sys(err, EX_OSERR, errno, "cannot make a socket for %s", wanted->address);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (share)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (info->ai_family == AF_INET6) /* "::" and "0.0.0.0" may stand side by side */
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 || (share && listen(fd, BACKLOG) < 0)) {
		err_sys(err, errno == EACCES ? EX_NOPERM : EX_UNAVAILABLE, errno,
			"cannot listen on %s port %u", wanted->address, wanted->port);
		close(fd);
		return -1;
	}
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return 0;
	return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
						   : ((struct sockaddr_in *)&address)->sin_port);
}

static void set_port(struct addrinfo *info, uint16_t port)
{
	if (info->ai_family == AF_INET6)
		((struct sockaddr_in6 *)(void *)info->ai_addr)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)(void *)info->ai_addr)->sin_port = htons(port);
}

static int resolve(const struct config_listener *wanted, struct addrinfo **ret, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	char port[8];
	int rc;

	snprintf(port, sizeof(port), "%u", wanted->port);
	rc = getaddrinfo(strcmp(wanted->address, "*") == 0 ? NULL : wanted->address, port, &hints,
			 ret);
	if (rc != 0)
		return err_set(err, EX_CONFIG, "cannot listen on %s: %s", wanted->address,
			       gai_strerror(rc));
	return 0;
}

static int grow_tcp(struct entry *entry, unsigned fronts, struct err *err)
{
	struct addrinfo *info;
	int probe, rc = -1;

	if (resolve(&entry->wanted, &info, err) < 0)
		return -1;
	if (entry->count == 0) {
		/* without SO_REUSEPORT first: two servers on one port must not share it by accident
		 */
		probe = open_tcp(info, &entry->wanted, false, err);
		if (probe < 0)
			goto out;
		close(probe);
	}
	set_port(info, entry->port ? entry->port : entry->wanted.port);
	while (entry->count < fronts) {
		int fd = open_tcp(info, &entry->wanted, true, err);

		if (fd < 0)
			goto out;
		entry->fds[entry->count++] = fd;
		entry->port = port_of(fd);
		set_port(info, entry->port);
	}
	rc = 0;
out:
	freeaddrinfo(info);
	return rc;
}

static int open_entry(struct listeners *listeners, const struct config_listener *wanted,
		      unsigned fronts, struct err *err)
{
	struct entry *old = find(listeners, wanted), *entry;

	fronts = sockets_of(wanted, fronts);
	if (old && old->count >= fronts)
		return 0;
	entry = calloc(1, sizeof(*entry) + fronts * sizeof(int));
	if (!entry)
		return err_set(err, EX_OSERR, "out of memory");
	entry->wanted = *wanted;
	if (old) { /* more fronts than before: take the sockets along */
		struct entry **at = &listeners->entries;

		while (*at != old)
			at = &(*at)->next;
		*at = old->next;
		memcpy(entry->fds, old->fds, old->count * sizeof(int));
		entry->count = old->count;
		entry->port = old->port;
		free(old);
	}
	entry->next = listeners->entries;
	listeners->entries = entry;
	if (is_path(wanted)) {
		entry->fds[0] = open_path(wanted, err);
		entry->count = entry->fds[0] >= 0;
		return entry->fds[0] < 0 ? -1 : 0;
	}
	return grow_tcp(entry, fronts, err);
}

int listeners_open(struct listeners *listeners, const struct config *config, unsigned fronts,
		   struct err *err)
{
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (open_entry(listeners, &config->listeners[i], fronts, err) < 0)
			return err_prefix(err, "%s:%u", config->file, config->listeners[i].line);
	return 0;
}

static bool wanted_by(const struct config *config, const struct entry *entry)
{
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (same(&config->listeners[i], &entry->wanted))
			return entry->count > 0;
	return false;
}

void listeners_retain(struct listeners *listeners, const struct config *config, unsigned fronts)
{
	struct entry **at = &listeners->entries;

	while (*at) {
		struct entry *entry = *at;

		if (!wanted_by(config, entry)) {
			*at = entry->next;
			close_entry(entry);
			continue;
		}
		while (entry->count > sockets_of(&entry->wanted, fronts))
			close(entry->fds[--entry->count]);
		at = &entry->next;
	}
}

void listeners_describe(const struct listeners *listeners, char *buf, size_t size)
{
	static const char *const names[] = {"pop3", "pop3s", "lmtp"};
	size_t used = 0;

	buf[0] = '\0';
	for (int service = SERVICE_POP3; service <= SERVICE_LMTP; service++)
		for (struct entry *entry = listeners->entries; entry && used < size;
		     entry = entry->next) {
			bool six = strchr(entry->wanted.address, ':') != NULL;

			if ((int)entry->wanted.service != service)
				continue;
			used += (size_t)snprintf(buf + used, size - used, "%s%s %s%s%s",
						 used ? ", " : "", names[service], six ? "[" : "",
						 entry->wanted.address, six ? "]" : "");
			if (!is_path(&entry->wanted) && used < size)
				used += (size_t)snprintf(buf + used, size - used, ":%u",
							 entry->port);
		}
}
