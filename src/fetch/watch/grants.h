/* News of accounts' tokens in the state folder: a person has logged in (inotify). */
#ifndef FETCH_WATCH_GRANTS_H
#define FETCH_WATCH_GRANTS_H

#include "base/err.h"

/* A non-blocking descriptor that is readable when files of the folder were replaced. -1. */
int watch_grants_open(int dir, struct err *err);
/* Takes all news: came() with the name of each "….grant" that is there anew. */
void watch_grants_take(int fd, void (*came)(void *context, const char *name), void *context);

#endif
