/* The page for people: HTML without a script and without anything from elsewhere. In status. */
#ifndef SERVER_STATUS_PAGE_H
#define SERVER_STATUS_PAGE_H

#include "server/status/text.h"

void page_write(const struct text_source *source, FILE *out);

#endif
