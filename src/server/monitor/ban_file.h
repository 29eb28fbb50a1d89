/* The file of bans in the state folder (its form: ban_list.h): read whole, and replaced whole, so
 * that a crash leaves the old or the new one. In the monitor: writing in its worker thread. */
#ifndef SERVER_MONITOR_BAN_FILE_H
#define SERVER_MONITOR_BAN_FILE_H

#include "server/monitor/ban_list.h"

/* Adds what the file has, if it is there. -1 with err, "PATH[:LINE]: what is wrong": it cannot be
 * read, or is damaged. */
int ban_file_read(const char *path, int64_t now, struct ban_list *list, struct err *err);
/* Returns when text is on the disk in the file's place. */
int ban_file_write(const char *path, const char *text, size_t size, struct err *err);

#endif
