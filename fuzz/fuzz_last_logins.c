/*
 * A file of last logins of any octets: each line is parsed, and one that is a line is printed and
 * comes back the same. The file is read, rewritten and read again: of each name, label and service
 * the last line is left, no other is. Lines without a right checksum get one, so that what is
 * behind it is tried, too.
 */
#include "users/last_logins.h"

#include "base/text.h"
#include "checked_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_line(pop3_span line)
{
	char buf[LAST_LOGINS_LINE_MAX];
	struct last_login login, again;
	size_t n;

	if (last_login_parse(line, &login) < 0)
		return;
	check(user_name_valid(span_of(login.name)) && login.day <= LAST_LOGINS_DAY_MAX);
	n = last_login_print(&login, buf);
	check(span_equal((pop3_span){buf, n - 1}, line)); /* there is one way to write it */
	check(last_login_parse((pop3_span){buf, n - 1}, &again) == 0 && again.day == login.day &&
	      again.kind == login.kind && strcmp(again.name, login.name) == 0 &&
	      strcmp(again.label, login.label) == 0);
}

static void count(void *context, const struct last_login *login)
{
	(void)login;
	++*(unsigned *)context;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned before = 0, after = 0, again = 0;
	struct err err = {0};
	int folder_fd = checked_file(LAST_LOGINS_FILE, data, size, try_line);

	check(last_logins_each(folder_fd, count, &before, &err) == 0);
	check(last_logins_compact(folder_fd, NULL, &err) == 0);
	check(last_logins_each(folder_fd, count, &after, &err) == 0 && after <= before);
	check(last_logins_compact(folder_fd, NULL, &err) == 0);
	check(last_logins_each(folder_fd, count, &again, &err) == 0 && again == after);
	return 0;
}
