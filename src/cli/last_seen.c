/* See last_seen.h. */
#include "cli/last_seen.h"

#include "base/table.h"
#include "base/text.h"
#include "maildrop/mail_root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { LABELS_MAX = 4096 }; /* of one user */

/* The mail folder is not looked at: it may hang. */
int last_seen_folder(const struct config *config, int *ret, struct err *err)
{
	const struct mail_root_facts unknown = {.inode = 0};
	char path[MAIL_ROOT_MEMORY_MAX];
	struct mail_root root;

	*ret = -1;
	mail_root_judge(&unknown, config->roots[0].path, &root);
	if (mail_root_last_logins(&root, false, path) < 0)
		return 0;
	*ret = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret < 0 && errno != ENOENT)
		return err_sys(err, EX_NOINPUT, errno, "%s", path);
	return 0;
}

static int visit_all(const struct config *config, last_logins_visit *visit, void *context,
		     bool *ret_kept, struct err *err)
{
	int fd, rc;

	*ret_kept = false;
	if (last_seen_folder(config, &fd, err) < 0)
		return -1;
	if (fd < 0)
		return 0;
	*ret_kept = true;
	rc = last_logins_each(fd, visit, context, err);
	close(fd);
	return rc;
}

static void later(uint32_t *day, uint32_t other)
{
	if (*day < other)
		*day = other;
}

/* ---- one user ---- */

struct looking {
	char name[USER_NAME_MAX + 1];
	struct last_seen seen;
};

static int begin(struct looking *looking, const char *name, struct err *err)
{
	struct last_login login;

	memset(looking, 0, sizeof(*looking));
	if (last_login_set(&login, LAST_LOGIN_POP3, 0, span_of(name), SPAN_LITERAL("")) < 0)
		return err_set(err, EX_DATAERR, "not a user name");
	memcpy(looking->name, login.name, sizeof(looking->name));
	return 0;
}

static void look(void *context, const struct last_login *login)
{
	struct looking *looking = context;

	if (strcmp(login->name, looking->name) != 0)
		return;
	switch (login->kind) {
	case LAST_LOGIN_POP3:
		later(&looking->seen.pop3, login->day + 1);
		break;
	case LAST_LOGIN_SASL:
		later(&looking->seen.mta, login->day + 1);
		break;
	case LAST_LOGIN_REMOVED:
		looking->seen = (struct last_seen){.any = 0};
		return;
	case LAST_LOGIN_REVOKED:
	case LAST_LOGIN_SINCE:
	case LAST_LOGIN_KINDS:
		return;
	}
	later(&looking->seen.any, login->day + 1);
}

int last_seen_user(const struct config *config, const char *name, struct last_seen *ret,
		   struct err *err)
{
	struct looking looking;
	bool kept;

	if (begin(&looking, name, err) < 0 || visit_all(config, look, &looking, &kept, err) < 0)
		return -1;
	*ret = looking.seen;
	return 0;
}

/* ---- labels of one user ---- */

struct labels {
	char name[USER_NAME_MAX + 1];
	unsigned count;
	struct label {
		char label[LAST_LOGINS_LABEL_MAX + 1];
		uint32_t day; /* plus 1; 0: revoked since */
	} labels[LABELS_MAX];
};

static struct label *find_label(struct labels *labels, const char *label)
{
	for (unsigned i = 0; i < labels->count; i++)
		if (strcmp(labels->labels[i].label, label) == 0)
			return &labels->labels[i];
	return NULL;
}

static void note_use(struct labels *labels, const struct last_login *login)
{
	struct label *label = find_label(labels, login->label);

	if (!label && labels->count < LABELS_MAX) {
		label = &labels->labels[labels->count++];
		memcpy(label->label, login->label, sizeof(label->label));
		label->day = 0;
	}
	if (label)
		later(&label->day, login->day + 1);
}

static void look_at_label(void *context, const struct last_login *login)
{
	struct labels *labels = context;
	struct label *label;

	if (strcmp(login->name, labels->name) != 0)
		return;
	if (login->kind < LAST_LOGIN_REMOVED && login->label[0])
		note_use(labels, login);
	label = login->label[0] ? find_label(labels, login->label) : NULL;
	if (login->kind == LAST_LOGIN_REVOKED && label)
		label->day = 0;
	if (login->kind == LAST_LOGIN_REMOVED ||
	    (login->kind == LAST_LOGIN_REVOKED && !login->label[0]))
		labels->count = 0;
}

int last_seen_labels(const struct config *config, const char *name, last_seen_label *each,
		     void *context, struct err *err)
{
	struct labels *labels = calloc(1, sizeof(*labels));
	struct looking looking;
	bool kept;
	int rc = -1;

	if (!labels)
		return err_set(err, EX_OSERR, "out of memory");
	if (begin(&looking, name, err) == 0) {
		memcpy(labels->name, looking.name, sizeof(labels->name));
		rc = visit_all(config, look_at_label, labels, &kept, err);
	}
	for (unsigned i = 0; rc == 0 && i < labels->count; i++)
		if (labels->labels[i].day)
			each(context, labels->labels[i].label, labels->labels[i].day - 1);
	free(labels);
	return rc;
}

/* ---- all users ---- */

static uint64_t hash_of(pop3_span name)
{
	char key[USER_NAME_MAX];
	pop3_span canonical = user_name_key(name, key);

	return hash_octets(canonical.data, canonical.size);
}

static void note(void *context, const struct last_login *login)
{
	struct last_seen_all *all = context;
	uint64_t *day;

	if (login->kind == LAST_LOGIN_SINCE && !all->since)
		all->since = login->day;
	if (login->kind > LAST_LOGIN_REMOVED)
		return;
	day = hash_map_put(&all->days, hash_of(span_of(login->name)));
	if (!day)
		return; /* more names than there are users */
	if (login->kind == LAST_LOGIN_REMOVED)
		*day = 0;
	else if (*day < login->day + 1)
		*day = login->day + 1;
}

int last_seen_load(const struct config *config, struct last_seen_all *ret, struct err *err)
{
	*ret = (struct last_seen_all){.since = 0};
	hash_map_init(&ret->days, LAST_LOGINS_ENTRIES_MAX);
	return visit_all(config, note, ret, &ret->kept, err);
}

void last_seen_finish(struct last_seen_all *all)
{
	hash_map_finish(&all->days);
}

uint32_t last_seen_day(const struct last_seen_all *all, pop3_span name)
{
	const uint64_t *day =
		name.size > USER_NAME_MAX ? NULL : hash_map_find(&all->days, hash_of(name));

	return day ? (uint32_t)*day : 0;
}

/* ---- what is nobody's any more ---- */

static size_t print(char *buf, enum last_login_kind kind, uint32_t day, const char *name,
		    const char *label)
{
	struct last_login login;

	if (last_login_set(&login, kind, day, span_of(name), span_of(label ? label : "")) < 0)
		return 0;
	return last_login_print(&login, buf);
}

static int append(const struct config *config, pop3_span lines, struct err *err)
{
	struct last_logins_append what = {.lines = lines, .sync = true};
	int fd, rc;

	if (last_seen_folder(config, &fd, err) < 0)
		return -1;
	if (fd < 0)
		return 0;
	rc = last_logins_append(fd, &what, NULL, err);
	close(fd);
	return rc;
}

int last_seen_remove(const struct config *config, const char *name, struct err *err)
{
	char line[LAST_LOGINS_LINE_MAX];
	struct last_seen seen;

	if (last_seen_user(config, name, &seen, err) < 0)
		return -1;
	if (!seen.any)
		return 0;
	return append(
		config,
		(pop3_span){line, print(line, LAST_LOGIN_REMOVED, last_login_today(), name, NULL)},
		err);
}

int last_seen_revoke(const struct config *config, const char *name, const char *label,
		     struct err *err)
{
	char lines[3 * LAST_LOGINS_LINE_MAX];
	struct last_seen seen;
	size_t size = 0;

	if (last_seen_user(config, name, &seen, err) < 0)
		return -1;
	if (!seen.any)
		return 0;
	/* in front of it, since it may be the label alone that the days come from */
	if (seen.pop3)
		size += print(lines, LAST_LOGIN_POP3, seen.pop3 - 1, name, NULL);
	if (seen.mta)
		size += print(lines + size, LAST_LOGIN_SASL, seen.mta - 1, name, NULL);
	size += print(lines + size, LAST_LOGIN_REVOKED, last_login_today(), name, label);
	return append(config, (pop3_span){lines, size}, err);
}
