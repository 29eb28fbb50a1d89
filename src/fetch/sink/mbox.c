/*
 * The mbox sink: appended in mboxrd under the locks of mail programs, by the code that every writer
 * of ours has (src/maildrop/mbox). A write that fails is cut off again. At least once: a crash
 * between append and journal repeats a message, which bears the same X-Valija-Delivery-Id then.
 */
#include "fetch/sink/mbox.h"

#include "fetch/interrupt.h"
#include "fetch/sink/spool.h"
#include "maildrop/mbox/append.h"
#include "maildrop/mbox/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	MBOX_BATCH = 32,
};

struct mbox_sink {
	struct sink sink;
	struct spool spool;
	struct maildrop_syscalls sys;
	struct mbox_calls calls;
	struct mbox_lock lock; /* its fd is the mbox */
	char path[FETCH_COMMAND_MAX];
};

static enum sink_result mbox_trouble(const struct mbox_sink *m, int error, const char *doing,
				     struct err *err)
{
	if (error == EBADMSG) {
		err_set(err, EX_CANTCREAT,
			"the file %s is no mbox (it does not begin with a line \"From SENDER "
			"DATE\"), "
			"so nothing is appended to it: name another file",
			m->path);
		return SINK_BROKEN;
	}
	err_sys(err, error == ENOSPC || error == EDQUOT ? EX_TEMPFAIL : EX_IOERR, error,
		"cannot %s the mbox %s", doing, m->path);
	return error == EFBIG ? SINK_FAILED : SINK_BROKEN; /* a smaller message may do */
}

static int write_all_at(const void *context, int fd, const void *data, size_t size, off_t at)
{
	(void)at; /* the file is open for appending */
	return fetch_write_all(context, fd, data, size);
}

static enum sink_result lock(struct mbox_sink *m, struct err *err)
{
	if (mbox_lock_take(&m->lock, err) == 0)
		return SINK_OK;
	return SINK_BROKEN;
}

static int append(struct mbox_sink *m, const struct sink_message *message, bool *ret_torn)
{
	char header[80];
	int n = snprintf(header, sizeof(header), "X-Valija-Delivery-Id: %s\n", message->id);
	struct mbox_append append = {
		.calls = &m->calls,
		.fd = m->lock.fd,
		.time = (time_t)(message->time / 1000000),
		.headers = {header, (size_t)n},
		.message_fd = m->spool.fd,
	};

	return mbox_append(&append, ret_torn);
}

static enum sink_result mbox_end(struct sink *sink, const struct sink_message *message,
				 struct err *err)
{
	struct mbox_sink *m = (struct mbox_sink *)sink;
	enum sink_result result = spool_rewind(&m->spool, err);
	bool torn;

	if (result == SINK_OK)
		result = lock(m, err);
	if (result != SINK_OK)
		return result;
	if (append(m, message, &torn) < 0)
		result = mbox_trouble(m, errno, "write", err);
	mbox_lock_release(&m->lock);
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

	return sink->files->fsync(m->lock.fd) < 0 ? mbox_trouble(m, errno, "flush", err) : SINK_OK;
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
	if (m->lock.fd >= 0)
		sink->files->close(m->lock.fd);
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
	snprintf(m->path, sizeof(m->path), "%s", settings->account->target);
	m->sys = maildrop_kernel;
	m->sys.openat = settings->files->openat;
	m->sys.unlinkat = settings->files->unlinkat;
	m->sys.ftruncate = settings->files->ftruncate;
	m->calls = (struct mbox_calls){&m->sys, write_all_at, settings->files};
	m->lock = (struct mbox_lock){.calls = &m->calls,
				     .fd = -1,
				     .dir = AT_FDCWD,
				     .name = m->path,
				     .wait_ms = MBOX_LOCK_MS,
				     .interrupted = fetch_interrupt_check};
	if (spool_init(&m->spool, settings, err) < 0)
		goto failed;
	m->lock.fd = m->sink.files->openat(
		AT_FDCWD, m->path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (m->lock.fd < 0 || fstat(m->lock.fd, &status) < 0) {
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
