/* See target.h. */
#include "server/target.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

void target_read(pop3_span text, struct target *ret)
{
	unsigned long long front, session;
	char copy[64];
	int end = 0;

	ret->all = text.size == 0;
	if (text.size < USER_NAME_MAX)
		ret->name = user_name_key(text, ret->key);
	if (ret->all || span_copy(text, copy, sizeof(copy)) < 0)
		return;
	ret->is_network = network_parse(text, &ret->network);
	ret->is_session = sscanf(copy, "%16llx-%19llu%n", &front, &session, &end) == 2 &&
			  (size_t)end == text.size;
	if (ret->is_session) {
		ret->front = front;
		ret->session = session;
	}
}
