/* See origin.h. */
#include "maildrop/mail_origin.h"

#include "base/text.h"
#include "maildrop/mail_line.h"
#include "maildrop/uidl_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define DUPLICATES " duplicates="
#define HIDDEN " hidden="
#define FORMAT " format="

const struct origin_names mail_origin_names[ORIGIN_SERVERS] = {
	[ORIGIN_NONE] = {"no server", "none", NULL},
	[ORIGIN_DOVECOT] = {"Dovecot", "dovecot", "dovecot-uidlist"},
	[ORIGIN_COURIER] = {"Courier", "courier", "courierpop3dsizelist"},
	[ORIGIN_CYRUS] = {"Cyrus", "cyrus", NULL},
	[ORIGIN_QMAIL] = {"qmail-pop3d", "maildir-qmail", NULL},
	[ORIGIN_MBOX_DOVECOT] = {"Dovecot", "mbox-dovecot", NULL},
	[ORIGIN_MBOX_MAILUTILS] = {"pop3d of GNU Mailutils", "mbox-mailutils", NULL},
	[ORIGIN_MBOX_POPA3D] = {"popa3d", "mbox-popa3d", NULL},
	[ORIGIN_MBOX_QPOPPER] = {"Qpopper", "mbox-qpopper", NULL},
};

void mail_origin_demand(unsigned lists, char ret[ORIGIN_DEMAND_MAX])
{
	const struct origin_names *dovecot = &mail_origin_names[ORIGIN_DOVECOT],
				  *courier = &mail_origin_names[ORIGIN_COURIER],
				  *one = lists & ORIGIN_HAS(ORIGIN_DOVECOT) ? dovecot : courier;

	if (lists == (ORIGIN_HAS(ORIGIN_DOVECOT) | ORIGIN_HAS(ORIGIN_COURIER)))
		snprintf(ret, ORIGIN_DEMAND_MAX,
			 "%s and %s filled it: run valija import %s or valija import %s, whichever "
			 "gave its clients their unique ids",
			 dovecot->server, courier->server, dovecot->word, courier->word);
	else
		snprintf(ret, ORIGIN_DEMAND_MAX,
			 "%s filled it, and its clients know %s's unique ids: run valija import %s",
			 one->server, one->server, one->word);
}

void mail_origin_print(const struct mail_origin *origin, char ret[ORIGIN_TEXT_MAX])
{
	const char *word = mail_origin_names[origin->server].word;

	if (origin->server == ORIGIN_CYRUS)
		snprintf(ret, ORIGIN_TEXT_MAX, "%s" FORMAT "%s", word, origin->format);
	else if (!mail_origin_has_format(origin->server))
		snprintf(ret, ORIGIN_TEXT_MAX, "%s", word);
	else
		snprintf(ret, ORIGIN_TEXT_MAX, "%s" DUPLICATES "%s xuidl=%s%s%s" FORMAT "%s", word,
			 origin->rename_duplicates ? "rename" : "allow",
			 origin->reuse_xuidl ? "yes" : "no", origin->hidden[0] ? HIDDEN : "",
			 origin->hidden, origin->format);
}

/* Takes a word off the front of text. */
static bool take(pop3_span *text, const char *word)
{
	size_t size = strlen(word);

	if (text->size < size || memcmp(text->data, word, size) != 0)
		return false;
	text->data += size;
	text->size -= size;
	return true;
}

/* Of Dovecot. */
static int parse_rule(pop3_span text, struct mail_origin *origin)
{
	if (!take(&text, DUPLICATES))
		return -1;
	origin->rename_duplicates = take(&text, "rename");
	if (!origin->rename_duplicates && !take(&text, "allow"))
		return -1;
	if (!take(&text, " xuidl="))
		return -1;
	origin->reuse_xuidl = take(&text, "yes");
	if (!origin->reuse_xuidl && !take(&text, "no"))
		return -1;
	if (take(&text, HIDDEN)) {
		pop3_span keyword = {text.data, 0};

		while (keyword.size < text.size && text.data[keyword.size] != ' ')
			keyword.size++;
		if (!keyword.size || span_copy(keyword, origin->hidden, sizeof(origin->hidden)) < 0)
			return -1;
		text.data += keyword.size;
		text.size -= keyword.size;
	}
	if (!take(&text, FORMAT) || text.size == 0)
		return -1;
	return span_copy(text, origin->format, sizeof(origin->format));
}

static int parse_cyrus(pop3_span text, struct mail_origin *origin)
{
	static const char *const formats[] = ORIGIN_CYRUS_FORMATS;

	if (!take(&text, FORMAT))
		return -1;
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++)
		if (span_equal(text, span_of(formats[i])))
			return span_copy(text, origin->format, sizeof(origin->format));
	return -1;
}

/* The text behind the server's word. */
static int parse_rest(pop3_span text, struct mail_origin *origin)
{
	if (origin->server == ORIGIN_CYRUS)
		return parse_cyrus(text, origin);
	if (mail_origin_has_format(origin->server))
		return parse_rule(text, origin);
	return text.size ? -1 : 0;
}

int mail_origin_parse(pop3_span text, struct mail_origin *ret)
{
	for (unsigned i = 0; i < ORIGIN_SERVERS; i++) {
		struct mail_origin origin = {.server = i};
		pop3_span rest = text;

		if (!take(&rest, mail_origin_names[i].word))
			continue;
		if (parse_rest(rest, &origin) < 0)
			continue;
		*ret = origin;
		return 0;
	}
	return -1;
}

int mail_origin_check(const struct mail_origin *origin, struct err *err)
{
	if (!mail_origin_has_format(origin->server))
		return 0;
	return uidl_format_check(origin->format, mail_origin_is_of_mboxes(origin->server), err);
}

int mail_origin_read(const struct maildrop_syscalls *sys, int root_fd, struct mail_origin *ret,
		     struct err *err)
{
	char line[ORIGIN_TEXT_MAX + 1];
	ssize_t n = mail_line_read(sys, root_fd, ORIGIN_FILE, line, sizeof(line));

	if (n == MAIL_LINE_FAILED)
		return errno == ENOENT ? 0
				       : err_sys(err, EX_TEMPFAIL, errno,
						 ORIGIN_FILE " of the mail folder");
	if (n == MAIL_LINE_NOT_OURS)
		return err_set(err, EX_CONFIG,
			       ORIGIN_FILE " of the mail folder must be a regular file of root or "
					   "of the folder's owner: chown it, or remove it and run "
					   "valija import again");
	if (n < 0 || mail_origin_parse((pop3_span){line, (size_t)n}, ret) < 0)
		return err_set(err, EX_CONFIG,
			       ORIGIN_FILE " of the mail folder is not understood: a newer version "
					   "may have written it; else remove it and run valija "
					   "import again");
	return 1;
}

int mail_origin_write(int root_fd, const struct mail_origin *origin, struct err *err)
{
	char line[ORIGIN_TEXT_MAX];

	mail_origin_print(origin, line);
	if (mail_line_write(root_fd, ORIGIN_FILE, line) < 0)
		return err_sys(err, EX_CANTCREAT, errno, ORIGIN_FILE " cannot be written");
	return 0;
}

void mail_origin_lists(int root_fd, char ret[ORIGIN_LISTS_MAX])
{
	if (mail_line_read(&maildrop_kernel, root_fd, ORIGIN_LISTS_FILE, ret, ORIGIN_LISTS_MAX) < 0)
		ret[0] = '\0';
}

int mail_origin_remember_lists(int root_fd, const char *folder, struct err *err)
{
	if (!folder) {
		if (unlinkat(root_fd, ORIGIN_LISTS_FILE, 0) < 0 && errno != ENOENT)
			return err_sys(err, EX_CANTCREAT, errno,
				       ORIGIN_LISTS_FILE " cannot be removed");
		return 0;
	}
	if (strlen(folder) >= ORIGIN_LISTS_MAX || strchr(folder, '\n'))
		return err_set(err, EX_USAGE,
			       "--from: a folder's name of %d octets at most, without a line feed",
			       ORIGIN_LISTS_MAX - 1);
	if (mail_line_write(root_fd, ORIGIN_LISTS_FILE, folder) < 0)
		return err_sys(err, EX_CANTCREAT, errno, ORIGIN_LISTS_FILE " cannot be written");
	return 0;
}

int mail_origin_remove(int root_fd, struct err *err)
{
	if (unlinkat(root_fd, ORIGIN_FILE, 0) < 0 && errno != ENOENT)
		return err_sys(err, EX_CANTCREAT, errno, ORIGIN_FILE " cannot be removed");
	return fsync(root_fd) < 0 ? err_sys(err, EX_IOERR, errno, "the mail folder") : 0;
}
