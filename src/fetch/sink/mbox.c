/*
 * The mbox sink: appended in mboxrd (">From " quoted, whatever the depth), under an fcntl lock and
 * a dotlock, in this order, as mail programs of Debian take them. A write that fails is cut off
 * again. At least once: a crash between append and journal repeats a message, which bears the same
 * X-Valija-Delivery-Id then.
 */
#include "fetch/sink/mbox.h"

#include "fetch/interrupt.h"
#include "fetch/sink/dotlock.h"
#include "fetch/sink/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	MBOX_BATCH = 32,
	LOCK_TRIES = 150, /* times 200 ms */
};

struct mbox_sink {
	struct sink sink;
	struct spool spool;
	int fd;
	bool line_start, maybe_from; /* of the quoting */
	bool dotlocked;
	unsigned depth; /* of ">" at the line's start */
	char match[5];
	size_t matched;
	size_t used;
	char out[16384];
	char path[FETCH_COMMAND_MAX];
	char dotlock[FETCH_COMMAND_MAX + 8];
};

static enum sink_result mbox_trouble(const struct mbox_sink *m, int error, const char *doing,
				     struct err *err)
{
	err_sys(err, error == ENOSPC || error == EDQUOT ? EX_TEMPFAIL : EX_IOERR, error,
		"cannot %s the mbox %s", doing, m->path);
	return error == EFBIG ? SINK_FAILED : SINK_BROKEN; /* a smaller message may do */
}

/* 0: held, or not possible in this folder, where the fcntl lock must do. */
static int take_dotlock(struct mbox_sink *m)
{
	int rc = dotlock_take(m->sink.files, m->dotlock);

	m->dotlocked = rc == 0;
	return rc < 0 && errno == EEXIST ? -1 : 0;
}

static void unlock(struct mbox_sink *m)
{
	struct flock whole = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

	if (m->dotlocked)
		m->sink.files->unlinkat(AT_FDCWD, m->dotlock, 0);
	m->dotlocked = false;
	fcntl(m->fd, F_SETLK, &whole);
}

static enum sink_result lock(struct mbox_sink *m, struct err *err)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct timespec pause = {.tv_nsec = 200000000};
	int tries = 0;

	while (fcntl(m->fd, F_SETLK, &whole) < 0) {
		if ((errno != EAGAIN && errno != EACCES) || ++tries >= LOCK_TRIES)
			return mbox_trouble(m, errno, "lock", err);
		if (fetch_interrupt_check(err) < 0)
			return SINK_BROKEN;
		nanosleep(&pause, NULL);
	}
	while (take_dotlock(m) < 0) {
		bool ended = fetch_interrupt_check(err) < 0;

		if (!ended && ++tries >= LOCK_TRIES)
			err_set(err, EX_TEMPFAIL, "%s is held by another program", m->dotlock);
		if (ended || tries >= LOCK_TRIES) {
			unlock(m);
			return SINK_BROKEN;
		}
		nanosleep(&pause, NULL);
	}
	return SINK_OK;
}

static int flush_out(struct mbox_sink *m)
{
	size_t used = m->used;

	m->used = 0;
	return fetch_write_all(m->sink.files, m->fd, m->out, used);
}

static int put(struct mbox_sink *m, char c)
{
	if (m->used == sizeof(m->out) && flush_out(m) < 0)
		return -1;
	m->out[m->used++] = c;
	return 0;
}

static int put_text(struct mbox_sink *m, const char *text)
{
	int rc = 0;

	for (; *text && rc == 0; text++)
		rc = put(m, *text);
	return rc;
}

/* Writes octets held back while a line might have been a From line; quote: it is one. */
static int release(struct mbox_sink *m, bool quote)
{
	int rc = quote ? put(m, '>') : 0;

	for (unsigned i = 0; i < m->depth && rc == 0; i++)
		rc = put(m, '>');
	for (size_t i = 0; i < m->matched && rc == 0; i++)
		rc = put(m, "From "[i]);
	m->depth = 0;
	m->matched = 0;
	m->maybe_from = false;
	return rc;
}

static int quote_octet(struct mbox_sink *m, char c)
{
	if (m->line_start) {
		m->line_start = false;
		m->maybe_from = true;
	}
	if (m->maybe_from) {
		if (c == '>' && m->matched == 0) {
			m->depth++;
			return m->depth < 1000 ? 0 : release(m, false);
		}
		if (c == "From "[m->matched]) {
			m->matched++;
			return m->matched < 5 ? 0 : release(m, true);
		}
		if (release(m, false) < 0)
			return -1;
	}
	m->line_start = c == '\n';
	return put(m, c);
}

static int copy_message(struct mbox_sink *m)
{
	char in[8192];
	ssize_t n;

	m->line_start = true;
	m->depth = 0;
	m->matched = 0;
	while ((n = read(m->spool.fd, in, sizeof(in))) > 0)
		for (ssize_t i = 0; i < n; i++)
			if (quote_octet(m, in[i]) < 0)
				return -1;
	if (n < 0 || (m->maybe_from && release(m, false) < 0))
		return -1;
	if (!m->line_start && put(m, '\n') < 0)
		return -1;
	return put(m, '\n') < 0 ? -1 : flush_out(m);
}

/* Another program may have left its last message without the blank line behind it. */
static int separate(struct mbox_sink *m, off_t size)
{
	char last[2] = {'\n', '\n'};

	if (size == 1 && pread(m->fd, last + 1, 1, 0) != 1)
		return -1;
	if (size >= 2 && pread(m->fd, last, 2, size - 2) != 2)
		return -1;
	if (last[1] != '\n' && put(m, '\n') < 0)
		return -1;
	return last[0] == '\n' && last[1] == '\n' ? 0 : put(m, '\n');
}

static int put_head(struct mbox_sink *m, const struct sink_message *message, off_t size)
{
	char line[160], date[40];
	time_t at = (time_t)(message->time / 1000000);
	struct tm tm;

	m->used = 0;
	if (separate(m, size) < 0)
		return -1;
	gmtime_r(&at, &tm);
	strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", &tm);
	snprintf(line, sizeof(line), "From MAILER-DAEMON %s\nX-Valija-Delivery-Id: %s\n", date,
		 message->id);
	return put_text(m, line);
}

static enum sink_result mbox_end(struct sink *sink, const struct sink_message *message,
				 struct err *err)
{
	struct mbox_sink *m = (struct mbox_sink *)sink;
	enum sink_result result = spool_rewind(&m->spool, err);
	int saved;
	off_t size;

	if (result == SINK_OK)
		result = lock(m, err);
	if (result != SINK_OK)
		return result;
	size = lseek(m->fd, 0, SEEK_END);
	if (size < 0 || put_head(m, message, size) < 0 || copy_message(m) < 0) {
		saved = errno;
		if (size >= 0 && sink->files->ftruncate(m->fd, size) < 0)
			saved = errno;
		result = mbox_trouble(m, saved, "write", err);
	}
	unlock(m);
	spool_drop(&m->spool);
	return result;
}

static enum sink_result mbox_begin(struct sink *sink, const char *id, struct err *err)
{
	(void)id;
	return spool_begin(&((struct mbox_sink *)sink)->spool, err);
}

static enum sink_result mbox_write(struct sink *sink, pop3_span text, struct err *err)
{
	return spool_write(&((struct mbox_sink *)sink)->spool, text, err);
}

static void mbox_drop(struct sink *sink)
{
	spool_drop(&((struct mbox_sink *)sink)->spool);
}

static enum sink_result mbox_settle(struct sink *sink, struct err *err)
{
	struct mbox_sink *m = (struct mbox_sink *)sink;

	return sink->files->fsync(m->fd) < 0 ? mbox_trouble(m, errno, "flush", err) : SINK_OK;
}

static enum sink_result mbox_publish(struct sink *sink, struct err *err)
{
	(void)sink, (void)err;
	return SINK_OK;
}

static void mbox_destroy(struct sink *sink)
{
	struct mbox_sink *m = (struct mbox_sink *)sink;

	spool_finish(&m->spool);
	if (m->fd >= 0)
		sink->files->close(m->fd);
	free(m);
}

static const struct sink_ops mbox_ops = {
	.begin = mbox_begin,
	.write = mbox_write,
	.end = mbox_end,
	.drop = mbox_drop,
	.settle = mbox_settle,
	.publish = mbox_publish,
	.destroy = mbox_destroy,
};

int sink_mbox_open(const struct sink_settings *settings, struct sink **ret, struct err *err)
{
	struct mbox_sink *m = calloc(1, sizeof(*m));
	struct stat status;

	if (!m)
		return err_sys(err, EX_OSERR, errno, "memory");
	m->sink = (struct sink){.ops = &mbox_ops, .batch = MBOX_BATCH, .files = settings->files};
	m->fd = -1;
	snprintf(m->path, sizeof(m->path), "%s", settings->account->target);
	snprintf(m->dotlock, sizeof(m->dotlock), "%s.lock", m->path);
	if (spool_init(&m->spool, settings, err) < 0)
		goto failed;
	m->fd = m->sink.files->openat(AT_FDCWD, m->path,
				      O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (m->fd < 0 || fstat(m->fd, &status) < 0) {
		err_sys(err, EX_CANTCREAT, errno, "cannot open the mbox %s", m->path);
		goto failed;
	}
	if (!S_ISREG(status.st_mode)) {
		err_set(err, EX_CANTCREAT, "the mbox %s is not a file", m->path);
		goto failed;
	}
	/* perhaps it was made just now, or by a run that was killed */
	if (status.st_size == 0 && fetch_flush_parent(m->sink.files, m->path) < 0) {
		err_sys(err, EX_IOERR, errno, "cannot flush the folder of %s", m->path);
		goto failed;
	}
	*ret = &m->sink;
	return 0;
failed:
	mbox_destroy(&m->sink);
	return -1;
}
