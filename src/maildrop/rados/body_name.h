/* Objects of a body, and the names of them (docs/rados-format.md). No I/O. */
#ifndef MAILDROP_RADOS_BODY_NAME_H
#define MAILDROP_RADOS_BODY_NAME_H

#include "maildrop/rados/log/log.h"

enum { BODY_NAME_MAX = DROP_ID_TEXT + 16 };

/* Objects of a body of that size, and the name of one of them. */
uint32_t body_chunks(uint64_t stored);
void body_name(const unsigned char id[DROP_ID], uint32_t chunk, char ret[BODY_NAME_MAX]);
/* What the name is one of. -1: it is no name of a body. */
int body_name_parse(const char *name, unsigned char ret_id[DROP_ID], uint32_t *ret_chunk);

#endif
