/* See by_name.h. In a keeper's worker, `valija deliver` or `valija import`, with the rights of the
 * mail's owner. */
#include "maildrop/maildir/adopt/by_name.h"

#include "base/array.h"
#include "base/hash_map.h"
#include "base/table.h"
#include "base/text.h"
#include "maildrop/maildir/adopt/ids_file.h"
#include "maildrop/maildir/files/name.h"
#include "maildrop/maildir/files/scan.h"
#include "maildrop/maildir/update/uidl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct named {
	char *name;
	int64_t seconds; /* of the last change of its content: qmail-pop3d's order */
	bool lost;       /* its id cannot be brought */
};

struct naming {
	struct maildir_place *place;
	struct adopt_report *report;
	enum index_directory directory; /* that is read */
	struct named *messages;
	size_t count, room;
};

static int take_file(void *context, pop3_span name, uint64_t inode)
{
	struct naming *n = context;
	struct named *grown = array_grow(n->messages, n->count, &n->room, sizeof(*grown));
	int folder = maildir_directory(n->place, n->directory);
	struct stat st;

	(void)inode;
	if (grown)
		n->messages = grown;
	if (!grown || folder < 0)
		return -1;
	if (n->place->sys->fstatat(folder, name.data, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -1;
	grown[n->count] = (struct named){strndup(name.data, name.size), st.st_mtime, false};
	return grown[n->count].name ? (n->count++, 0) : -1;
}

static int find_files(struct naming *n)
{
	for (int d = 0; d < INDEX_DIRECTORIES; d++) {
		n->directory = d;
		if (maildir_scan(n->place, maildir_directory_names[d], take_file, n) < 0 &&
		    errno != ENOENT)
			return -1;
	}
	return 0;
}

/* Of one second: qmail-pop3d's order depends on that of the folder, and is none. */
static int by_time(const void *left, const void *right)
{
	const struct named *x = left, *y = right;

	if (x->seconds != y->seconds)
		return x->seconds < y->seconds ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* The name up to its flags. Unlike our own rule's, its sizes (",S=") belong to the id. */
static pop3_span id_of(const struct named *message)
{
	return (pop3_span){message->name, strcspn(message->name, ":")};
}

static void lose(struct naming *n, struct named *message, const char *why)
{
	char shown[161];

	message->lost = true;
	if (n->report->again++)
		return;
	text_escape(shown, sizeof(shown) - 1, span_of(message->name));
	snprintf(n->report->why, sizeof(n->report->why), "its id %.160s %s", shown, why);
}

/* Ids of one maildrop must differ (RFC 1939): a client cannot have loaded both messages. */
static int judge(struct naming *n)
{
	struct hash_map used;
	int result = 0;

	hash_map_init(&used, n->count + 1);
	for (size_t i = 0; result == 0 && i < n->count; i++) {
		pop3_span id = id_of(&n->messages[i]);
		uint64_t *times;

		if (!index_id_valid(id)) {
			lose(n, &n->messages[i],
			     "has more than 70 octets, or some that POP3 has not");
			continue;
		}
		times = hash_map_put(&used, hash_octets(id.data, id.size));
		if (!times)
			result = -1;
		else if (++*times > 1)
			lose(n, &n->messages[i], "is another message's, too");
		else
			n->report->brought++;
	}
	hash_map_finish(&used);
	return result;
}

static int write_ids(const struct naming *n, const struct mail_origin *origin)
{
	size_t room = UIDL_ORIGIN_MAX, size;
	char text[ORIGIN_TEXT_MAX], *lines;
	int result;

	for (size_t i = 0; i < n->count; i++)
		room += UIDL_LINE_MAX(POP3_UNIQUE_ID_MAX, strlen(n->messages[i].name));
	lines = malloc(room);
	if (!lines) {
		errno = ENOMEM;
		return -1;
	}
	mail_origin_print(origin, text);
	size = (size_t)snprintf(lines, room, UIDL_ORIGIN "%llu %s\n",
				(unsigned long long)n->report->brought, text);
	for (size_t i = 0; i < n->count; i++) {
		const struct named *message = &n->messages[i];
		pop3_span unique = {message->name, maildir_name_unique(span_of(message->name))};

		if (!message->lost)
			size += maildir_uidl_line(lines + size, id_of(message), unique);
	}
	result = maildir_ids_replace(n->place, lines, size);
	free(lines);
	return result;
}

static enum maildrop_status adopt(struct naming *n, const struct mail_origin *origin, bool dry_run,
				  struct err *err)
{
	if (find_files(n) < 0)
		return maildir_failed(n->place, errno, NULL, "its messages cannot be read", err);
	n->report->is = n->count ? ADOPT_FOREIGN : ADOPT_PLAIN;
	n->report->messages = n->count;
	if (n->count == 0)
		return MAILDROP_OK;
	qsort(n->messages, n->count, sizeof(*n->messages), by_time);
	if (judge(n) < 0)
		return maildir_failed(n->place, ENOMEM, NULL, "its messages cannot be read", err);
	if (!dry_run && write_ids(n, origin) < 0)
		return maildir_failed(n->place, errno, UIDL_NAME, "cannot be written", err);
	return MAILDROP_OK;
}

enum maildrop_status maildir_adopt_names(struct maildir_place *place,
					 const struct mail_origin *origin, bool dry_run,
					 struct adopt_report *ret, struct err *err)
{
	struct naming n = {.place = place, .report = ret};
	enum maildrop_status status = adopt(&n, origin, dry_run, err);

	for (size_t i = 0; i < n.count; i++)
		free(n.messages[i].name);
	free(n.messages);
	return status;
}
