/* See maildir.h and maildrop.h: lending messages. */
#include "maildrop/maildir.h"

#include "maildrop/maildir_measure.h"
#include "maildrop/maildir_scan.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct naming {
	struct maildir_model *model;
	enum index_directory directory;
};

static int take_name(void *context, pop3_span name, uint64_t inode)
{
	struct naming *naming = context;
	struct maildir_name parsed;
	uint32_t at, hash;

	maildir_name_parse(name, &parsed);
	hash = maildir_model_hash(naming->model, (pop3_span){name.data, parsed.unique_size});
	at = maildir_model_add(naming->model, (pop3_span){0}, name, parsed.unique_size);
	if (at == MODEL_NONE || maildir_model_link(naming->model, at, hash) < 0)
		return -1;
	naming->model->messages[at].inode = inode;
	naming->model->messages[at].flags = naming->directory == INDEX_NEW ? INDEX_IN_NEW : 0;
	return 0;
}

static int load_names(struct maildir_names *names, struct maildir_place *place)
{
	maildir_names_finish(names);
	if (maildir_model_init(&names->model) < 0)
		return -1;
	names->loaded = true;
	for (int d = 0; d < INDEX_DIRECTORIES; d++) {
		struct naming naming = {&names->model, d};

		if (maildir_stamp(place, d, &names->stamps[d]) < 0 ||
		    maildir_scan(place, maildir_directory_names[d], take_name, &naming) < 0)
			return -1;
	}
	return 0;
}

static bool names_current(const struct maildir_names *names, const struct maildir_place *place)
{
	for (int d = 0; d < INDEX_DIRECTORIES; d++) {
		struct index_stamp now;

		if (maildir_stamp(place, d, &now) < 0 ||
		    !maildir_stamp_equal(&now, &names->stamps[d]))
			return false;
	}
	return names->loaded;
}

int maildir_names_find(struct maildir_names *names, struct maildir_place *place, pop3_span unique,
		       uint64_t inode, enum index_directory *ret_directory,
		       char ret_name[INDEX_NAME_MAX + 1])
{
	uint32_t at = MODEL_NONE, hash;

	if (!names_current(names, place) && load_names(names, place) < 0)
		return -1;
	hash = maildir_model_hash(&names->model, unique);
	while ((at = maildir_model_find(&names->model, unique, hash, at)) != MODEL_NONE) {
		pop3_span name = maildir_model_name(&names->model, at);

		if (inode && names->model.messages[at].inode != inode)
			continue;
		memcpy(ret_name, name.data, name.size);
		ret_name[name.size] = '\0';
		*ret_directory =
			names->model.messages[at].flags & INDEX_IN_NEW ? INDEX_NEW : INDEX_CUR;
		return 0;
	}
	errno = ENOENT;
	return -1;
}

void maildir_names_finish(struct maildir_names *names)
{
	if (names->loaded)
		maildir_model_finish(&names->model);
	names->loaded = false;
}

/* The message's file under the name the index has, or the one it has now. */
static int open_file(struct maildir *m, struct index_message *message, struct stat *st)
{
	enum index_directory directory = message->flags & INDEX_IN_NEW ? INDEX_NEW : INDEX_CUR;
	struct maildir_name parsed;
	pop3_span unique;
	int fd = maildir_open_message(&m->place, directory, message->name, st);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	maildir_name_parse((pop3_span){message->name, message->name_size}, &parsed);
	unique = (pop3_span){message->name, parsed.unique_size};
	if (maildir_names_find(&m->names, &m->place, unique, message->inode, &directory,
			       message->name) < 0)
		return -1;
	return maildir_open_message(&m->place, directory, message->name, st);
}

static enum maildrop_status gone(struct err *err)
{
	err_set(err, EX_TEMPFAIL, "the message is not there any more");
	return MAILDROP_GONE;
}

/* Octets that only a name claims, or that were counted in another file of that name, are counted
 * before the first of them goes out. */
static bool verified(struct maildir *m, uint32_t ordinal, int fd, const struct stat *st,
		     struct index_message *message)
{
	struct maildir_measured measured;

	if ((uint64_t)st->st_size != message->stored)
		return false;
	if (st->st_ino == message->inode && !index_unverified(&m->index.index, ordinal, message))
		return true;
	if (maildir_measure_fd(&m->place, fd, &measured) < 0 ||
	    measured.octets != message->octets || measured.stored != message->stored)
		return false;
	message->flags &= (uint16_t)~INDEX_WIRE_FORM;
	message->flags |= measured.wire_form ? INDEX_WIRE_FORM : 0;
	return true;
}

static void lend(int fd, const struct index_message *message, struct maildrop_body *ret)
{
	*ret = (struct maildrop_body){
		.fd = fd,
		.stored = message->stored,
		.octets = message->octets,
		.wire_form = message->flags & INDEX_WIRE_FORM,
	};
}

enum maildrop_status maildir_body(struct maildrop *maildrop, uint32_t number,
				  struct maildrop_body *ret, struct err *err)
{
	struct maildir *m = (struct maildir *)maildrop;
	uint32_t ordinal = index_delta_ordinal(&m->index.index.delta, number);
	struct index_message message;
	struct stat st;
	int fd;

	if (index_read(&m->index.index, ordinal, &message, err) < 0) {
		m->damaged = true;
		return MAILDROP_TEMP;
	}
	fd = open_file(m, &message, &st);
	if (fd < 0 && (errno == ENOENT || errno == ENOTSUP || errno == EMLINK))
		return gone(err);
	if (fd < 0)
		return maildir_failed(&m->place, errno, NULL, "a message cannot be read", err);
	if (!verified(m, ordinal, fd, &st, &message)) {
		close(fd);
		maildir_body_wrong(maildrop, number);
		return gone(err);
	}
	lend(fd, &message, ret);
	return MAILDROP_OK;
}

/* Anything out of the ordinary, too, is left to maildir_body. */
static int open_now(struct maildir *m, uint32_t number, struct index_message *message)
{
	uint32_t ordinal = index_delta_ordinal(&m->index.index.delta, number);
	struct stat st;
	int fd;

	if (index_read(&m->index.index, ordinal, message, NULL) < 0 ||
	    index_unverified(&m->index.index, ordinal, message))
		return -1;
	fd = maildir_open_message(&m->place, message->flags & INDEX_IN_NEW ? INDEX_NEW : INDEX_CUR,
				  message->name, &st);
	if (fd >= 0 && ((uint64_t)st.st_size != message->stored || st.st_ino != message->inode)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

enum maildrop_status maildir_body_now(struct maildrop *maildrop, uint32_t number,
				      struct maildrop_body *ret)
{
	struct maildir *m = (struct maildir *)maildrop;
	const struct maildrop_syscalls *sys = m->place.sys;
	struct index_message message;
	int fd;

	if (sys != &maildrop_kernel)
		return MAILDROP_WAIT;
	m->place.sys = m->index.index.sys = &maildrop_cached;
	fd = open_now(m, number, &message);
	m->place.sys = m->index.index.sys = sys;
	if (fd < 0)
		return MAILDROP_WAIT;
	lend(fd, &message, ret);
	return MAILDROP_OK;
}

static void mend(struct maildir *m, struct maildir_log *log, uint32_t ordinal)
{
	struct index_message message;
	struct maildir_measured measured;
	struct index_batch batch = {0};
	struct stat st;
	int fd;

	if (index_delta_removed(&log->index.index.delta, ordinal) ||
	    index_read(&log->index.index, ordinal, &message, NULL) < 0)
		return;
	fd = open_file(m, &message, &st);
	if (fd < 0)
		return; /* vanished: the next look at the directories says so */
	if (maildir_measure_fd(&m->place, fd, &measured) == 0) {
		index_batch_add(&batch, &(struct index_change){
						.kind = CHANGE_SIZE,
						.ordinal = ordinal,
						.flags = measured.wire_form ? INDEX_WIRE_FORM : 0,
						.octets = measured.octets,
						.stored = measured.stored,
						.inode = st.st_ino,
						.old_octets = message.octets,
						.old_stored = message.stored,
					});
		(void)maildir_log_append(log, &batch);
		index_batch_finish(&batch);
	}
	close(fd);
}

void maildir_body_wrong(struct maildrop *maildrop, uint32_t number)
{
	struct maildir *m = (struct maildir *)maildrop;
	struct maildir_log log;

	if (maildir_log_begin(&m->place, true, &log) < 0)
		return;
	/* ordinals hold as long as the base is the session's */
	if (log.index.open && log.index.index.header.id == m->index.index.header.id)
		mend(m, &log, index_delta_ordinal(&m->index.index.delta, number));
	maildir_log_end(&log);
}
