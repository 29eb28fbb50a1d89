/* See listeners.h. Runs in the monitor, as root when that is root; the folder of a socket's path
 * may belong to an attacker. */
#include "server/monitor/listeners.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "config/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	BACKLOG = 1024,
};

#define PATH_TOO_LONG "%s: longer than a socket's path may be (%zu octets)"

/* A path's folder and the socket that was made in it. Another user may own the folder and change
 * what the name leads to at any time: nothing is changed or removed by its whole path. */
struct held {
	int folder; /* -1: none */
	dev_t device;
	ino_t inode;
};

struct entry {
	struct entry *next;
	struct config_listener wanted;
	unsigned count;
	uint16_t port; /* the real one, where port 0 was asked for */
	bool given;    /* by a service manager, which has it, too: one for all, never shut */
	bool rests;    /* a given one that the configuration does not ask for */
	struct held held;
	int fds[]; /* -1: died, and cannot be opened again yet */
};

struct listeners {
	struct entry *entries;
	bool without_mail; /* those of mail are not opened */
};

static bool is_path(const struct config_listener *wanted)
{
	return wanted->port == 0 && strchr(wanted->address, '/');
}

bool listeners_same(const struct config_listener *a, const struct config_listener *b)
{
	return a->service == b->service && a->port == b->port && a->only_six == b->only_six &&
	       strcmp(a->address, b->address) == 0;
}

static bool is_shared(const struct config_listener *wanted)
{
	return is_path(wanted) || wanted->service == SERVICE_POP3S;
}

/* The number of sockets of a listener: all but POP3 has one process, thus one socket. A socket
 * without a front would swallow its share of the connections. */
static unsigned sockets_of(const struct config_listener *wanted, unsigned fronts)
{
	return is_shared(wanted) || wanted->service >= SERVICE_LMTP ? 1 : fronts;
}

struct listeners *listeners_create(void)
{
	return calloc(1, sizeof(struct listeners));
}

static const char *name_in_folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Removes the name if it still leads to our socket. Called before the socket is closed: until then
 * no other file can have its inode number. */
static void remove_path(struct held *held, const char *path)
{
	const char *name = name_in_folder(path);
	struct stat st;

	if (held->folder < 0)
		return;
	if (fstatat(held->folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_dev == held->device && st.st_ino == held->inode)
		unlinkat(held->folder, name, 0);
	close(held->folder);
	held->folder = -1;
}

static void close_socket(struct entry *entry, unsigned i)
{
	remove_path(&entry->held, entry->wanted.address);
	if (entry->fds[i] >= 0)
		close(entry->fds[i]);
	entry->fds[i] = -1;
}

static void close_entry(struct entry *entry)
{
	for (unsigned i = 0; i < entry->count; i++)
		close_socket(entry, i);
	free(entry);
}

/* valijad ends: a process that hangs in the kernel may still hold the sockets, and must not keep
 * the next valijad from its ports. */
static void shut(const struct entry *entry)
{
	for (unsigned i = 0; i < entry->count && !entry->given; i++)
		if (entry->fds[i] >= 0)
			shutdown(entry->fds[i], SHUT_RDWR);
}

void listeners_destroy(struct listeners *listeners)
{
	while (listeners && listeners->entries) {
		struct entry *entry = listeners->entries;

		listeners->entries = entry->next;
		shut(entry);
		close_entry(entry);
	}
	free(listeners);
}

static struct entry *find(const struct listeners *listeners, const struct config_listener *wanted)
{
	struct entry *entry = listeners->entries;

	while (entry && !listeners_same(&entry->wanted, wanted))
		entry = entry->next;
	return entry;
}

int listeners_fd(const struct listeners *listeners, const struct config_listener *wanted,
		 unsigned front)
{
	struct entry *entry = find(listeners, wanted);

	if (!entry || entry->count == 0)
		return -1;
	if (is_shared(wanted) || entry->given)
		return entry->fds[0];
	return front < entry->count ? entry->fds[front] : -1;
}

/* Fronts hold these sockets: no front may attach a filter and so choose which connections it
 * gets. */
static void lock_filter(int fd)
{
	int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof(one));
}

/* Connects to the socket itself through /proc, whatever its name leads to by now. */
static bool is_served(int socket_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool refused;

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", socket_fd);
	refused = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
		  errno == ECONNREFUSED;
	if (fd >= 0)
		close(fd);
	return !refused;
}

/* Removes a socket that a dead process left; a socket that another process serves stays. */
static int clear_stale(int folder, const char *path, struct err *err)
{
	const char *name = name_in_folder(path);
	int fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), rc = 0;
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, EX_OSERR, errno, "%s", path);
	if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
		rc = err_set(err, EX_CONFIG, "%s exists and is not a socket", path);
	else if (is_served(fd))
		rc = err_set(err, EX_UNAVAILABLE, "%s: another program is serving it", path);
	else if (unlinkat(folder, name, 0) < 0)
		rc = err_sys(err, EX_OSERR, errno, "cannot remove the old socket %s", path);
	close(fd);
	return rc;
}

static int open_folder(const char *path, struct err *err)
{
	char copy[CONFIG_PATH_MAX];
	int fd;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		err_sys(err, EX_OSERR, errno, "cannot listen on %s: its folder", path);
	return fd;
}

/* The mode of the folder decides which users may deliver, as with any local mail. umask gives the
 * socket its mode at birth, so that no chmod by name is needed. */
static int bind_path(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(0111);
	int rc = bind(fd, (const struct sockaddr *)address, sizeof(*address));

	umask(before);
	return rc;
}

static int open_path(const struct config_listener *wanted, struct held *held, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t size = strlen(wanted->address);
	struct stat st;
	int fd;

	if (size >= sizeof(address.sun_path))
		return err_set(err, EX_CONFIG, PATH_TOO_LONG, wanted->address,
			       sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, wanted->address, size);
	held->folder = open_folder(wanted->address, err);
	if (held->folder < 0)
		return -1;
	fd = clear_stale(held->folder, wanted->address, err) < 0
		     ? -1
		     : socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && bind_path(fd, &address) == 0 && listen(fd, BACKLOG) == 0 &&
	    fstatat(held->folder, name_in_folder(wanted->address), &st, AT_SYMLINK_NOFOLLOW) == 0) {
		held->device = st.st_dev;
		held->inode = st.st_ino;
		lock_filter(fd);
		return fd;
	}
	if (fd >= 0) {
		err_sys(err, EX_OSERR, errno, "cannot listen on %s", wanted->address);
		close(fd);
	}
	close(held->folder);
	held->folder = -1;
	return -1;
}

/* Options that accepted sockets inherit; fronts may not set it. A client that vanished without a
 * FIN (power, mobile network, NAT that forgot) is asked after two silent minutes and given up after
 * four, so that its maildrop is free again. The last option counts for octets that nobody
 * acknowledges, and for a client that takes none, too. */
static void set_inherited(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{IPPROTO_TCP, TCP_NODELAY, 1},    {SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, 120}, {IPPROTO_TCP, TCP_KEEPINTVL, 30},
		{IPPROTO_TCP, TCP_KEEPCNT, 4},    {IPPROTO_TCP, TCP_USER_TIMEOUT, 240 * 1000},
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value,
			   sizeof(options[i].value));
}

static int open_tcp(const struct addrinfo *info, const struct config_listener *wanted, bool share,
		    struct err *err)
{
	int one = 1, only_six = wanted->only_six != 0;
	int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		err_sys(err, EX_OSERR, errno, "cannot make a socket for %s", wanted->address);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (share)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (info->ai_family == AF_INET6) /* whatever net.ipv6.bindv6only is */
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_six, sizeof(only_six));
	set_inherited(fd);
	lock_filter(fd);
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

/* True: another entry holds the port already, by another address or in another form ("::" for both
 * families). */
static bool holds_port(const struct listeners *listeners, const struct entry *besides)
{
	for (const struct entry *entry = listeners->entries; entry; entry = entry->next)
		if (entry != besides && entry->count > 0 && entry->port == besides->wanted.port)
			return true;
	return false;
}

static int grow_tcp(const struct listeners *listeners, struct entry *entry, unsigned fronts,
		    struct err *err)
{
	struct addrinfo *info;
	int probe, rc = -1;

	if (resolve(&entry->wanted, &info, err) < 0)
		return -1;
	if (entry->count == 0 && !holds_port(listeners, entry)) {
		/* without SO_REUSEPORT first: two servers must not share a port by accident */
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
	if (old && (old->given || old->count >= fronts))
		return 0;
	entry = calloc(1, sizeof(*entry) + fronts * sizeof(int));
	if (!entry)
		return err_set(err, EX_OSERR, "out of memory");
	entry->wanted = *wanted;
	entry->held.folder = -1;
	if (old) { /* more fronts than before: the sockets are kept */
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
		entry->fds[0] = open_path(wanted, &entry->held, err);
		entry->count = entry->fds[0] >= 0;
		return entry->fds[0] < 0 ? -1 : 0;
	}
	return grow_tcp(listeners, entry, fronts, err);
}

static bool is_of_mail(const struct config_listener *wanted)
{
	return wanted->service <= SERVICE_LMTP;
}

void listeners_leave_mail(struct listeners *listeners, bool leave)
{
	listeners->without_mail = leave;
}

int listeners_open(struct listeners *listeners, const struct config *config, unsigned fronts,
		   struct err *err)
{
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (!(listeners->without_mail && is_of_mail(&config->listeners[i])) &&
		    open_entry(listeners, &config->listeners[i], fronts, err) < 0)
			return err_prefix(err, "%s:%u", config->file, config->listeners[i].line);
	return 0;
}

/* ---- sockets of a service manager ---- */

static bool give(struct listeners *listeners, const struct config *config,
		 const struct activation_socket *socket)
{
	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *wanted = &config->listeners[i];
		struct entry *entry;

		if (find(listeners, wanted) || !activation_is_of(socket, wanted))
			continue;
		entry = calloc(1, sizeof(*entry) + sizeof(int));
		if (!entry)
			return false;
		entry->wanted = *wanted;
		entry->held.folder = -1;
		entry->fds[entry->count++] = socket->fd;
		entry->port = wanted->port;
		entry->given = true;
		entry->next = listeners->entries;
		listeners->entries = entry;
		if (!is_path(wanted))
			set_inherited(socket->fd);
		lock_filter(socket->fd);
		return true;
	}
	return false;
}

void listeners_give(struct listeners *listeners, const struct config *config,
		    const struct activation_socket *sockets, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (give(listeners, config, &sockets[i]))
			continue;
		log_warning("socket %u (%s) of the service manager is none of the listeners of %s: "
			    "nobody serves it; they are matched by address and port",
			    i + 1, sockets[i].name, config->file);
		close(sockets[i].fd);
	}
}

/* The checks of open_path, without its changes. */
static int try_path(const struct config_listener *wanted, struct err *err)
{
	const char *name = name_in_folder(wanted->address);
	struct sockaddr_un *none = NULL;
	struct stat st;
	int folder, fd, rc = 0;

	if (strlen(wanted->address) >= sizeof(none->sun_path))
		return err_set(err, EX_CONFIG, PATH_TOO_LONG, wanted->address,
			       sizeof(none->sun_path) - 1);
	folder = open_folder(wanted->address, err);
	if (folder < 0)
		return -1;
	fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))) {
		rc = err_set(err, EX_CONFIG, "%s exists and is not a socket", wanted->address);
	} else if (fd >= 0 && is_served(fd)) {
		rc = err_set(err, EX_UNAVAILABLE, "%s: another program is serving it",
			     wanted->address);
		if (err)
			err->errnum = EADDRINUSE;
	} else if (faccessat(folder, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		rc = err_sys(err, EX_OSERR, errno, "cannot listen on %s: its folder",
			     wanted->address);
	}
	if (fd >= 0)
		close(fd);
	close(folder);
	return rc;
}

int listeners_try(const struct config *config, const struct listeners *held, struct err *err)
{
	struct listeners trial = {.entries = NULL};
	int rc = 0;

	for (uint32_t i = 0; i < config->listener_count && rc == 0; i++) {
		const struct config_listener *wanted = &config->listeners[i];

		if (held && (find(held, wanted) || (held->without_mail && is_of_mail(wanted))))
			continue;
		rc = is_path(wanted) ? try_path(wanted, err) : open_entry(&trial, wanted, 1, err);
		if (rc < 0)
			err_prefix(err, "%s:%u", config->file, wanted->line);
	}
	while (trial.entries) {
		struct entry *entry = trial.entries;

		trial.entries = entry->next;
		close_entry(entry);
	}
	return rc;
}

/* True: the socket listens. SO_ACCEPTCONN alone is not enough: a Unix socket keeps it after
 * shutdown(). */
static bool listens(int fd)
{
	int accepts = 0, events = wait_fd(fd, POLLRDHUP, 0);
	socklen_t size = sizeof(accepts);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) == 0 && accepts &&
	       events >= 0 && !(events & (POLLRDHUP | POLLHUP | POLLNVAL));
}

static int open_again(struct entry *entry, unsigned i, struct err *err)
{
	struct addrinfo *info;

	if (is_path(&entry->wanted)) {
		entry->fds[i] = open_path(&entry->wanted, &entry->held, err);
	} else {
		if (resolve(&entry->wanted, &info, err) < 0)
			return -1;
		set_port(info, entry->port);
		entry->fds[i] = open_tcp(info, &entry->wanted, true, err);
		freeaddrinfo(info);
	}
	return entry->fds[i] < 0 ? -1 : 0;
}

/* SO_LINGER is the one option of the shared socket that a front can change. */
static void restore_options(int fd)
{
	struct linger off = {0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
}

static bool mend_socket(struct entry *entry, unsigned i)
{
	struct err err;
	char where[CONFIG_PATH_MAX + 16];
	bool known = entry->fds[i] < 0; /* logged when it died */

	config_listener_print(&entry->wanted, where, sizeof(where));
	if (!known)
		log_error("the listening socket of %s was shut by another process: opening a new "
			  "one",
			  where);
	close_socket(entry, i);
	if (open_again(entry, i, &err) == 0) {
		log_info("%s: a new socket listens", where);
		return true;
	}
	if (!known)
		log_error("no connections on %s, trying again each second: %s", where, err.text);
	return false;
}

unsigned listeners_mend(struct listeners *listeners, listeners_opened *opened, void *context)
{
	unsigned dead = 0;

	for (struct entry *entry = listeners->entries; entry; entry = entry->next)
		for (unsigned i = 0; i < entry->count; i++) {
			if (entry->fds[i] >= 0 && listens(entry->fds[i]))
				restore_options(entry->fds[i]);
			else if (mend_socket(entry, i))
				opened(context, &entry->wanted, i);
			else
				dead++;
		}
	return dead;
}

static bool wanted_by(const struct config *config, const struct entry *entry)
{
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (listeners_same(&config->listeners[i], &entry->wanted))
			return entry->count > 0;
	return false;
}

void listeners_retain(struct listeners *listeners, const struct config *config, unsigned fronts)
{
	struct entry **at = &listeners->entries;

	while (*at) {
		struct entry *entry = *at;

		entry->rests = entry->given && !wanted_by(config, entry);
		if (!wanted_by(config, entry) && !entry->given) {
			*at = entry->next;
			close_entry(entry);
			continue;
		}
		while (entry->count > sockets_of(&entry->wanted, fronts))
			close_socket(entry, --entry->count);
		at = &entry->next;
	}
}

void listeners_close_mail(struct listeners *listeners)
{
	struct entry **at = &listeners->entries;

	while (*at) {
		struct entry *entry = *at;

		if (!is_of_mail(&entry->wanted)) {
			at = &entry->next;
			continue;
		}
		*at = entry->next;
		close_entry(entry);
	}
}

unsigned listeners_count(const struct listeners *listeners, const struct config_listener *wanted,
			 uint16_t *ret_port)
{
	const struct entry *entry = find(listeners, wanted);
	unsigned count = 0;

	*ret_port = wanted->port;
	for (unsigned i = 0; entry && i < entry->count; i++)
		count += entry->fds[i] >= 0;
	if (entry && entry->port)
		*ret_port = entry->port;
	return count;
}

void listeners_describe(const struct listeners *listeners, char *buf, size_t size)
{
	static const char *const names[] = {"pop3",      "pop3s",  "lmtp",    "sasl",
					    "socketmap", "policy", "control", "metrics"};
	size_t used = 0;

	buf[0] = '\0';
	for (int service = SERVICE_POP3; service < SERVICE_COUNT; service++)
		for (struct entry *entry = listeners->entries; entry && used < size;
		     entry = entry->next) {
			bool six = strchr(entry->wanted.address, ':') != NULL;

			if ((int)entry->wanted.service != service || entry->rests)
				continue;
			used += (size_t)snprintf(buf + used, size - used, "%s%s %s%s%s",
						 used ? ", " : "", names[service], six ? "[" : "",
						 entry->wanted.address, six ? "]" : "");
			if (!is_path(&entry->wanted) && used < size)
				used += (size_t)snprintf(buf + used, size - used, ":%u",
							 entry->port);
		}
}

/* ---- upgrades ---- */

void listeners_hand_on(const struct listeners *listeners, struct handover *ret)
{
	for (const struct entry *entry = listeners->entries; entry; entry = entry->next) {
		struct handover_listener record = {.wanted = {.service = entry->wanted.service,
							      .port = entry->wanted.port,
							      .only_six = entry->wanted.only_six},
						   .sockets = entry->count,
						   .port = entry->port,
						   .folder_fd =
							   handover_fd(ret, entry->held.folder),
						   .device = entry->held.device,
						   .inode = entry->held.inode,
						   .given = entry->given};

		memcpy(record.wanted.address, entry->wanted.address, CONFIG_PATH_MAX);
		handover_put(ret, HANDOVER_LISTENER, &record, (pop3_span){"", 0});
		for (unsigned i = 0; i < entry->count; i++) {
			struct handover_socket socket = {.fd = handover_fd(ret, entry->fds[i])};

			handover_put(ret, HANDOVER_SOCKET, &socket, (pop3_span){"", 0});
		}
	}
}

void listeners_wanted(const struct handover_wanted *record, struct config_listener *ret)
{
	ret->service = (enum config_service)record->service;
	ret->port = (uint16_t)record->port;
	ret->only_six = record->only_six;
	memcpy(ret->address, record->address, sizeof(record->address));
}

static void adopt_entry(struct listeners *listeners, struct handover_reader *reader)
{
	const struct handover_listener *record = handover_next(reader, NULL);
	struct entry *entry = calloc(1, sizeof(*entry) + record->sockets * sizeof(int));

	if (entry) {
		listeners_wanted(&record->wanted, &entry->wanted);
		entry->held = (struct held){handover_take_fd(record->folder_fd), record->device,
					    record->inode};
		entry->port = (uint16_t)record->port;
		entry->given = record->given;
		entry->next = listeners->entries;
		listeners->entries = entry;
	}
	for (uint32_t i = 0; i < record->sockets; i++) {
		const struct handover_socket *socket = handover_next(reader, NULL);

		if (entry)
			entry->fds[entry->count++] = handover_take_fd(socket->fd);
	}
}

void listeners_forget(struct listeners *listeners)
{
	while (listeners && listeners->entries) {
		struct entry *entry = listeners->entries;

		listeners->entries = entry->next;
		free(entry);
	}
	free(listeners);
}

/* A socket that cannot be taken is opened anew at the next look. */
void listeners_adopt(struct listeners *listeners, struct handover_reader *reader)
{
	while (handover_kind(reader) == HANDOVER_LISTENER)
		adopt_entry(listeners, reader);
}
