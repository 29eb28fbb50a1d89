/*
 * `valija import cyrus`: unique ids come from cyrus.index and uidl_format, and messages are copied
 * from Cyrus's spool, octet by octet. For import.c.
 */
#ifndef CLI_IMPORT_CYRUS_CYRUS_H
#define CLI_IMPORT_CYRUS_CYRUS_H

#include "cli/import/request.h"
#include "maildrop/adopt_report.h"
#include "maildrop/maildrop.h"

struct cyrus_import;

/* Reads Cyrus's settings into request->origin and finds the INBOX of each person; one that cannot
 * be told is said and counted as failed. request->cyrus is set, and must be finished. -1 with err.
 */
int cyrus_begin(struct import_request *request, struct err *err);
void cyrus_end(struct import_request *request);
/* Has that person mail there? false: none, or it failed already and *ret_failed is set. */
bool cyrus_has_mail(const struct import_request *request, size_t person, bool *ret_failed);
/* Makes the maildrops of request->first to end that are not there, with the rights of the caller.
 * One that cannot be made is said and counted as failed. */
void cyrus_make(struct import_request *request);
/* As the owner. folder: the Maildir; -1: it is not there, on a dry run. */
enum maildrop_status cyrus_bring(struct import_request *request, size_t person, int folder,
				 struct adopt_report *ret, struct err *err);

#endif
