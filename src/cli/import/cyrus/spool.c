/* See spool.h. What is in the spool is opened by the lender. */
#include "cli/import/cyrus/spool.h"

#include "base/array.h"
#include "base/table.h"
#include "base/text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define PARTITION "partition-"
#define FILE_MAX ((off_t)4 << 30)
#define NAMED_MAX (1u << 24)
#define USER_MAX 490 /* octets of a mailbox's name in Cyrus */

/* ---- partitions ---- */

static const char *of_partition(const struct cyrus_conf *conf, const char *kind, const char *name)
{
	char key[256];

	snprintf(key, sizeof(key), "%s" PARTITION "%s", kind, name);
	return cyrus_conf_get(conf, key);
}

/* Is that file in the partition for such files? */
static bool is_meta(const struct cyrus_conf *conf, const char *file)
{
	const char *files = cyrus_conf_get(conf, "metapartition_files");
	pop3_span list = span_of(files ? files : "");

	while (list.size)
		if (span_equal(span_take_until(&list, ' '), span_of(file)))
			return true;
	return false;
}

static int add_partition(struct cyrus_spool *spool, const struct cyrus_option *option,
			 struct err *err)
{
	struct cyrus_partition *grown = array_grow(spool->partitions, spool->partition_count,
						   &spool->partition_room, sizeof(*grown)),
			       *partition;
	const char *name = option->key + strlen(PARTITION), *meta, *archive;

	if (!grown)
		return err_set(err, EX_OSERR, "out of memory");
	spool->partitions = grown;
	partition = &grown[spool->partition_count++];
	meta = of_partition(spool->conf, "meta", name);
	archive = of_partition(spool->conf, "archive", name);
	*partition = (struct cyrus_partition){
		.name = name,
		.data = option->value,
		.header = meta && is_meta(spool->conf, "header") ? meta : option->value,
		.index = meta && is_meta(spool->conf, "index") ? meta : option->value,
		.archive = archive ? archive : option->value,
	};
	return 0;
}

/* Options may name partitions that were never made, as Debian's "news". */
static int find_partitions(struct cyrus_spool *spool, struct err *err)
{
	for (size_t i = 0; i < spool->conf->count; i++) {
		const struct cyrus_option *option = &spool->conf->options[i];
		struct stat st;

		if (strncmp(option->key, PARTITION, strlen(PARTITION)) == 0 &&
		    stat(option->value, &st) == 0 && S_ISDIR(st.st_mode) &&
		    add_partition(spool, option, err) < 0)
			return -1;
	}
	if (spool->partition_count)
		return 0;
	return err_set(err, EX_CONFIG,
		       "Cyrus's settings name no spool that is there (partition-NAME: FOLDER)");
}

/* ---- folders with numbers as names ---- */

static int read_all(int fd, char **ret, size_t *ret_size, struct err *err)
{
	struct stat st;
	size_t size = 0;
	ssize_t n = 1;

	if (fstat(fd, &st) < 0)
		return err_sys(err, EX_NOINPUT, errno, "it cannot be read");
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		return err_set(err, EX_DATAERR, "it is no regular file, or larger than 4 GiB");
	*ret = malloc((size_t)st.st_size + 1);
	if (!*ret)
		return err_set(err, EX_OSERR, "out of memory");
	while (n > 0 && size < (size_t)st.st_size) {
		n = read(fd, *ret + size, (size_t)st.st_size - size);
		size += n > 0 ? (size_t)n : 0;
	}
	*ret_size = size;
	return n < 0 ? err_sys(err, EX_NOINPUT, errno, "it cannot be read") : 0;
}

static int read_file(const struct cyrus_spool *spool, const char *path, char **ret,
		     size_t *ret_size, struct err *err)
{
	int fd = lender_open(&spool->lender, path, err), rc;

	*ret = NULL;
	if (fd < 0)
		return -1;
	rc = read_all(fd, ret, ret_size, err);
	close(fd);
	return rc < 0 ? err_prefix(err, "%s", path) : 0;
}

/* Of "user.anna", "example.org!user.anna"; not of "user.anna.Sent", "DELETED.user.anna.6B0C8D5A".
 */
static bool is_inbox(pop3_span name)
{
	const char *domain = memchr(name.data, '!', name.size);
	pop3_span rest = name;

	if (domain)
		rest = (pop3_span){domain + 1, name.size - (size_t)(domain + 1 - name.data)};
	return span_take_prefix(&rest, SPAN_LITERAL("user.")) && rest.size &&
	       !memchr(rest.data, '.', rest.size);
}

static int add_named(struct cyrus_spool *spool, pop3_span name, unsigned partition,
		     const char *path, struct err *err)
{
	struct cyrus_named *grown =
		array_grow(spool->named, spool->named_count, &spool->named_room, sizeof(*grown));
	uint64_t *at = hash_map_put(&spool->names, hash_octets(name.data, name.size));
	struct cyrus_named *named;

	if (grown)
		spool->named = grown;
	if (!grown || !at)
		return err_set(err, EX_OSERR, "out of memory");
	if (*at)
		return err_set(err, EX_DATAERR,
			       "%s/%s and %s/%s are both the mailbox %s: move the one away that "
			       "ctl_mboxlist does not list",
			       spool->partitions[partition].data, path,
			       spool->partitions[grown[*at - 1].partition].data,
			       grown[*at - 1].path, grown[*at - 1].name);
	named = &grown[spool->named_count++];
	*at = spool->named_count;
	*named = (struct cyrus_named){strndup(name.data, name.size), strdup(path), partition};
	return named->name && named->path ? 0 : err_set(err, EX_OSERR, "out of memory");
}

static int take_mailbox(struct cyrus_spool *spool, unsigned partition, const char *path,
			struct err *err)
{
	char file[LENDER_PATH_MAX], *text = NULL;
	struct err local = {0};
	size_t size = 0;
	pop3_span name;
	int rc = 0;

	snprintf(file, sizeof(file), "%s/%s/cyrus.header", spool->partitions[partition].header,
		 path);
	if (read_file(spool, file, &text, &size, &local) == 0) {
		name = cyrus_header_name((pop3_span){text, size});
		if (is_inbox(name))
			rc = add_named(spool, name, partition, path, err);
	} else if (local.errnum != ENOENT && local.errnum != ENOTDIR) {
		*err = local;
		rc = -1;
	}
	free(text);
	return rc;
}

static int look_below(struct cyrus_spool *spool, unsigned partition, const char *path, int levels,
		      struct err *err);

static int look_at(struct cyrus_spool *spool, unsigned partition, DIR *folder, const char *path,
		   int levels, struct err *err)
{
	const struct dirent *entry;
	int rc = 0;

	while (rc == 0 && (entry = readdir(folder)) != NULL) {
		char below[CYRUS_PATH_MAX];
		int n;

		if (entry->d_name[0] == '.')
			continue;
		n = snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		if (n < 0 || (size_t)n >= sizeof(below))
			continue;
		rc = levels ? look_below(spool, partition, below, levels, err)
			    : take_mailbox(spool, partition, below, err);
	}
	return rc;
}

/* "uuid/1/n/1nc79u5sp2aoaiy65mjdjbcf" */
static int look_below(struct cyrus_spool *spool, unsigned partition, const char *path, int levels,
		      struct err *err)
{
	char whole[LENDER_PATH_MAX];
	struct err local = {0};
	DIR *folder;
	int fd, rc;

	snprintf(whole, sizeof(whole), "%s/%s", spool->partitions[partition].data, path);
	fd = lender_open(&spool->lender, whole, &local);
	if (fd < 0 && (local.errnum == ENOENT || local.errnum == ENOTDIR))
		return 0;
	folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder) {
		if (fd < 0) {
			*err = local;
			return -1;
		}
		close(fd);
		return errno == ENOTDIR ? 0 : err_sys(err, EX_NOINPUT, errno, "%s", whole);
	}
	rc = look_at(spool, partition, folder, path, levels - 1, err);
	closedir(folder);
	return rc;
}

/* The name of such a folder is in a database, and in its header. */
static int find_named(struct cyrus_spool *spool, struct err *err)
{
	hash_map_init(&spool->names, NAMED_MAX);
	for (unsigned i = 0; i < spool->partition_count; i++)
		if (look_below(spool, i, "uuid", 3, err) < 0)
			return -1;
	return 0;
}

int cyrus_spool_open(struct cyrus_spool *spool, const struct cyrus_conf *conf, struct err *err)
{
	*spool = (struct cyrus_spool){.conf = conf, .lender = {.channel = -1}};
	if (find_partitions(spool, err) < 0 ||
	    lender_start(&spool->lender, spool->partitions[0].data, err) < 0)
		return -1;
	return find_named(spool, err);
}

void cyrus_spool_close(struct cyrus_spool *spool)
{
	lender_stop(&spool->lender);
	for (size_t i = 0; i < spool->named_count; i++) {
		free(spool->named[i].name);
		free(spool->named[i].path);
	}
	free(spool->named);
	free(spool->partitions);
	hash_map_finish(&spool->names);
}

/* ---- users ---- */

/* The letter of the folder that a name is in, by the first letter of the name, or (fulldirhash) by
 * all of it up to its first dot. */
static char letter_of(const struct cyrus_conf *conf, const char *name)
{
	char c = (char)tolower((unsigned char)*name);
	uint32_t n = 0;

	if (!cyrus_conf_is(conf, "fulldirhash", false))
		return (char)(c >= 'a' && c <= 'z' ? c : 'q');
	for (const char *p = name; *p && *p != '.'; p++)
		n = ((n << 3) ^ (n >> 5)) ^ (unsigned char)*p;
	return (char)('A' + n % 23);
}

/* A user's name, as Cyrus has it. */
struct cyrus_user {
	char local[USER_MAX + 1];  /* "anna.b" */
	char inside[USER_MAX + 1]; /* "anna^b" */
	char domain[USER_MAX + 1]; /* "": none */
};

/* "/domain/e/example.org/a/user/anna^b", the form of servers before 3.6, and of what they made. */
static void print_path(const struct cyrus_conf *conf, const struct cyrus_user *user,
		       struct cyrus_mailbox *ret)
{
	bool hashed = cyrus_conf_is(conf, "hashimapspool", false);
	char domain[USER_MAX + 32] = "", letter[3] = "";

	if (user->domain[0] && hashed)
		snprintf(domain, sizeof(domain), "domain/%c/%s/", letter_of(conf, user->domain),
			 user->domain);
	else if (user->domain[0])
		snprintf(domain, sizeof(domain), "domain/%s/", user->domain);
	if (hashed)
		snprintf(letter, sizeof(letter), "%c/", letter_of(conf, user->local));
	snprintf(ret->path, sizeof(ret->path), "%.*s%suser/%.*s", USER_MAX + 31, domain, letter,
		 USER_MAX, user->inside);
}

/* 1: there is an index; 0: there is not; -1 with err. */
static int has_index(const struct cyrus_spool *spool, const struct cyrus_mailbox *mailbox,
		     struct err *err)
{
	struct err local = {0};
	char path[LENDER_PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/cyrus.index",
		 spool->partitions[mailbox->partition].index, mailbox->path);
	fd = lender_open(&spool->lender, path, &local);
	if (fd >= 0) {
		close(fd);
		return 1;
	}
	if (local.errnum == ENOENT || local.errnum == ENOTDIR)
		return 0;
	*err = local;
	return -1;
}

static int find_by_path(const struct cyrus_spool *spool, const struct cyrus_user *user,
			struct cyrus_mailbox *ret, struct err *err)
{
	struct cyrus_mailbox mailbox;
	int found = 0;

	for (unsigned i = 0; i < spool->partition_count; i++) {
		int there;

		mailbox.partition = i;
		print_path(spool->conf, user, &mailbox);
		there = has_index(spool, &mailbox, err);
		if (there < 0)
			return -1;
		if (there && found)
			return err_set(err, EX_DATAERR,
				       "%s is in the partitions %s and %s: move the one away that "
				       "ctl_mboxlist does not list",
				       mailbox.path, spool->partitions[ret->partition].name,
				       spool->partitions[i].name);
		if (there)
			*ret = mailbox;
		found |= there;
	}
	return found;
}

static int find_mailbox(const struct cyrus_spool *spool, const struct cyrus_user *user,
			struct cyrus_mailbox *ret, struct err *err)
{
	char name[2 * USER_MAX + 16];
	const uint64_t *at;
	int n = snprintf(name, sizeof(name), "%s%suser.%s", user->domain,
			 user->domain[0] ? "!" : "", user->inside);

	at = hash_map_find(&spool->names, hash_octets(name, (size_t)n));
	if (!at || strcmp(spool->named[*at - 1].name, name) != 0)
		return find_by_path(spool, user, ret, err);
	ret->partition = spool->named[*at - 1].partition;
	snprintf(ret->path, sizeof(ret->path), "%s", spool->named[*at - 1].path);
	return 1;
}

/* The name as Cyrus has it, in small letters unless its settings say otherwise. -1: it cannot have
 * a mailbox. */
static int take_user(const struct cyrus_conf *conf, const char *name, struct cyrus_user *ret)
{
	const char *defaultdomain = cyrus_conf_get(conf, "defaultdomain");
	pop3_span text = span_of(name), domain = {0};
	const char *at = strrchr(name, '@');
	size_t i;

	if (at) {
		domain = span_of(at + 1);
		text.size = (size_t)(at - name);
	}
	if (text.size == 0 || memchr(text.data, '/', text.size) || text.data[0] == '.' ||
	    (domain.size && (memchr(domain.data, '/', domain.size) || domain.data[0] == '.')) ||
	    span_copy(text, ret->local, sizeof(ret->local)) < 0 ||
	    span_copy(domain, ret->domain, sizeof(ret->domain)) < 0)
		return -1;
	for (char *p = ret->local; *p && cyrus_conf_is(conf, "username_tolower", true); p++)
		*p = (char)tolower((unsigned char)*p);
	for (char *p = ret->domain; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	for (i = 0; ret->local[i]; i++)
		ret->inside[i] = ret->local[i] == '.' ? '^' : ret->local[i];
	ret->inside[i] = '\0';
	if (strcmp(ret->domain, defaultdomain ? defaultdomain : "internal") == 0)
		ret->domain[0] = '\0';
	return 0;
}

/* Does Cyrus know no domains? Then names here may have one, and its mailboxes have none. */
static bool has_no_domains(const struct cyrus_conf *conf)
{
	const char *is = cyrus_conf_get(conf, "virtdomains");

	return !is || (strcmp(is, "userid") != 0 && !cyrus_conf_is(conf, "virtdomains", false));
}

int cyrus_spool_find(const struct cyrus_spool *spool, const char *user, struct cyrus_mailbox *ret,
		     struct err *err)
{
	struct cyrus_user name;
	int found;

	if (take_user(spool->conf, user, &name) < 0)
		return 0;
	found = find_mailbox(spool, &name, ret, err);
	if (found != 0 || !name.domain[0] || !has_no_domains(spool->conf))
		return found;
	name.domain[0] = '\0';
	return find_mailbox(spool, &name, ret, err);
}

/* ---- messages ---- */

int cyrus_spool_index(const struct cyrus_spool *spool, const struct cyrus_mailbox *mailbox,
		      struct cyrus_index *ret, struct err *err)
{
	char path[LENDER_PATH_MAX], *text = NULL;
	size_t size = 0;
	int rc;

	*ret = (struct cyrus_index){0};
	snprintf(path, sizeof(path), "%s/%s/cyrus.index",
		 spool->partitions[mailbox->partition].index, mailbox->path);
	rc = read_file(spool, path, &text, &size, err);
	if (rc == 0 &&
	    cyrus_index_parse((pop3_span){text, size},
			      cyrus_conf_is(spool->conf, "popuseimapflags", false), ret, err) < 0)
		rc = err_prefix(err, "%s", path);
	free(text);
	return rc;
}

int cyrus_spool_message(const struct cyrus_spool *spool, const struct cyrus_mailbox *mailbox,
			const struct cyrus_message *message, struct err *err)
{
	const struct cyrus_partition *partition = &spool->partitions[mailbox->partition];
	bool archived = message->flags & CYRUS_ARCHIVED;
	const char *folders[] = {archived ? partition->archive : partition->data,
				 archived ? partition->data : partition->archive};
	char path[LENDER_PATH_MAX];
	struct err local = {0};
	int fd = -1;

	for (unsigned i = 0; fd < 0 && i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s/%" PRIu32 ".", folders[i], mailbox->path,
			 message->uid);
		fd = lender_open(&spool->lender, path, &local);
		if (fd < 0 && local.errnum != ENOENT)
			break;
	}
	if (fd < 0)
		*err = local;
	return fd;
}
