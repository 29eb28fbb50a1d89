/* See control_link.h. */
#include "cli/control_link.h"

#include "base/descriptor.h"
#include "cli/command.h"
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

/* The path that the configuration has. */
static int find_socket(const char *named, char *buf, size_t size, struct err *err)
{
	const char *file = command_config(named);
	static struct config config;

	if (config_load(file, &config, err) < 0)
		return -1;
	for (uint32_t i = 0; i < config.listener_count; i++) {
		if (config.listeners[i].service != SERVICE_CONTROL)
			continue;
		snprintf(buf, size, "%s", config.listeners[i].address);
		return 0;
	}
	return err_set(err, EX_CONFIG,
		       "%s has no control.socket, so the server takes no commands: add\n"
		       "control {\n\tsocket = \"/run/valija/control\"\n}\nand reload it",
		       file);
}

static int connect_to(const char *path, unsigned seconds, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval most = {.tv_sec = seconds};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, EX_USAGE, "%s is too long for a socket", path);
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, EX_OSERR, errno, "no socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	err_sys(err, EX_UNAVAILABLE, errno, "cannot reach valijad at %s", path);
	close(fd);
	return -1;
}

/* A process that was stopped and goes on finds its wait interrupted, as the socket has a time
 * limit (signal(7)). */
static ssize_t receive(void *cookie, char *buf, size_t size)
{
	struct control_link *link = cookie;
	ssize_t n;

	do
		n = recv(link->fd, buf, size, 0);
	while (n < 0 && errno == EINTR);
	link->silent = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
	return n;
}

static int open_link(struct control_link *link, const char *path, unsigned seconds, struct err *err)
{
	cookie_io_functions_t functions = {.read = receive};

	*link = (struct control_link){.seconds = seconds};
	link->fd = connect_to(path, seconds, err);
	if (link->fd < 0)
		return -1;
	snprintf(link->path, sizeof(link->path), "%s", path);
	link->server = fopencookie(link, "r", functions);
	if (link->server)
		return 0;
	close_fd(&link->fd);
	return err_sys(err, EX_OSERR, errno, "no memory");
}

int control_link_open(struct control_link *link, const char *config, const char *path,
		      unsigned seconds, struct err *err)
{
	char found[CONFIG_PATH_MAX];

	*link = (struct control_link){.fd = -1};
	if (!path && find_socket(config, found, sizeof(found), err) < 0)
		return -1;
	return open_link(link, path ? path : found, seconds, err);
}

int control_link_again(struct control_link *link, unsigned seconds, struct err *err)
{
	char path[LINK_PATH_MAX];

	memcpy(path, link->path, sizeof(path));
	control_link_close(link);
	if (open_link(link, path, seconds, err) == 0)
		return 0;
	memcpy(link->path, path, sizeof(path)); /* for the next time */
	return -1;
}

void control_link_close(struct control_link *link)
{
	if (link->server) {
		fclose(link->server);
		close_fd(&link->fd);
	}
	free(link->line);
	*link = (struct control_link){.fd = -1};
}

int control_link_ask(struct control_link *link, const char *command, const char *target,
		     struct err *err)
{
	bool has_target = target && *target;
	char *line;
	int size = asprintf(&line, "1 %s%s%s\n", command, has_target ? " " : "",
			    has_target ? target : "");
	ssize_t sent;

	if (size < 0)
		return err_set(err, EX_OSERR, "no memory");
	sent = send(link->fd, line, (size_t)size, MSG_NOSIGNAL);
	free(line);
	link->cut = sent != size;
	if (!link->cut)
		return 0;
	return err_sys(err, EX_UNAVAILABLE, errno, "cannot write to the server");
}

/* The server's lines are printable ASCII; others would be obeyed by a terminal. */
static bool is_text(const char *line)
{
	for (; *line; line++)
		if (((unsigned char)*line < ' ' && *line != '\t') || (unsigned char)*line >= 0x7f)
			return false;
	return true;
}

static void split(struct control_link *link)
{
	char *at = link->line;

	for (link->count = 0; at && link->count < LINK_FIELDS_MAX; link->count++) {
		char *tab = strchr(at, '\t');

		link->fields[link->count] = at;
		if (tab)
			*tab = '\0';
		at = tab ? tab + 1 : NULL;
	}
}

bool control_link_is(const struct control_link *link, const char *kind, int fields)
{
	return link->count >= fields && strcmp(link->fields[0], kind) == 0;
}

unsigned long long control_link_number(const struct control_link *link, int field)
{
	return field < link->count ? strtoull(link->fields[field], NULL, 10) : 0;
}

/* The server's code, if it is one of sysexits.h. */
static int refused(const struct control_link *link, struct err *err)
{
	unsigned long long code = control_link_number(link, 2);

	return err_set(err, code >= EX__BASE && code <= EX__MAX ? (int)code : EX_UNAVAILABLE, "%s",
		       link->fields[1]);
}

int control_link_next(struct control_link *link, struct err *err)
{
	ssize_t size = getline(&link->line, &link->room, link->server);

	link->cut = size <= 0 || link->line[size - 1] != '\n';
	if (link->cut && link->silent)
		return err_set(err, EX_UNAVAILABLE,
			       "the server has said nothing for %u seconds: see its log",
			       link->seconds);
	if (link->cut)
		return err_set(err, EX_UNAVAILABLE,
			       "the server did not finish its answer: what stands above is not "
			       "all");
	link->line[size - 1] = '\0';
	if (!is_text(link->line))
		return err_set(err, EX_PROTOCOL, "what answers at the socket is no valijad");
	split(link);
	if (control_link_is(link, "error", 2))
		return refused(link, err);
	return !control_link_is(link, "end", 2);
}
