/* See body_name.h. */
#include "maildrop/rados/body_name.h"

#include "base/text.h"
#include "maildrop/rados/engine/engine.h"
#include "maildrop/rados/log/log.h"

#include <stdio.h>
#include <string.h>

uint32_t body_chunks(uint64_t stored)
{
	return stored <= ENGINE_CHUNK ? 1 : (uint32_t)((stored + ENGINE_CHUNK - 1) / ENGINE_CHUNK);
}

void body_name(const unsigned char id[DROP_ID], uint32_t chunk, char ret[BODY_NAME_MAX])
{
	char text[DROP_ID_TEXT];

	drop_id_text(id, text);
	if (chunk)
		snprintf(ret, BODY_NAME_MAX, "m/%s.%u", text, chunk);
	else
		snprintf(ret, BODY_NAME_MAX, "m/%s", text);
}

int body_name_parse(const char *name, unsigned char ret_id[DROP_ID], uint32_t *ret_chunk)
{
	pop3_span text = span_of(name), id;
	uint64_t chunk = 0;

	if (!span_take_prefix(&text, SPAN_LITERAL("m/")))
		return -1;
	id = span_take_until(&text, '.');
	if (drop_id_of(id, ret_id) < 0)
		return -1;
	if (name[2 + id.size] == '.' &&
	    (span_number(text, UINT32_MAX, &chunk) < 0 || chunk == 0 || text.data[0] == '0'))
		return -1;
	*ret_chunk = (uint32_t)chunk;
	return 0;
}
