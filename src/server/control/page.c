/* See page.h. The page was checked (ipc_check); what stands in it may still be anything. */
#include "server/control/page.h"

#include "base/text.h"
#include "server/lines.h"
#include "server/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FIXED_MAX = 256, /* octets of a line besides the name and the mechanism */
};

static size_t put_row(char *buf, const struct ipc_who_row *row)
{
	static const char *const states[WHO_STATES] = {"connected", "login", "mail"};
	const char *name = (const char *)(row + 1);
	char address[64];
	size_t used = (size_t)sprintf(buf, "session\t%llx-%llu\t", (unsigned long long)row->front,
				      (unsigned long long)row->session);

	used += lines_escape(buf + used, (pop3_span){name, row->name_size});
	used += (size_t)sprintf(buf + used, "\t%s\t%u\t%s\t%s\t",
				record_address(row->address, address), row->since,
				states[row->state], tls_protocol_name(row->tls));
	used += lines_escape(buf + used, span_of(row->mechanism));
	if (row->counted)
		used += (size_t)sprintf(buf + used, "\t%u\t%llu\n", row->messages,
					(unsigned long long)row->octets);
	else
		used += (size_t)sprintf(buf + used, "\t-\t-\n");
	return used;
}

char *page_render(const struct ipc_who_page *page, size_t *ret_size)
{
	const char *at = ipc_tail(page);
	size_t most = page->head.tail * (size_t)LINES_ESCAPED + page->count * (size_t)FIXED_MAX;
	char *buf = malloc(most + 1);

	*ret_size = 0;
	for (uint32_t i = 0; buf && i < page->count; i++) {
		const struct ipc_who_row *row = (const struct ipc_who_row *)(const void *)at;

		*ret_size += put_row(buf + *ret_size, row);
		at += sizeof(*row) + ipc_who_name_room(row->name_size);
	}
	return buf;
}
