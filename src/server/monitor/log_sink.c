/* See log_sink.h. */
#include "server/monitor/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define SYSLOG_AT "syslog:/"
#define SYSLOG_PATH "/dev/log"

enum {
	TRY_MS = 100, /* between two looks for a syslog that is being started again */
	TRIES = 30,   /* then lines are lost until it is back */
	WAIT_MS = 500,
	AGAIN = 3, /* connections for one line */
};

/* ---- open ---- */

void log_sink_init(struct log_sink *sink)
{
	*sink = (struct log_sink){.kind = LOG_SINK_STDERR, .fd = STDERR_FILENO};
	if (getenv("JOURNAL_STREAM"))
		sink->form = LOG_FORM_JOURNAL;
}

void log_sink_none(struct log_sink *sink)
{
	*sink = (struct log_sink){.kind = LOG_SINK_NONE, .fd = -1};
}

static void name_file(struct log_sink *sink, const struct config *config, const char *to)
{
	sink->kind = LOG_SINK_FILE;
	sink->form = LOG_FORM_TIME;
	if (strncmp(to, "./", 2) == 0)
		to += 2;
	if (to[0] == '/')
		snprintf(sink->path, sizeof(sink->path), "%s", to);
	else
		snprintf(sink->path, sizeof(sink->path), "%s/%s", config->directory, to);
}

static void name_sink(struct log_sink *sink, const struct config *config)
{
	const char *to = config->log_to;

	log_sink_init(sink);
	if (strcmp(to, "stderr") == 0)
		return;
	sink->fd = -1;
	if (strcmp(to, "syslog") == 0 || strncmp(to, SYSLOG_AT, sizeof(SYSLOG_AT) - 1) == 0) {
		sink->kind = LOG_SINK_SYSLOG;
		sink->form = LOG_FORM_SYSLOG;
		snprintf(sink->path, sizeof(sink->path), "%s",
			 strchr(to, ':') ? strchr(to, ':') + 1 : SYSLOG_PATH);
		return;
	}
	name_file(sink, config, to);
}

static void name_events(struct log_sink *sink, const struct config *config)
{
	const char *to = config->log_events;

	log_sink_none(sink);
	if (strncmp(to, "unix:", 5) == 0) {
		sink->kind = LOG_SINK_SYSLOG; /* it is written to in the same way */
		snprintf(sink->path, sizeof(sink->path), "%s", to + 5);
	} else if (to[0]) {
		name_file(sink, config, to);
	}
}

/* O_NONBLOCK: a FIFO is refused, not waited for; a file does not know it. */
static int open_old(const char *path)
{
	return open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

/* With its permissions, whatever the umask. */
static int make_new(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_CREAT | O_EXCL, 0640);

	if (fd >= 0)
		(void)fchmod(fd, 0640);
	return fd;
}

static int open_file(const char *path, bool *ret_made, struct err *err)
{
	struct stat st;
	int fd = open_old(path);

	if (fd < 0 && errno == ENOENT) {
		fd = make_new(path);
		*ret_made = fd >= 0;
		if (fd < 0 && errno == EEXIST) /* logrotate was quicker */
			fd = open_old(path);
	}

	if (fd < 0)
		return err_sys(err, EX_CONFIG, errno, "cannot open the log %s", path);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return err_set(err, EX_CONFIG, "cannot open the log %s: it is not a regular file", path);
}

static int connect_syslog(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, error;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		error = errno;
		close(fd);
		errno = error;
		fd = -1;
	}
	return fd;
}

static int open_named(struct log_sink *sink, struct err *err)
{
	bool made;

	if (sink->kind == LOG_SINK_SYSLOG)
		sink->fd = connect_syslog(sink->path);
	if (sink->kind == LOG_SINK_FILE)
		sink->fd = open_file(sink->path, &made, err);
	return sink->kind == LOG_SINK_FILE && sink->fd < 0 ? -1 : 0;
}

int log_sink_open(struct log_sink *sink, const struct config *config, struct err *err)
{
	name_sink(sink, config);
	return open_named(sink, err);
}

int log_sink_open_events(struct log_sink *sink, const struct config *config, struct err *err)
{
	name_events(sink, config);
	return open_named(sink, err);
}

int log_sink_reopen(struct log_sink *sink, struct err *err)
{
	bool made;
	int fd;

	if (sink->kind != LOG_SINK_FILE)
		return 0;
	fd = open_file(sink->path, &made, err);
	if (fd < 0)
		return -1;
	close(sink->fd);
	sink->fd = fd;
	sink->torn = false;
	return 0;
}

void log_sink_close(struct log_sink *sink)
{
	if (sink->kind != LOG_SINK_STDERR && sink->fd >= 0)
		close(sink->fd);
	log_sink_init(sink);
}

static int check(struct log_sink *sink, const char *name, void (*warn)(const char *text),
		 struct err *err)
{
	char text[3 * CONFIG_PATH_MAX];
	bool made = false;

	if (sink->kind == LOG_SINK_FILE) {
		sink->fd = open_file(sink->path, &made, err);
		if (made)
			unlink(sink->path);
		if (sink->fd < 0)
			return -1;
	} else if (sink->kind == LOG_SINK_SYSLOG) {
		sink->fd = connect_syslog(sink->path);
		if (sink->fd < 0) {
			snprintf(text, sizeof(text),
				 "%s is not there (%s: %s): lines are lost until it is", name,
				 sink->path, strerror(errno));
			warn(text);
		}
	}
	log_sink_close(sink);
	return 0;
}

int log_sink_check(const struct config *config, void (*warn)(const char *text), struct err *err)
{
	struct log_sink sink;

	name_sink(&sink, config);
	if (check(&sink, "syslog", warn, err) < 0)
		return -1;
	name_events(&sink, config);
	return check(&sink, "the socket of log_events", warn, err);
}

/* ---- octets ---- */

/* Returns the octets written: less than size when the reader is gone, or the disk is full. */
static size_t write_octets(int fd, const char *octets, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = write(fd, octets + done, size - done);

		if (n > 0) {
			done += (size_t)n;
		} else if (n < 0 && errno == EAGAIN) { /* made non-blocking by another program */
			struct pollfd wait = {.fd = fd, .events = POLLOUT};

			poll(&wait, 1, WAIT_MS);
		} else if (n == 0 || errno != EINTR) {
			break;
		}
	}
	return done;
}

static unsigned long count_lines(const char *text, size_t size)
{
	unsigned long n = 0;

	for (size_t i = 0; i < size; i++)
		n += text[i] == '\n';
	return n;
}

/* A line that was cut short ends where it is, and is lost. */
static unsigned long write_stream(struct log_sink *sink, const char *lines, size_t size)
{
	size_t done;

	if (sink->torn && write_octets(sink->fd, "\n", 1) != 1)
		return count_lines(lines, size);
	sink->torn = false;
	done = write_octets(sink->fd, lines, size);
	sink->torn = done > 0 && lines[done - 1] != '\n';
	if (sink->torn && lines[done] == '\n') /* it lacks its end only, which comes next */
		done++;
	return count_lines(lines + done, size - done);
}

/* ---- syslog ---- */

/* Waits some seconds for a syslog that is being started again, but not once more for the next line
 * if it did not come. */
static bool connect_again(struct log_sink *sink, bool (*give_up)(void))
{
	struct timespec pause = {.tv_nsec = TRY_MS * 1000000L};

	if (sink->fd >= 0)
		close(sink->fd);
	for (int i = 0;; i++) {
		sink->fd = connect_syslog(sink->path);
		if (sink->fd >= 0 || sink->down || i == TRIES || give_up())
			break;
		nanosleep(&pause, NULL);
	}
	sink->down = sink->fd < 0;
	return sink->fd >= 0;
}

/* One datagram. A syslog that does not read is waited for, as a reader of standard error is. */
static bool send_line(struct log_sink *sink, const char *line, size_t size, bool (*give_up)(void))
{
	struct pollfd wait = {.events = POLLOUT};

	for (int again = 0; again < AGAIN;) {
		if (sink->fd < 0 && !connect_again(sink, give_up))
			return false;
		if (send(sink->fd, line, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return true;
		if (errno == EAGAIN || errno == ENOBUFS) {
			wait.fd = sink->fd;
			if (give_up())
				return false;
			poll(&wait, 1, WAIT_MS);
		} else if (errno == EMSGSIZE) {
			return false;
		} else if (errno != EINTR) {
			again++;
			if (!connect_again(sink, give_up))
				return false;
		}
	}
	return false;
}

static unsigned long write_syslog(struct log_sink *sink, const char *lines, size_t size,
				  bool (*give_up)(void))
{
	unsigned long lost = 0;

	while (size) {
		const char *end = memchr(lines, '\n', size);
		size_t n = end ? (size_t)(end - lines) : size;

		lost += !send_line(sink, lines, n, give_up);
		n += end != NULL;
		lines += n;
		size -= n;
	}
	return lost;
}

unsigned long log_sink_write(struct log_sink *sink, const char *lines, size_t size,
			     bool (*give_up)(void))
{
	if (sink->kind == LOG_SINK_NONE)
		return 0;
	if (sink->kind == LOG_SINK_SYSLOG)
		return write_syslog(sink, lines, size, give_up);
	return write_stream(sink, lines, size);
}
