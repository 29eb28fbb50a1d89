/*
 * A file of learned passwords of any octets: each line is parsed, and one that is a line is printed
 * and comes back the same. The file is read, rewritten and read again: of each section and name the
 * last line is left, no other is. Lines without a right checksum get one, so that what is behind it
 * is tried, too.
 */
#include "users/learned.h"

#include "base/text.h"
#include "checked_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_line(pop3_span line)
{
	char buf[LEARNED_LINE_MAX];
	struct learned learned, again;
	size_t n;

	if (learned_parse(line, &learned) < 0)
		return;
	check(user_name_valid(span_of(learned.name)) && learned.section[0] &&
	      strlen(learned.sealed) == SEAL_TEXT_SIZE);
	n = learned_print(&learned, buf);
	check(span_equal((pop3_span){buf, n - 1}, line)); /* there is one way to write it */
	check(learned_parse((pop3_span){buf, n - 1}, &again) == 0 &&
	      strcmp(again.section, learned.section) == 0 &&
	      strcmp(again.name, learned.name) == 0 && strcmp(again.sealed, learned.sealed) == 0);
}

static void count(void *context, const struct learned *learned)
{
	(void)learned;
	++*(unsigned *)context;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned before = 0, after = 0, again = 0;
	struct err err = {0};
	int folder_fd = checked_file(LEARNED_FILE, data, size, try_line);

	check(learned_each(folder_fd, count, &before, &err) == 0);
	check(learned_compact(folder_fd, NULL, &err) == 0);
	check(learned_each(folder_fd, count, &after, &err) == 0 && after <= before);
	check(learned_compact(folder_fd, NULL, &err) == 0);
	check(learned_each(folder_fd, count, &again, &err) == 0 && again == after);
	return 0;
}
