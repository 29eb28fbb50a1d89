/* See passwords.h. The file of learned passwords is hostile: it is that of a process of the server,
 * which needs no right to a password. */
#include "cli/migrate/passwords.h"

#include "base/array.h"
#include "base/descriptor.h"
#include "base/hash_map.h"
#include "base/table.h"
#include "base/text.h"
#include "cli/last_seen.h"
#include "users/learned.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

struct passwords {
	struct stat seen; /* the file when it was read; st_ino 0: it was not */
	struct hash_map places;
	char **sealed; /* the latest of each section and name */
	size_t count, room;
	bool short_of_memory;
};

/* ---- the file ---- */

static uint64_t hash_of(const char *section, const char *name)
{
	char buf[LEARNED_LABEL_MAX];
	pop3_span label = learned_label(span_of(section), span_of(name), buf);

	return hash_octets(label.data, label.size);
}

static int put(struct passwords *p, const struct learned *learned)
{
	uint64_t *place = hash_map_put(&p->places, hash_of(learned->section, learned->name));
	char *sealed = place ? strdup(learned->sealed) : NULL, **grown;

	if (!sealed)
		return -1;
	if (*place) {
		free(p->sealed[*place - 1]);
		p->sealed[*place - 1] = sealed;
		return 0;
	}
	grown = array_grow(p->sealed, p->count, &p->room, sizeof(*grown));
	if (!grown) {
		free(sealed);
		return -1;
	}
	p->sealed = grown;
	p->sealed[p->count++] = sealed;
	*place = p->count;
	return 0;
}

static void take(void *context, const struct learned *learned)
{
	struct passwords *p = context;

	if (!p->short_of_memory)
		p->short_of_memory = put(p, learned) < 0;
}

static void forget(struct passwords *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->sealed[i]);
	p->count = 0;
	p->short_of_memory = false;
	hash_map_clear(&p->places);
}

static bool is_the_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int read_file(struct passwords *p, int folder_fd, struct err *err)
{
	struct stat now = {.st_ino = 0};

	if (fstatat(folder_fd, LEARNED_FILE, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
	    is_the_same(&now, &p->seen))
		return 0;
	forget(p);
	p->seen = (struct stat){.st_ino = 0};
	if (learned_each(folder_fd, take, p, err) < 0)
		return -1;
	if (p->short_of_memory)
		return err_set(err, EX_OSERR, "out of memory for learned passwords");
	p->seen = now; /* of before: what came since is read with the next look */
	return 0;
}

static int look(struct passwords **passwords, const struct config *config, struct err *err)
{
	int fd, rc;

	if (!*passwords) {
		*passwords = calloc(1, sizeof(**passwords));
		if (!*passwords)
			return err_set(err, EX_OSERR, "out of memory");
		hash_map_init(&(*passwords)->places, LEARNED_ENTRIES_MAX);
	}
	if (last_seen_folder(config, &fd, err) < 0)
		return -1;
	if (fd < 0) {
		forget(*passwords);
		return 0;
	}
	rc = read_file(*passwords, fd, err);
	close(fd);
	return rc;
}

/* ---- the private key ---- */

static int check_mode(int fd, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, EX_NOINPUT, "%s: not a regular file", path);
	if (st.st_mode & 077)
		return err_set(err, EX_NOPERM, "%s is not for its owner alone: chmod 600 %s", path,
			       path);
	return 0;
}

static int read_key(const char *path, struct seal_key **ret, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc;
	char text[SEAL_FILE_MAX];
	ssize_t n = -1;

	if (fd < 0)
		return err_sys(err, EX_NOINPUT, errno,
			       "%s, the key that opens learned passwords (it lies beside that of "
			       "learn)",
			       path);
	rc = check_mode(fd, path, err);
	if (rc == 0 && (n = read_all(fd, text, sizeof(text))) < 0)
		rc = err_sys(err, EX_IOERR, errno, "%s", path);
	if (rc == 0 && seal_key_read((pop3_span){text, (size_t)n}, true, ret, err) < 0)
		rc = err_prefix(err, "%s", path);
	close(fd);
	if (n > 0)
		wipe(text, (size_t)n);
	return rc;
}

/* learn = "PATH.learn": the parser has seen to the suffix. */
static int open_with_key(const struct config_remote *section, pop3_span label, const char *sealed,
			 struct secret *ret, struct err *err)
{
	char path[CONFIG_PATH_MAX];
	struct seal_key *key;
	int rc;

	snprintf(path, sizeof(path), "%.*s",
		 (int)(strlen(section->learn) - strlen(CONFIG_LEARN_SUFFIX)), section->learn);
	if (read_key(path, &key, err) < 0)
		return -1;
	rc = seal_open(key, label, span_of(sealed), ret);
	seal_key_free(key);
	return rc == 0 ? 0
		       : err_set(err, EX_DATAERR,
				 "the learned password cannot be opened with %s: it was sealed "
				 "with "
				 "another key, or by somebody else; the next login brings it anew "
				 "if "
				 "%s is the key of a running valijad",
				 path, section->learn);
}

/* ---- */

int passwords_have(struct passwords **passwords, const struct config *config,
		   const struct config_remote *section, const char *name, struct err *err)
{
	if (look(passwords, config, err) < 0)
		return -1;
	return hash_map_find(&(*passwords)->places, hash_of(section->name, name)) != NULL;
}

int passwords_find(struct passwords **passwords, const struct config *config,
		   const struct config_remote *section, const char *name, struct secret *ret,
		   struct err *err)
{
	char buf[LEARNED_LABEL_MAX];
	const uint64_t *place;

	if (look(passwords, config, err) < 0)
		return -1;
	place = hash_map_find(&(*passwords)->places, hash_of(section->name, name));
	if (!place)
		return err_set(err, EX_TEMPFAIL, "its password is not known yet");
	return open_with_key(section, learned_label(span_of(section->name), span_of(name), buf),
			     (*passwords)->sealed[*place - 1], ret, err);
}

void passwords_free(struct passwords *passwords)
{
	if (!passwords)
		return;
	forget(passwords);
	hash_map_finish(&passwords->places);
	free(passwords->sealed);
	free(passwords);
}
