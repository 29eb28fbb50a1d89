/* Makes and reads the names of delivered files, for maildir.c and maildir_recover.c. Pure. */
#include "fetch/sink/maildir_name.h"

#include "fetch/journal/delivery_id.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void maildir_final_name(const char *host, const char *id, int64_t time, uint64_t stored,
			uint64_t octets, char *buf, size_t size)
{
	snprintf(buf, size, "%" PRId64 ".M%06" PRId64 "V%s.%s,S=%" PRIu64 ",W=%" PRIu64,
		 time / 1000000, time % 1000000, id, host, stored, octets);
}

const char *maildir_name_id(const char *name)
{
	const char *at = strstr(name, ".M");

	if (!at)
		return NULL;
	at += 2 + strspn(at + 2, "0123456789");
	return *at == 'V' && strspn(at + 1, "0123456789abcdef") >= DELIVERY_ID_SIZE - 1 ? at + 1
											: NULL;
}
