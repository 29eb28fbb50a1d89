/* A page of auth's as lines of the control protocol (docs/control.md). No I/O. */
#ifndef SERVER_CONTROL_PAGE_H
#define SERVER_CONTROL_PAGE_H

#include "ipc/messages.h"

/* The lines in memory of their own, NULL: there is none left. */
char *page_render(const struct ipc_who_page *page, size_t *ret_size);

#endif
