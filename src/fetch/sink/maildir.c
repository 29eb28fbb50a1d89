/*
 * The Maildir sink: exactly once. A message is written to valija-staging/ beside new/ (mail
 * programs ignore it, but may clean tmp/) under a name made of account and message; when the
 * journal that names it is on disk, it is renamed into new/. A rename can happen only once, even
 * if a mail program moves the file on from new/ afterwards.
 */
#include "fetch/sink/maildir.h"

#include "base/text.h"
#include "fetch/syscalls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	SYNCFS_FROM = 16,
	CHEAP_US = 250, /* a message: a better way is not worth looking for */
	WRITE_BEHIND_EACH = 1u << 20,
};

static enum sink_result trouble(struct err *err, const char *doing)
{
	int saved = errno;

	err_sys(err, saved == ENOSPC || saved == EDQUOT ? EX_TEMPFAIL : EX_IOERR, saved, "%s",
		doing);
	return saved == EFBIG ? SINK_FAILED : SINK_BROKEN; /* a smaller one may do */
}

static enum sink_result flush_buffer(struct maildir_sink *m, struct err *err)
{
	if (fetch_write_all(m->sink.files, m->fd, m->buffer, m->buffered) < 0)
		return trouble(err, "cannot write into the Maildir");
	m->stored += m->buffered;
	m->buffered = 0;
	if (m->stored - m->behind >= WRITE_BEHIND_EACH) {
		fetch_write_behind(m->fd, m->behind);
		m->behind = m->stored;
	}
	return SINK_OK;
}

static enum sink_result maildir_begin(struct sink *sink, const char *id, struct err *err)
{
	struct maildir_sink *m = (struct maildir_sink *)sink;

	snprintf(m->staged_name, sizeof(m->staged_name), "%s.%s", m->prefix, id);
	m->stored = m->behind = 0;
	m->buffered = 0;
	m->fd = sink->files->openat(m->staging, m->staged_name,
				    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
	return m->fd < 0 ? trouble(err, "cannot make a file in the Maildir's valija-staging")
			 : SINK_OK;
}

static enum sink_result maildir_write(struct sink *sink, pop3_span text, struct err *err)
{
	struct maildir_sink *m = (struct maildir_sink *)sink;
	enum sink_result result = SINK_OK;

	while (text.size && result == SINK_OK) {
		size_t n = sizeof(m->buffer) - m->buffered;

		n = n < text.size ? n : text.size;
		memcpy(m->buffer + m->buffered, text.data, n);
		m->buffered += n;
		text.data += n;
		text.size -= n;
		result = m->buffered == sizeof(m->buffer) ? flush_buffer(m, err) : SINK_OK;
	}
	return result;
}

static void maildir_drop(struct sink *sink)
{
	struct maildir_sink *m = (struct maildir_sink *)sink;

	if (m->fd < 0)
		return;
	sink->files->close(m->fd);
	m->fd = -1;
	sink->files->unlinkat(m->staging, m->staged_name, 0);
}

static enum sink_result maildir_end(struct sink *sink, const struct sink_message *message,
				    struct err *err)
{
	struct maildir_sink *m = (struct maildir_sink *)sink;
	struct staged *staged = &m->batch[m->batched];
	enum sink_result result = flush_buffer(m, err);

	if (result != SINK_OK)
		return result;
	snprintf(staged->name, sizeof(staged->name), "%s.%s", m->prefix, message->id);
	if (strcmp(staged->name, m->staged_name) != 0 &&
	    sink->files->rename(m->staging, m->staged_name, m->staging, staged->name) < 0)
		return trouble(err, "cannot name a message in the Maildir's valija-staging");
	maildir_final_name(m->host, message->id, message->time, m->stored, message->octets,
			   staged->final, sizeof(staged->final));
	staged->fd = m->fd;
	m->fd = -1;
	m->batched++;
	return SINK_OK;
}

/* One fsync a file; the first one does most of the work of the others. */
static enum sink_result flush_each(struct maildir_sink *m, struct err *err)
{
	for (unsigned i = 0; i < m->batched; i++)
		fetch_write_behind(m->batch[i].fd, 0);
	for (unsigned i = 0; i < m->batched; i++)
		if (m->sink.files->fsync(m->batch[i].fd) < 0)
			return trouble(err, "cannot flush a message to the disk");
	if (m->sink.files->fsync(m->staging) < 0)
		return trouble(err, "cannot flush the Maildir's valija-staging");
	return SINK_OK;
}

static enum sink_result flush_all(struct maildir_sink *m, struct err *err)
{
	if (m->sink.files->syncfs(m->staging) < 0)
		return trouble(err, "cannot flush the Maildir's filesystem");
	return SINK_OK;
}

/*
 * For many small files one syncfs is worth a hundred fsyncs, unless others are writing much to the
 * same filesystem. So when it takes long the other way is tried, and from then on the cheaper one.
 */
static bool prefer_all(const struct maildir_sink *m)
{
	if (m->batched < SYNCFS_FROM)
		return false;
	if (!m->cost_each)
		return m->cost_all < CHEAP_US;
	return m->cost_all < m->cost_each;
}

/* Files and the folder that names them. */
static enum sink_result maildir_settle(struct sink *sink, struct err *err)
{
	struct maildir_sink *m = (struct maildir_sink *)sink;
	bool all = prefer_all(m);
	int64_t began = fetch_now(), each;
	enum sink_result result;

	if (m->batched == 0)
		return SINK_OK;
	result = all ? flush_all(m, err) : flush_each(m, err);
	each = (fetch_now() - began) * 1000 / m->batched;
	if (all)
		m->cost_all = each;
	else if (m->batched >= SYNCFS_FROM)
		m->cost_each = each + 1;
	for (unsigned i = 0; result == SINK_OK && i < m->batched; i++) {
		sink->files->close(m->batch[i].fd);
		m->batch[i].fd = -1;
	}
	return result;
}

static enum sink_result flush_folders(struct maildir_sink *m, struct err *err)
{
	if (m->sink.files->fsync(m->new_dir) < 0 || m->sink.files->fsync(m->staging) < 0)
		return trouble(err, "cannot flush the Maildir's folders");
	return SINK_OK;
}

static enum sink_result maildir_publish(struct sink *sink, struct err *err)
{
	struct maildir_sink *m = (struct maildir_sink *)sink;
	unsigned n = m->batched;

	for (unsigned i = 0; i < n; i++)
		if (sink->files->publish(m->staging, m->batch[i].name, m->new_dir,
					 m->batch[i].final) < 0)
			return trouble(err, "cannot move a message into the Maildir's new");
	m->batched = 0;
	return n ? flush_folders(m, err) : SINK_OK;
}

static void maildir_destroy(struct sink *sink)
{
	struct maildir_sink *m = (struct maildir_sink *)sink;
	const int dirs[] = {m->new_dir, m->staging, m->root};

	maildir_drop(sink);
	for (unsigned i = 0; i < m->batched; i++)
		if (m->batch[i].fd >= 0)
			sink->files->close(m->batch[i].fd);
	for (unsigned i = 0; i < 3; i++)
		if (dirs[i] >= 0)
			sink->files->close(dirs[i]);
	if (m->lock >= 0)
		sink->files->close(m->lock);
	free(m->present);
	free(m);
}

static const struct sink_ops maildir_ops = {
	.begin = maildir_begin,
	.write = maildir_write,
	.end = maildir_end,
	.drop = maildir_drop,
	.settle = maildir_settle,
	.publish = maildir_publish,
	.destroy = maildir_destroy,
};

/* Opens a folder, makes it if it is missing. */
static int open_folder(const struct fetch_files *files, int dir, const char *name, bool *made,
		       struct err *err)
{
	int fd = files->openat(dir, name, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0 && errno == ENOENT) {
		if (files->mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
			return err_sys(err, EX_CANTCREAT, errno, "cannot make %s", name);
		*made = true;
		fd = files->openat(dir, name, O_RDONLY | O_DIRECTORY, 0);
	}
	if (fd < 0)
		return err_sys(err, EX_CANTCREAT, errno, "cannot open %s", name);
	return fd;
}

static int open_folders(struct maildir_sink *m, const char *path, struct err *err)
{
	const struct fetch_files *files = m->sink.files;
	struct stat one, other;
	bool made = false;
	int fd;

	m->root = open_folder(files, AT_FDCWD, path, &made, err);
	if (m->root < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		fd = open_folder(files, m->root, i ? "cur" : "tmp", &made, err);
		if (fd < 0)
			return err_prefix(err, "Maildir %s", path);
		files->close(fd);
	}
	m->new_dir = open_folder(files, m->root, "new", &made, err);
	if (m->new_dir < 0)
		return err_prefix(err, "Maildir %s", path);
	/* the last folder is made once the Maildir's own name is on the disk: where it is, the name
	 * need not be flushed again */
	made = made || faccessat(m->root, "valija-staging", F_OK, 0) < 0;
	if (made && fetch_flush_parent(files, path) < 0)
		return err_sys(err, EX_IOERR, errno, "cannot flush the folder of %s", path);
	m->staging = open_folder(files, m->root, "valija-staging", &made, err);
	if (m->staging < 0)
		return err_prefix(err, "Maildir %s", path);
	if (fstat(m->new_dir, &one) < 0 || fstat(m->staging, &other) < 0)
		return err_sys(err, EX_IOERR, errno, "Maildir %s", path);
	if (one.st_dev != other.st_dev)
		return err_set(err, EX_CONFIG,
			       "Maildir %s: new and valija-staging are not on the same filesystem",
			       path);
	if (files->fsync(m->root) < 0)
		return err_sys(err, EX_IOERR, errno, "cannot flush Maildir %s", path);
	return 0;
}

/* One run at a time may stage for this account here, whatever state folder it uses. */
static int lock_staging(struct maildir_sink *m, struct err *err)
{
	char name[sizeof(m->prefix) + 8];

	snprintf(name, sizeof(name), "%s.lock", m->prefix);
	m->lock = m->sink.files->openat(m->staging, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (m->lock < 0)
		return err_sys(err, EX_CANTCREAT, errno, "cannot lock the Maildir's staging");
	if (flock(m->lock, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, EX_TEMPFAIL,
			       "another run is collecting this account into this Maildir now");
	return 0;
}

static void host_name(char *buf, size_t size)
{
	if (gethostname(buf, size) < 0 || !buf[0])
		snprintf(buf, size, "localhost");
	buf[size - 1] = '\0';
	for (char *c = buf; *c; c++)
		if (*c <= 0x20 || *c > 0x7e || *c == '/' || *c == ':' || *c == ',')
			*c = '_';
}

int sink_maildir_open(const struct sink_settings *settings, struct journal *journal,
		      struct sink **ret, struct err *err)
{
	struct maildir_sink *m = calloc(1, sizeof(*m));
	char id[DELIVERY_ID_SIZE];

	if (!m)
		return err_sys(err, EX_OSERR, errno, "memory");
	m->sink = (struct sink){
		.ops = &maildir_ops, .batch = SINK_BATCH_MAX, .files = settings->files};
	m->root = m->new_dir = m->staging = m->fd = m->lock = -1;
	m->key = settings->key;
	delivery_id(m->key, SPAN_LITERAL("account"), id);
	snprintf(m->prefix, sizeof(m->prefix), "%.16s", id);
	host_name(m->host, sizeof(m->host));
	if (open_folders(m, settings->account->target, err) < 0 || lock_staging(m, err) < 0 ||
	    maildir_recover(m, journal, err) < 0) {
		maildir_destroy(&m->sink);
		return -1;
	}
	*ret = &m->sink;
	return 0;
}
