/* See cyrus.h. */
#include "cli/import/cyrus/cyrus.h"

#include "base/hash_map.h"
#include "base/secret.h"
#include "base/table.h"
#include "base/text.h"
#include "cli/import/cyrus/conf.h"
#include "cli/import/cyrus/spool.h"
#include "cli/import/totals.h"
#include "cli/mailbox.h"
#include "maildrop/maildir/bring.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

/* The INBOX of a person. */
struct inbox {
	char *path; /* NULL: there is none */
	unsigned partition;
	bool failed; /* which it is cannot be told */
};

struct cyrus_import {
	struct cyrus_conf conf;
	struct cyrus_spool spool;
	struct inbox *inboxes; /* of people->persons */
	size_t count;
	bool has_spool;
};

/* ---- settings ---- */

static int take_format(struct import_request *request, struct err *err)
{
	static const char *const formats[] = ORIGIN_CYRUS_FORMATS;
	const char *is = cyrus_conf_get(&request->cyrus->conf, "uidl_format");

	is = is ? is : "cyrus";
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++)
		if (strcmp(is, formats[i]) == 0)
			return span_copy(span_of(is), request->origin.format,
					 sizeof(request->origin.format));
	return err_set(err, EX_DATAERR,
		       "uidl_format: %.40s: Cyrus has uidonly, cyrus, dovecot and courier", is);
}

static void print_id(const struct cyrus_index *index, const char *format, uint32_t uid,
		     char ret[POP3_UNIQUE_ID_MAX + 1])
{
	const size_t size = POP3_UNIQUE_ID_MAX + 1;

	if (index->only_uids || strcmp(format, "uidonly") == 0)
		snprintf(ret, size, "%" PRIu32, uid);
	else if (strcmp(format, "dovecot") == 0)
		snprintf(ret, size, "%08" PRIx32 "%08" PRIx32, uid, index->uidvalidity);
	else
		snprintf(ret, size, "%" PRIu32 "%c%" PRIu32, index->uidvalidity,
			 strcmp(format, "courier") == 0 ? '-' : '.', uid);
}

/* ---- whose INBOX is which ---- */

static void fail(struct import_request *request, size_t person, const char *text)
{
	struct inbox *inbox = &request->cyrus->inboxes[person];

	if (inbox->failed)
		return;
	inbox->failed = true;
	request->totals->failed++;
	totals_say(&request->people.persons[person], text);
}

static int find_inbox(struct import_request *request, size_t person)
{
	struct inbox *inbox = &request->cyrus->inboxes[person];
	struct cyrus_mailbox mailbox;
	struct err err = {0};
	int found = cyrus_spool_find(&request->cyrus->spool, request->people.persons[person].name,
				     &mailbox, &err);

	if (found < 0)
		fail(request, person, err.text);
	if (found <= 0)
		return 0;
	inbox->partition = mailbox.partition;
	inbox->path = strdup(mailbox.path);
	return inbox->path ? 0 : -1;
}

static void refuse_both(struct import_request *request, size_t first, size_t second)
{
	const struct person *persons = request->people.persons;
	const char *path = request->cyrus->inboxes[second].path;
	char text[3 * 256];

	snprintf(
		text, sizeof(text),
		"Cyrus's mailbox %.200s would be this user's and that of %.200s: give it to one of "
		"them (--user)",
		path, persons[second].name);
	fail(request, first, text);
	snprintf(
		text, sizeof(text),
		"Cyrus's mailbox %.200s would be this user's and that of %.200s: give it to one of "
		"them (--user)",
		path, persons[first].name);
	fail(request, second, text);
}

/* A server without domains has one mailbox for anna@example.org and anna@example.net: nobody gets
 * the mail of another. Several names of one maildrop are one person. */
static int refuse_shared(struct import_request *request)
{
	const struct person *persons = request->people.persons;
	struct cyrus_import *cyrus = request->cyrus;
	struct hash_map owners;
	int rc = 0;

	hash_map_init(&owners, cyrus->count + 1);
	for (size_t i = 0; rc == 0 && i < cyrus->count; i++) {
		const char *path = cyrus->inboxes[i].path;
		uint64_t *at;

		if (!path)
			continue;
		at = hash_map_put(&owners, hash_octets(path, strlen(path)));
		if (!at)
			rc = -1;
		else if (*at == 0)
			*at = i + 1;
		else if (persons[*at - 1].root != persons[i].root ||
			 strcmp(persons[*at - 1].home, persons[i].home) != 0)
			refuse_both(request, (size_t)*at - 1, i);
	}
	hash_map_finish(&owners);
	return rc;
}

static int find_inboxes(struct import_request *request)
{
	struct cyrus_import *cyrus = request->cyrus;

	cyrus->inboxes = calloc(request->people.count + 1, sizeof(*cyrus->inboxes));
	if (!cyrus->inboxes)
		return -1;
	cyrus->count = request->people.count;
	for (size_t i = 0; i < cyrus->count; i++)
		if (find_inbox(request, i) < 0)
			return -1;
	return refuse_shared(request);
}

int cyrus_begin(struct import_request *request, struct err *err)
{
	struct cyrus_import *cyrus = request->cyrus = calloc(1, sizeof(*cyrus));

	if (!cyrus)
		return err_set(err, EX_OSERR, "out of memory");
	if (cyrus_conf_read(request->settings_file, &cyrus->conf, err) < 0 ||
	    take_format(request, err) < 0)
		return -1;
	cyrus->has_spool = true;
	if (cyrus_spool_open(&cyrus->spool, &cyrus->conf, err) < 0)
		return -1;
	return find_inboxes(request) < 0 ? err_set(err, EX_OSERR, "out of memory") : 0;
}

void cyrus_end(struct import_request *request)
{
	struct cyrus_import *cyrus = request->cyrus;

	if (!cyrus)
		return;
	if (cyrus->has_spool)
		cyrus_spool_close(&cyrus->spool);
	for (size_t i = 0; i < cyrus->count; i++)
		free(cyrus->inboxes[i].path);
	free(cyrus->inboxes);
	cyrus_conf_finish(&cyrus->conf);
	free(cyrus);
	request->cyrus = NULL;
}

bool cyrus_has_mail(const struct import_request *request, size_t person, bool *ret_failed)
{
	const struct inbox *inbox = &request->cyrus->inboxes[person];

	*ret_failed = inbox->failed;
	return inbox->path && !inbox->failed;
}

/* ---- maildrops ---- */

static void make(struct import_request *request, size_t index)
{
	const struct person *person = &request->people.persons[index];
	struct maker *maker = &request->people.maker;
	struct user user = {0};
	struct err err = {0};
	struct stat st;

	if (fstatat(maker->roots[person->root].fd, person->home, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return;
	if (mailbox_user(&request->config, person->name, &user, &err) < 0 ||
	    maker_make(maker, &user, person->uid, person->gid, &err) < 0)
		fail(request, index, err.text);
	wipe(user.secret, sizeof(user.secret));
}

void cyrus_make(struct import_request *request)
{
	for (size_t i = request->first; i < request->end; i++) {
		bool failed;

		if (request->people.maker.roots[request->people.persons[i].root].store !=
			    STORE_MBOX &&
		    cyrus_has_mail(request, i, &failed))
			make(request, i);
	}
}

/* ---- messages ---- */

struct lending {
	const struct cyrus_spool *spool;
	const struct cyrus_mailbox *mailbox;
	const struct cyrus_index *index;
};

static int open_message(void *context, uint32_t number, struct err *err)
{
	const struct lending *lending = context;

	return cyrus_spool_message(lending->spool, lending->mailbox,
				   &lending->index->messages[number], err);
}

static void describe(const struct cyrus_index *index, const char *format, uint32_t number,
		     struct maildir_incoming_message *ret)
{
	static const struct {
		uint32_t flag;
		char letter;
	} flags[] = {{CYRUS_DRAFT, 'D'},
		     {CYRUS_FLAGGED, 'F'},
		     {CYRUS_ANSWERED, 'R'},
		     {CYRUS_SEEN, 'S'},
		     {CYRUS_DELETED, 'T'}};
	const struct cyrus_message *m = &index->messages[number];
	size_t n = 0;

	*ret = (struct maildir_incoming_message){.seconds = m->seconds};
	print_id(index, format, m->uid, ret->id);
	snprintf(ret->unique, sizeof(ret->unique), "%" PRId64 ".V%" PRIu32 "U%" PRIu32 ".cyrus",
		 m->seconds, index->uidvalidity, m->uid);
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (m->flags & flags[i].flag)
			ret->flags[n++] = flags[i].letter;
}

static enum maildrop_status bring(struct import_request *request, const char *home, int folder,
				  struct lending *lending, struct adopt_report *ret,
				  struct err *err)
{
	uint32_t count = lending->index->count;
	struct maildir_incoming_message *messages = calloc((size_t)count + 1, sizeof(*messages));
	const struct maildir_incoming incoming = {messages, count, open_message, lending};
	enum maildrop_status status;

	if (!messages) {
		err_set(err, EX_OSERR, "out of memory");
		return MAILDROP_TEMP;
	}
	for (uint32_t i = 0; i < count; i++)
		describe(lending->index, request->origin.format, i, &messages[i]);
	status = maildir_receive(folder, home, &request->origin, &incoming, request->dry_run, ret,
				 err);
	free(messages);
	return status;
}

enum maildrop_status cyrus_bring(struct import_request *request, size_t person, int folder,
				 struct adopt_report *ret, struct err *err)
{
	const struct inbox *inbox = &request->cyrus->inboxes[person];
	const struct cyrus_spool *spool = &request->cyrus->spool;
	struct cyrus_mailbox mailbox = {.partition = inbox->partition};
	enum maildrop_status status = MAILDROP_OK;
	struct cyrus_index index;

	*ret = (struct adopt_report){.is = ADOPT_PLAIN};
	snprintf(mailbox.path, sizeof(mailbox.path), "%s", inbox->path);
	if (cyrus_spool_index(spool, &mailbox, &index, err) < 0)
		return MAILDROP_TEMP;
	if (index.count) {
		struct lending lending = {spool, &mailbox, &index};

		status = bring(request, request->people.persons[person].home, folder, &lending, ret,
			       err);
	}
	cyrus_index_finish(&index);
	return status;
}
