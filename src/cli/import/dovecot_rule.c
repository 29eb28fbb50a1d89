/* See dovecot_rule.h. */
#include "cli/import/dovecot_rule.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static bool is_yes(const char *value)
{
	return value &&
	       (strcmp(value, "yes") == 0 || strcmp(value, "y") == 0 || strcmp(value, "1") == 0);
}

static int take_rule(const struct dovecot_conf *conf, struct mail_origin *ret, struct err *err)
{
	const char *format = dovecot_conf_pop3(conf, "pop3_uidl_format");
	const char *duplicates = dovecot_conf_pop3(conf, "pop3_uidl_duplicates");

	format = format ? format : ORIGIN_DOVECOT_FORMAT;
	if (span_copy(span_of(format), ret->format, sizeof(ret->format)) < 0 || !*format)
		return err_set(err, EX_DATAERR, "pop3_uidl_format is empty, or longer than %d",
			       ORIGIN_FORMAT_MAX);
	ret->rename_duplicates = duplicates && strcmp(duplicates, "rename") == 0;
	ret->reuse_xuidl = is_yes(dovecot_conf_pop3(conf, "pop3_reuse_xuidl"));
	return mail_origin_check(ret, err);
}

/* "maildir:~/Maildir:CONTROL=…" of 2.3, or mail_driver of 2.4. */
static int check_driver(const struct dovecot_conf *conf, const char *location, struct err *err)
{
	static const char *const others[] = {"mbox", "mdbox", "sdbox", "dbox", "imapc", "pop3c"};
	const char *driver = dovecot_conf_get(conf, "", "mail_driver");
	size_t size;

	driver = driver ? driver : location;
	size = driver ? strcspn(driver, ":") : 0;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (size == strlen(others[i]) && strncmp(driver, others[i], size) == 0)
			return err_set(err, EX_DATAERR,
				       "Dovecot has the mail as %s: only Maildirs can be brought; "
				       "convert them first, with doveadm sync",
				       others[i]);
	return 0;
}

/* Lists that are not found would be new ids in silence. */
static int check_lists(const struct dovecot_conf *conf, const char *location, const char *from,
		       struct err *err)
{
	const char *control = dovecot_conf_get(conf, "", "mail_control_path");
	const char *in_location = location ? strstr(location, ":CONTROL=") : NULL;

	if (in_location)
		control = in_location + strlen(":CONTROL=");
	if (from || !control || !*control)
		return 0;
	return err_set(err, EX_DATAERR,
		       "Dovecot keeps its lists of ids in %.*s: give --from DIR, so that the list "
		       "of a user is in DIR/LOCATION",
		       (int)strcspn(control, ":"), control);
}

int dovecot_rule(const struct dovecot_conf *conf, const char *from, struct mail_origin *ret,
		 struct err *err)
{
	const char *location = dovecot_conf_get(conf, "", "mail_location");
	const char *hidden = dovecot_conf_pop3(conf, "pop3_deleted_flag");

	if (check_driver(conf, location, err) < 0 || check_lists(conf, location, from, err) < 0)
		return -1;
	if (hidden && *hidden)
		fprintf(stderr,
			"valija import: pop3_deleted_flag has no counterpart: messages that it hid "
			"are shown\n");
	return take_rule(conf, ret, err);
}
