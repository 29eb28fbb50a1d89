/*
 * A journal of deletions of any octets: a line is parsed only if it is printed in the same way, and
 * a file of such lines, torn or whole, is read, appended to and read again: each line that was
 * there is still there.
 */
#include "maildrop/deleted.h"

#include "base/text.h"
#include "checked_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_line(pop3_span line)
{
	char buf[DELETED_LINE_MAX];
	struct deleted deleted;
	size_t n;

	if (deleted_parse(line, &deleted) < 0)
		return;
	n = deleted_print(&deleted, buf);
	check(span_equal((pop3_span){buf, n - 1}, line));
}

static void count(void *context, const struct deleted *deleted)
{
	char buf[DELETED_LINE_MAX];

	check(deleted_print(deleted, buf) < DELETED_LINE_MAX);
	++*(unsigned *)context;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct deleted one = {.time = 1, .id = "one"};
	unsigned before = 0, after = 0;
	char line[DELETED_LINE_MAX];
	struct err err = {0};
	int folder_fd = checked_file(DELETED_FILE, data, size, try_line);

	check(deleted_each(&maildrop_kernel, folder_fd, count, &before, &err) == 0);
	check(deleted_append(&maildrop_kernel, folder_fd,
			     (pop3_span){line, deleted_print(&one, line)}, false) == 0);
	check(deleted_each(&maildrop_kernel, folder_fd, count, &after, &err) == 0);
	/* what was torn may have been whole but for its line feed */
	check(after == before + 1 || after == before + 2);
	return 0;
}
