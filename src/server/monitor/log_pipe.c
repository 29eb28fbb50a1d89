/* See log_pipe.h. */
#include "server/monitor/log_pipe.h"

#include "server/monitor/event_members.h"
#include "server/monitor/logbook.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	BULK_MS = 100, /* lines of so long are read together: to wake up for each costs more
			  than all else of the log */
	PIPE_SIZE = 256 * 1024, /* octets that fit meanwhile, if the kernel allows */
	READ_MAX = 32 * 1024,
	READS = PIPE_SIZE / READ_MAX, /* at a time: then others have their turn */
	LINE_HEAD = 3,                /* "<2>" */
	LINE_KEPT = LOG_LINE_MAX + 4, /* octets of a line that is no event */
};

/* Whether all octets of a word are 0x20 to 0x7e; no for some that are, too. */
static bool word_printable(const char *text)
{
	const uint64_t ones = UINT64_MAX / 255;
	uint64_t word;

	memcpy(&word, text, sizeof(word));
	/* below 0x20; 0x7f or above */
	return !((((word - 0x20 * ones) & ~word) | (word + ones) | word) & 0x80 * ones);
}

/* Escapes what is not printable, but not "\": the child has escaped what it got from others. */
static size_t printable(const char *text, size_t size, char *ret, size_t cap)
{
	static const char digits[] = "0123456789abcdef";
	size_t used = 0;

	for (size_t i = 0; i < size && used + 4 <= cap; i++) {
		unsigned char c = (unsigned char)text[i];

		if (size - i >= 8 && cap - used >= 8 && word_printable(text + i)) {
			memcpy(ret + used, text + i, 8);
			used += 8;
			i += 7;
			continue;
		}
		if (c >= 0x20 && c <= 0x7e) {
			ret[used++] = (char)c;
			continue;
		}
		ret[used++] = '\\';
		ret[used++] = 'x';
		ret[used++] = digits[c >> 4];
		ret[used++] = digits[c & 15];
	}
	return used;
}

/* An event whose members are none is lost with its line: it could end the object and begin
 * another. */
static void add_event(struct log_pipe *pipe, char *members, size_t size)
{
	bool whole = !pipe->cut && size <= LOG_EVENT_MAX &&
		     event_members_valid((pop3_span){members, size});

	pipe->used = 0;
	pipe->cut = false;
	if (!whole)
		return;
	members[size] = '}'; /* in the place of the line's end */
	logbook_add_event(pipe->who, members, size + 1);
}

/* A line without a level is no line of the log, but output of a library or a sanitizer. */
static void end_line(struct log_pipe *pipe)
{
	static const char output[] = "output: ", dots[] = " ...";
	static char text[4 * LINE_KEPT + sizeof(output) + sizeof(dots)]; /* the loop's */
	char *from = pipe->line;
	size_t size = pipe->used, used = 0;
	enum log_level level = LOG_LEVEL_WARNING;

	if (size >= LINE_HEAD && memcmp(from, "<e>", LINE_HEAD) == 0) {
		add_event(pipe, from + LINE_HEAD, size - LINE_HEAD);
		return;
	}
	if (size > LINE_KEPT) {
		size = LINE_KEPT;
		pipe->cut = true;
	}
	if (size >= LINE_HEAD && from[0] == '<' && from[2] == '>' && from[1] >= '0' &&
	    from[1] < '0' + LOG_LEVEL_COUNT) {
		level = (enum log_level)(from[1] - '0');
		from += LINE_HEAD;
		size -= LINE_HEAD;
	} else {
		memcpy(text, output, sizeof(output) - 1);
		used = sizeof(output) - 1;
	}
	used += printable(from, size, text + used, sizeof(text) - used - sizeof(dots));
	if (pipe->cut) {
		memcpy(text + used, dots, sizeof(dots) - 1);
		used += sizeof(dots) - 1;
	}
	pipe->used = 0;
	pipe->cut = false;
	logbook_add(level, pipe->who, text, used);
}

static void take(struct log_pipe *pipe, const char *data, size_t size)
{
	while (size) {
		const char *end = memchr(data, '\n', size);
		size_t n = end ? (size_t)(end - data) : size;
		size_t room = sizeof(pipe->line) - pipe->used, kept = n < room ? n : room;

		memcpy(pipe->line + pipe->used, data, kept);
		pipe->used += kept;
		pipe->cut = pipe->cut || kept < n;
		if (!end)
			return;
		end_line(pipe);
		data += n + 1;
		size -= n + 1;
	}
}

/* Returns false when there is nothing more to read now, or ever. */
static bool read_some(struct log_pipe *pipe)
{
	char *buf = loop_scratch(pipe->loop, LOOP_SCRATCH_INPUT, READ_MAX);
	ssize_t n = buf ? read(pipe->fd, buf, READ_MAX) : 0;

	if (n > 0) {
		take(pipe, buf, (size_t)n);
		return true;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR)) { /* the child has ended */
		loop_watch_finish(&pipe->watch);
		close(pipe->fd);
		pipe->fd = -1;
	}
	return false;
}

/* Reads what there is, then no more for BULK_MS: to wake up for each line costs more. When that
 * time brought nothing, the next line is read at once again. */
static void read_in_bulk(struct log_pipe *pipe)
{
	bool some = false;

	logbook_bulk(true);
	for (int i = 0; i < READS && logbook_has_room() && read_some(pipe); i++)
		some = true;
	logbook_bulk(false);
	if (pipe->fd < 0)
		return;
	if (some || !logbook_has_room())
		loop_timer_set(&pipe->timer, BULK_MS);
	else
		loop_watch_want(&pipe->watch, LOOP_READ);
}

static void pause_over(struct loop_timer *timer)
{
	read_in_bulk(timer->context);
}

static void ready(struct loop_watch *watch, int what)
{
	(void)what;
	loop_watch_want(watch, 0);
	read_in_bulk(watch->context);
}

void log_pipe_init(struct log_pipe *pipe, struct loop *loop)
{
	pipe->loop = loop;
	pipe->fd = -1;
	loop_timer_init(&pipe->timer, loop, pause_over, pipe);
}

int log_pipe_open(struct log_pipe *pipe, int *ret_child_fd, struct err *err)
{
	int fds[2];

	log_pipe_finish(pipe);
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot make a pipe for the log");
	(void)fcntl(fds[0], F_SETPIPE_SZ, PIPE_SIZE); /* else it has 64 KiB */
	pipe->fd = fds[0];
	*ret_child_fd = fds[1];
	return 0;
}

void log_pipe_start(struct log_pipe *pipe, const char *name, unsigned index, pid_t pid)
{
	snprintf(pipe->who, sizeof(pipe->who), "%s%u[%d]", name, index, (int)pid);
	pipe->used = 0;
	pipe->cut = false;
	loop_watch_init(&pipe->watch, pipe->loop, pipe->fd, ready, pipe);
	loop_watch_want(&pipe->watch, LOOP_READ);
}

void log_pipe_adopt(struct log_pipe *pipe, int *fd)
{
	log_pipe_finish(pipe);
	pipe->fd = *fd;
	*fd = -1;
}

int log_pipe_empty(struct log_pipe *pipe)
{
	if (pipe->fd >= 0 && pipe->watch.loop)
		for (int i = 0; i <= READS && read_some(pipe); i++)
			;
	if (pipe->used)
		end_line(pipe);
	return pipe->fd;
}

void log_pipe_finish(struct log_pipe *pipe)
{
	loop_timer_cancel(&pipe->timer);
	(void)log_pipe_empty(pipe);
	if (pipe->fd < 0)
		return;
	if (pipe->watch.loop)
		loop_watch_finish(&pipe->watch);
	close(pipe->fd);
	pipe->fd = -1;
}
