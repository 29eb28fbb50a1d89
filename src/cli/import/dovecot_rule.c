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

static bool is_keyword(const char *text)
{
	while (*text >= 0x21 && *text <= 0x7e)
		text++;
	return *text == '\0';
}

/* Of an mbox the keyword stands in the messages, which are not taken apart for it. */
static int take_hidden(const struct dovecot_conf *conf, struct mail_origin *ret, struct err *err)
{
	const char *keyword = dovecot_conf_pop3(conf, "pop3_deleted_flag");

	if (!keyword || !*keyword)
		return 0;
	if (mail_origin_is_of_mboxes(ret->server)) {
		fprintf(stderr,
			"valija import: pop3_deleted_flag has no counterpart for mboxes: messages "
			"that it hid are shown\n");
		return 0;
	}
	if (is_keyword(keyword) &&
	    span_copy(span_of(keyword), ret->hidden, sizeof(ret->hidden)) == 0)
		return 0;
	return err_set(err, EX_DATAERR,
		       "pop3_deleted_flag is no keyword of IMAP, or longer than %d",
		       ORIGIN_KEYWORD_MAX);
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
	if (take_hidden(conf, ret, err) < 0)
		return -1;
	return mail_origin_check(ret, err);
}

/* "maildir:~/Maildir:CONTROL=…" of 2.3, or mail_driver of 2.4; "": Dovecot looks what is there. */
static pop3_span driver_of(const struct dovecot_conf *conf, const char *location)
{
	const char *driver = dovecot_conf_get(conf, "", "mail_driver");

	driver = driver ? driver : location ? location : "";
	return (pop3_span){driver, strcspn(driver, ":")};
}

static int check_driver(const struct dovecot_conf *conf, const char *location, struct err *err)
{
	static const char *const others[] = {"mdbox", "sdbox", "dbox", "imapc", "pop3c"};
	pop3_span driver = driver_of(conf, location);

	if (span_equal(driver, SPAN_LITERAL("mbox")))
		return err_set(
			err, EX_DATAERR,
			"Dovecot has the mail as mbox: run valija import mbox --ids dovecot");
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (span_equal(driver, span_of(others[i])))
			return err_set(
				err, EX_DATAERR,
				"Dovecot has the mail as %s: only Maildirs and mboxes can be "
				"brought; convert them first, with doveadm sync",
				others[i]);
	return 0;
}

/* Of mboxes: what is in them, and by which headers Dovecot makes %m and %g. */
static int check_mbox(const struct dovecot_conf *conf, const char *location,
		      const struct mail_origin *origin, struct err *err)
{
	pop3_span driver = driver_of(conf, location);
	const char *md5 = dovecot_conf_pop3(conf, "mbox_md5");

	if (driver.size && !span_equal(driver, SPAN_LITERAL("mbox")) &&
	    !span_equal(driver, SPAN_LITERAL("auto")))
		return err_set(err, EX_DATAERR, "Dovecot has the mail as %.*s, not as mbox",
			       (int)driver.size, driver.data);
	if (md5 && strcmp(md5, "apop3d") != 0 && strpbrk(origin->format, "mg"))
		return err_set(err, EX_DATAERR,
			       "mbox_md5 = %s: unique ids of that digest cannot be made here", md5);
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
	bool mbox = mail_origin_is_of_mboxes(ret->server);

	if (!mbox &&
	    (check_driver(conf, location, err) < 0 || check_lists(conf, location, from, err) < 0))
		return -1;
	if (take_rule(conf, ret, err) < 0)
		return -1;
	return mbox ? check_mbox(conf, location, ret, err) : 0;
}
