/* A message in an unnamed file, for the mbox, command and LMTP sinks, which own the struct spool.
 * In the confined process; messages are hostile and not looked at. */
#include "fetch/sink/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

int spool_init(struct spool *spool, const struct sink_settings *settings, struct err *err)
{
	spool->files = settings->files;
	spool->fd = -1;
	spool->dir = fcntl(settings->state_dir, F_DUPFD_CLOEXEC, 3);
	return spool->dir < 0 ? err_sys(err, EX_OSERR, errno, "state folder") : 0;
}

void spool_finish(struct spool *spool)
{
	spool_drop(spool);
	if (spool->dir >= 0)
		spool->files->close(spool->dir);
	spool->dir = -1;
}

void spool_drop(struct spool *spool)
{
	if (spool->fd >= 0)
		spool->files->close(spool->fd);
	spool->fd = -1;
	spool->buffered = 0;
}

static enum sink_result broken(struct err *err)
{
	int saved = errno;

	err_sys(err, saved == ENOSPC ? EX_TEMPFAIL : EX_IOERR, saved,
		"cannot hold a message in the state folder");
	return saved == EFBIG ? SINK_FAILED : SINK_BROKEN; /* a smaller one may do */
}

enum sink_result spool_begin(struct spool *spool, struct err *err)
{
	char name[40];

	spool_drop(spool);
	spool->fd = spool->files->openat(spool->dir, ".", O_RDWR | O_TMPFILE, 0600);
	if (spool->fd >= 0)
		return SINK_OK;
	/* no unnamed files here (NFS) */
	snprintf(name, sizeof(name), "spool.%d", (int)getpid());
	spool->fd = spool->files->openat(spool->dir, name, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (spool->fd < 0)
		return broken(err);
	return spool->files->unlinkat(spool->dir, name, 0) < 0 ? broken(err) : SINK_OK;
}

static enum sink_result flush(struct spool *spool, struct err *err)
{
	if (fetch_write_all(spool->files, spool->fd, spool->buffer, spool->buffered) < 0)
		return broken(err);
	spool->buffered = 0;
	return SINK_OK;
}

enum sink_result spool_write(struct spool *spool, pop3_span text, struct err *err)
{
	enum sink_result result = SINK_OK;

	while (text.size && result == SINK_OK) {
		size_t n = sizeof(spool->buffer) - spool->buffered;

		n = n < text.size ? n : text.size;
		memcpy(spool->buffer + spool->buffered, text.data, n);
		spool->buffered += n;
		text.data += n;
		text.size -= n;
		result = spool->buffered == sizeof(spool->buffer) ? flush(spool, err) : SINK_OK;
	}
	return result;
}

enum sink_result spool_rewind(struct spool *spool, struct err *err)
{
	enum sink_result result = flush(spool, err);

	if (result != SINK_OK)
		return result;
	return lseek(spool->fd, 0, SEEK_SET) < 0 ? broken(err) : SINK_OK;
}
